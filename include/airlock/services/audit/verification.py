"""The combined verifier: the log from bytes, the tables by replay, grants and keys.

`verify` checks Airlock's own database: chains, tree, checkpoints (its own and those kept
elsewhere), every release rebuilt from its events, every grant's signature, every text against its
commitment. What cannot be told
from one copy of the log (a tree rewritten together with every checkpoint) is what witnesses are
for: give their checkpoints as kept ones.

It reads the log as a stream and holds one entry of each stream, never the log. A large log is read
by two processes; what is wrong is always said by one walk
(`airlock.services.audit.parallel_verification`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.errors import Unreachable
from airlock.domain.log.audit import Head
from airlock.domain.log.checkpoint import Cosigner, NoteInvalid, open_note
from airlock.domain.log.erasable_texts import ERASURE, TextCheck
from airlock.domain.log.stream_chains import Chains, Finding
from airlock.domain.log.tree import MERGE_DELAY_S, KeptCheckpoint, Leaf, Stored, Turn
from airlock.domain.log.walk import Mark, check_tree
from airlock.ports import Keyring
from airlock.services.audit.log_store import LogStore
from airlock.services.audit.parallel_verification import Split, halved
from airlock.services.audit.replays import compare_tables, without_release
from airlock.services.audit.replays.comparing import contents
from airlock.services.audit.replays.tree import check_tree_tables
from airlock.services.audit.transparency_log import Place

#: What a new key's entry has the old key sign, before the new public key.
ROTATION = b"airlock/key/v1\n"
#: The stream with the entries about erased texts.
ACCESS = "access"
#: So many damages are said in words.
MOST = 10_000
#: The witnesses that are trusted, by name.
Witnesses = Mapping[str, Cosigner]


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. `warnings` is what could not be told."""

    events: int
    streams: int
    releases: int
    grants: int
    damages: tuple[str, ...] = field(default=())
    tree: int = 0
    checkpoints: int = 0
    cosigned: int = 0
    first: int | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Say whether nothing was wrong."""
        return not self.damages

    def and_also(self, findings: Iterable[Finding]) -> Report:
        """Return the report with further findings."""
        return replace(self, damages=(*self.damages, *(finding.sentence() for finding in findings)))

    def to_document(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        lists = {"damages": list(self.damages), "warnings": list(self.warnings)}
        return {**asdict(self), **lists, "ok": self.ok}


@dataclass(frozen=True, slots=True)
class Log:
    """A copy of the log that can be read once, online or from a file."""

    origin: str | None
    leaves: Iterable[Leaf]
    leafless: Iterable[tuple[Stored, Turn]]
    heads: Mapping[str, Head] | None
    now: datetime


def verify(
    store: LogStore,
    keyring: Keyring,
    checkpoints: Sequence[KeptCheckpoint] = (),
    witnesses: Witnesses | None = None,
    split: Split = Split(),  # noqa: B008 - a frozen value
) -> Report:
    """Check the log against itself, *checkpoints* kept elsewhere, the tables and the keys."""
    with store.begin() as unit:
        unit.hold_still()  # the log goes on growing while it is checked
        tree = unit.tree()
        own = unit.checkpoints()
        signed = [
            replace(checkpoint, note=checkpoint.note + "".join(unit.receipts(checkpoint.size)))
            for checkpoint in own
        ]
        origin = tree.origin if tree else None
        texts = TextCheck(unit.texts_of, unit.owners_of)
        leaves, waiting = texts.leaves(unit.leaves()), texts.waiting(unit.waiting(tree))
        copy = Log(origin, leaves, waiting, unit.heads(), unit.now())
        opened = _opened(copy, keyring, [*signed, *checkpoints], witnesses)
        with halved(unit, tree, opened.marks, opened.copies, split) as halving:
            tables = compare_tables(unit, keyring)  # the helper starts meanwhile
            walked = halving.walk(texts) if halving else None
        report, chains = _check(copy, keyring, opened, walked)
        findings = [*tables.findings, *without_release(chains, tables.releases)]
        findings += check_tree_tables(unit, tree, own, chains, report.tree)
        if texts.findings():  # perhaps erased while all of this was read
            texts.look_again(contents(unit.told_of(ACCESS, {ERASURE})))
        findings += texts.findings()
    missing = _missing(own, checkpoints)
    damages = _most([*report.damages, *missing, *(finding.sentence() for finding in findings)])
    warnings = (*report.warnings, *tables.warnings)
    counts = {"releases": len(tables.releases), "grants": tables.grants}
    return replace(report, **counts, damages=damages, warnings=warnings)


def verify_against(
    store: LogStore, keyring: Keyring, places: Sequence[Place], witnesses: Witnesses | None = None
) -> Report:
    """Check the whole log against everything kept in *places*; what is down is a warning."""
    checkpoints: list[KeptCheckpoint] = []
    down: list[str] = []
    for place in places:
        try:
            checkpoints += place.checkpoints()
        except Unreachable as error:
            down.append(f"not compared with {place.name}: {error.message}")
    report = verify(store, keyring, checkpoints, witnesses)
    return replace(report, warnings=(*report.warnings, *down))


def check(
    log: Log,
    keyring: Keyring,
    checkpoints: Sequence[KeptCheckpoint],
    witnesses: Witnesses | None = None,
) -> tuple[Report, Chains]:
    """Check what can be told from the log's bytes, its checkpoints and the keys."""
    return _check(log, keyring, _opened(log, keyring, checkpoints, witnesses))


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the checkpoints say, what is wrong with them, and the copies of leaves among them."""

    marks: Sequence[Mark]
    cosigned: int
    copies: Sequence[bytes]
    findings: Sequence[Finding]
    witnesses: Witnesses | None


def _opened(
    log: Log, keyring: Keyring, checkpoints: Sequence[KeptCheckpoint], witnesses: Witnesses | None
) -> _Opened:
    findings: list[Finding] = []
    marks, cosigned = _marks(log, keyring, checkpoints, witnesses, findings)
    return _Opened(marks, cosigned, tuple(_copies(checkpoints)), findings, witnesses)


def _check(
    log: Log, keyring: Keyring, opened: _Opened, walked: Chains | None = None
) -> tuple[Report, Chains]:
    """Check the log, of which *walked* are the chains if nothing was found wrong on the way."""
    findings, marks = list(opened.findings), opened.marks
    chains = walked or Chains()
    if walked is None:
        findings += check_tree(log.leaves, chains, marks, _leaves(opened.copies))
    tree = chains.count
    late = _Late(log.now, opened.marks)
    findings += late.look(log.leafless, chains, has_tree=log.origin is not None)
    findings += chains.close(log.heads)
    findings += _rotations(chains.rotations, keyring)
    places = [finding.index for finding in findings if finding.index is not None]
    report = Report(
        events=chains.count,
        streams=len(chains.streams),
        releases=sum(name.startswith("rel-") for name in chains.streams),
        grants=0,
        damages=_most([finding.sentence() for finding in findings]),
        tree=tree,
        checkpoints=len(marks),
        cosigned=opened.cosigned,
        first=min(places, default=None),
        warnings=(*_warnings(log, chains.count, opened), *late.warnings()),
    )
    return report, chains


def _marks(
    log: Log,
    keyring: Keyring,
    checkpoints: Sequence[KeptCheckpoint],
    witnesses: Witnesses | None,
    findings: list[Finding],
) -> tuple[list[Mark], int]:
    """Open every checkpoint; what is not signed is a finding, not a mark."""
    marks: list[tuple[int, Mark]] = []
    cosigned = 0
    for copy in checkpoints:
        try:
            opened = open_note(copy.note, keyring.keys(), keyring.verify, witnesses)
        except NoteInvalid as error:
            findings.append(
                Finding(f"the checkpoint of {copy.size} in {copy.place}: {error.message}")
            )
            continue
        checkpoint, at = opened.checkpoint, datetime.fromtimestamp(opened.signed_at, UTC)
        wrong = _why_not(
            log, checkpoint.origin, checkpoint.size, copy, keyring.valid_at(opened.key_id, at)
        )
        if wrong:
            findings.append(Finding(f"the checkpoint of {copy.size} in {copy.place} {wrong}"))
            continue
        cosigned = max(cosigned, checkpoint.size if opened.witnesses else 0)
        since, until = stamp(at - timedelta(seconds=MERGE_DELAY_S)), stamp(at + _SECOND)
        marks.append(
            (opened.signed_at, Mark(checkpoint.size, checkpoint.root, since, until, copy.place))
        )
    marks.sort(key=lambda pair: (pair[1].size, pair[0]))
    for (before, _), (after, mark) in pairwise(marks):
        if after < before:
            findings.append(Finding(f"the checkpoint of {mark.size} is older than a smaller one"))
    return [mark for _, mark in marks], cosigned


_SECOND = timedelta(seconds=1)


def _why_not(log: Log, origin: str, size: int, copy: KeptCheckpoint, in_use: bool) -> str:
    if log.origin is not None and origin != log.origin:
        return f"is of another log: expected {log.origin}, found {origin}"
    if size != copy.size:
        return f"says {size} entries"
    return "" if in_use else "is signed with a key that had been given up"


def _missing(own: Sequence[KeptCheckpoint], checkpoints: Sequence[KeptCheckpoint]) -> list[str]:
    sizes = {checkpoint.size for checkpoint in own}
    gone = sorted(
        {
            (checkpoint.size, checkpoint.place)
            for checkpoint in checkpoints
            if checkpoint.size not in sizes
        }
    )
    return [
        f"the checkpoint of {size} kept in {place} is not in the database" for size, place in gone
    ]


def _copies(checkpoints: Sequence[KeptCheckpoint]) -> Iterator[bytes]:
    """Return the leaf hashes kept outside, up to the first gap."""
    place = next((checkpoint.place for checkpoint in checkpoints if checkpoint.leaves), "")
    size = 0
    for checkpoint in sorted(checkpoints, key=lambda checkpoint: checkpoint.size):
        if checkpoint.place != place:
            continue
        if size + len(checkpoint.leaves) // 32 != checkpoint.size:
            return
        yield checkpoint.leaves
        size = checkpoint.size


def _leaves(copies: Sequence[bytes]) -> Iterator[bytes]:
    return (copy[at : at + 32] for copy in copies for at in range(0, len(copy), 32))


class _Late:
    """Looks at the entries that have no leaf: some are only late, others can never have one.

    An entry is *behind* while the tree has not grown since it was written; then whatever delays the
    delivery process delays its leaf. It is *forged* if a checkpoint was signed later that does not
    cover it, or if its number says that it can never join.
    """

    def __init__(self, now: datetime, marks: Sequence[Mark]) -> None:
        self._oldest = stamp(now - timedelta(seconds=MERGE_DELAY_S))
        self._newest = stamp(now + _SECOND)
        self._covered = marks[-1].since if marks else ""
        self._behind = 0
        self._since = ""

    def look(
        self, entries: Iterable[tuple[Stored, Turn]], chains: Chains, *, has_tree: bool
    ) -> Iterator[Finding]:
        """Say what is wrong with the entries and with their streams."""
        for entry, turn in entries:
            yield from chains.add(entry)
            why = self._why(entry[3][7:37].decode(errors="replace"), turn) if has_tree else ""
            if why:
                yield Finding(why, entry[0], entry[1])

    def _why(self, at: str, turn: Turn) -> str:
        claim = f"written at {at} and not in the tree"
        if turn is Turn.PAST:
            why = "its number lies behind the place the tree has reached, so it can never join"
            return f"{claim}: forged; {why}"
        if turn is Turn.FUTURE:
            return f"{claim}: forged; its number was not given to any transaction yet"
        if at > self._newest:
            return f"{claim}: forged; that is in the future"
        if at < self._covered and turn is not Turn.OPEN:
            return f"{claim}: forged; a checkpoint signed later does not cover it"
        if at < self._oldest:
            self._behind, self._since = self._behind + 1, min(self._since or at, at)
        return ""

    def warnings(self) -> Iterator[str]:
        """Say how far the tree is behind."""
        if self._behind:
            yield (
                f"the tree is behind: {self._behind} entries, the first written at {self._since}, "
                "have not joined it; the delivery process (`airlock deliver`) stands still or is "
                "held up, or a transaction is held open"
            )


def _most(damages: list[str]) -> tuple[str, ...]:
    """Return as many sentences as somebody will read; the rest is counted."""
    rest = len(damages) - MOST
    return tuple(damages if rest <= 0 else [*damages[:MOST], f"and {rest} more damages"])


def _rotations(bodies: Sequence[bytes], keyring: Keyring) -> Iterator[Finding]:
    for body in bodies:
        content = json.loads(body)
        data = content["data"]
        try:
            signature = base64.b64decode(data["signature"], validate=True)
            public = base64.b64decode(data["publicKey"], validate=True)
            good = keyring.verify(data["old"], signature, ROTATION + public)
        except (KeyError, TypeError, ValueError):
            good = False
        if not good:
            reason = "the new key is not signed by the old one"
            yield Finding(reason, content["stream"], content["seq"])


def _warnings(log: Log, events: int, opened: _Opened) -> Iterator[str]:
    marks, witnesses = opened.marks, opened.witnesses
    if events and log.origin is None:
        yield "the log has no tree yet: the delivery process (`airlock deliver`) grows it"
    elif events and not marks:
        yield "there is no checkpoint yet, so a rewritten log could not be told from this one"
    if witnesses and marks and not opened.cosigned:
        yield f"no checkpoint is cosigned by {', '.join(sorted(witnesses))}"
