"""Reading and verifying the log.

`verify` recomputes every chain from the stored bytes, compares its end with the head the
application believes in, rebuilds every release from its events and compares it with the tables,
and checks every grant's signature. What a chain alone cannot show (all streams cut back together
with their heads) needs checkpoints outside the database, which do not exist yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from airlock.domain.audit import Entry, verify_stream
from airlock.domain.errors import AirlockError, NotFound
from airlock.domain.grant import unseal
from airlock.domain.release import Release, apply
from airlock.ports import Keyring, Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    events: int
    streams: int
    releases: int
    grants: int
    damages: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Say whether nothing was wrong."""
        return not self.damages

    def to_document(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {**asdict(self), "damages": list(self.damages), "ok": self.ok}


def events(store: Store, stream: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
    """Return the newest events, oldest of them first, with their hashes."""
    with store.begin() as unit:
        return [
            {**entry.content, "hash": entry.hash.hex(), "prev": entry.prev.hex()}
            for entry in unit.entries(stream, limit)
        ]


def verify(store: Store, keyring: Keyring) -> Report:
    """Check the whole log against itself, the tables and the keys."""
    damages: list[str] = []
    count = grants = 0
    with store.begin() as unit:
        streams = unit.streams()
        for name, head in streams:
            replay = _Replay(unit.entries(name))
            damage = verify_stream(name, replay, head)
            count += replay.count
            if damage:
                damages.append(damage.sentence())
            damages.extend(_compare(unit, name, replay.release))
            found, problem = _grant(unit, keyring, name)
            grants += found
            damages.extend(problem)
        releases = sum(1 for name, _ in streams if name.startswith("rel-"))
    return Report(count, len(streams), releases, grants, tuple(damages))


class _Replay:
    """Passes entries on while rebuilding the release they tell of."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self.count = 0
        self.release: Release | None = None

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            self.count += 1
            yield entry
            self.release = apply(self.release, entry.content)


def _compare(unit: UnitOfWork, name: str, replayed: Release | None) -> list[str]:
    if not name.startswith("rel-"):
        return []
    try:
        stored = unit.get(name)
    except NotFound:
        return [f"stream {name}: its events are there but the release is gone"]
    if replayed is None:
        return [f"stream {name}: the release is there but its first event is not"]
    if _comparable(stored) == _comparable(replayed):
        return []
    differing = [
        key
        for key, value in asdict(_comparable(stored)).items()
        if asdict(_comparable(replayed))[key] != value
    ]
    return [f"stream {name}: the table differs from the log in {', '.join(differing)}"]


def _comparable(release: Release) -> Release:
    return replace(release, votes=tuple(sorted(release.votes, key=lambda v: (v.round, v.person))))


def _grant(unit: UnitOfWork, keyring: Keyring, name: str) -> tuple[int, list[str]]:
    stored = unit.grant_of(name)
    if stored is None:
        return 0, []
    try:
        grant = unseal(stored.envelope, keyring.verify)
    except AirlockError as error:
        return 1, [f"stream {name}: {error.message}"]
    if grant.release != name:
        return 1, [f"stream {name}: holds the grant of {grant.release}"]
    return 1, []
