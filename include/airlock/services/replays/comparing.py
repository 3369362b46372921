"""What all replays share: pages of releases with their events, and rows compared with the log.

A replay says what the rows of a table have to be, from events alone; what is stored is then held
against it, column by column. A column of which old events do not tell is `UNTOLD`: it is counted,
and never damage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airlock.domain.clock import moment, stamp
from airlock.domain.errors import AirlockError
from airlock.domain.log_chains import Finding
from airlock.domain.log_tree import Stored
from airlock.domain.release import Release, apply
from airlock.ports import Keyring
from airlock.services.log_store import LogWork

#: A row as it is stored, or the content of an entry.
Row = Mapping[str, Any]
#: Words of release streams that change no row; there may be any number of them.
CHANGING_NOTHING = frozenset({"VoteRefused", "WithdrawalRefused", "BreakGlassRefused"})
#: So long before its event a row was written at most.
SHORTLY = timedelta(minutes=1)
#: Values are shown up to so many characters.
_SHOWN = 80


class _Untold:
    """Stands for a value the events do not tell."""

    def matches(self, _value: Any) -> bool:
        """Any value will do."""
        return True


UNTOLD = _Untold()


@dataclass(frozen=True, slots=True)
class Json:
    """Any spelling of a JSON document."""

    document: Any

    def matches(self, value: Any) -> bool:
        """Say whether *value* is the document."""
        try:
            return bool(json.loads(value) == self.document)
        except (TypeError, ValueError):
            return False

    def __str__(self) -> str:
        return json.dumps(self.document, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Either:
    """One of some values."""

    values: Collection[Any]

    def matches(self, value: Any) -> bool:
        """Say whether it is one of them."""
        return value in self.values

    def __str__(self) -> str:
        return " or ".join(str(one) for one in self.values) or "nothing"


@dataclass(frozen=True, slots=True)
class Between:
    """A time, spelled as in entries, from *first* to *last*."""

    first: str
    last: str

    def matches(self, value: Any) -> bool:
        """Say whether it lies there, and is spelled as a time."""
        is_time = isinstance(value, str) and len(value) == len(self.last)
        return is_time and self.first <= value <= self.last

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a release, as its content, and the release before and after it."""

    content: Row
    before: Release | None
    after: Release | None

    @property
    def what(self) -> str:
        """The event's word."""
        return str(self.content["what"])

    @property
    def data(self) -> Row:
        """What the event tells."""
        found: Row = self.content["data"]
        return found

    @property
    def at(self) -> str:
        """When it was written."""
        return str(self.content["at"])


@dataclass(frozen=True, slots=True)
class Page:
    """Some hundreds of releases: their rows, and what their streams tell."""

    rows: Mapping[str, Row]
    steps: Mapping[str, tuple[Step, ...]]

    def release(self, name: str) -> Release | None:
        """Return a release as its events leave it."""
        steps = self.steps.get(name, ())
        return steps[-1].after if steps else None

    def told(self, name: str, *words: str) -> Iterator[Step]:
        """Return the events of a release with some words."""
        return (step for step in self.steps.get(name, ()) if step.what in words)


class Replay:
    """Rebuilds one table from the log and compares it."""

    #: The table it is about.
    table = ""

    def __init__(self, keyring: Keyring) -> None:
        """Begin with nothing compared."""
        self.keyring = keyring
        self.untold = 0

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        del unit, page
        yield from ()

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare what belongs to no release, when all pages have been read."""
        del unit
        yield from ()

    def compare(
        self,
        wanted: Mapping[Any, Row],
        rows: Iterable[Row],
        key_of: Callable[[Row], Hashable],
    ) -> Iterator[Finding]:
        """Hold stored rows against those the log tells of."""
        gone = dict(wanted)
        for row in rows:
            key = key_of(row)
            told = gone.pop(key, None)
            if told is None:
                yield self.finding(key, "is there, but the log tells of no such row")
            else:
                yield from self.row(key, told, row)
        for key in gone:
            yield self.finding(key, "the log tells of it, but it is gone")

    def row(self, key: Hashable, told: Row, row: Row) -> Iterator[Finding]:
        """Hold one row against what the log tells of it."""
        for column, wanted in told.items():
            found = row[column]
            if wanted is UNTOLD:
                self.untold += 1
            elif not _same(found, wanted):
                why = f"{column} is {_short(found)}, the log says {_short(wanted)}"
                yield self.finding(key, why)

    def finding(self, key: Hashable, why: str) -> Finding:
        """Return what is wrong with a row."""
        name = "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
        return Finding(f"table {self.table}, row {_short(name)}: {why}")

    def strays(self, unit: LogWork, column: str = "release") -> Iterator[Finding]:
        """Say which rows belong to a release that is not there."""
        for row in unit.strays(self.table, column):
            yield self.finding(row[column], "belongs to a release that is not there")


def _same(found: Any, wanted: Any) -> bool:
    if hasattr(wanted, "matches"):
        return bool(wanted.matches(found))
    return type(found) is type(wanted) and bool(found == wanted)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def since(at: str) -> Between:
    """Return when what an event tells was written, where it does not say: shortly before it."""
    return Between(stamp(moment(at) - SHORTLY), at)


def numbered(*columns: str) -> Callable[[Row], Hashable]:
    """Return what gives rows with the same values in *columns* a number each, as they come."""
    seen: dict[Hashable, int] = {}

    def key_of(row: Row) -> Hashable:
        key = tuple(row[column] for column in columns)
        seen[key] = seen.get(key, 0) + 1
        return (*key, seen[key])

    return key_of


def contents(entries: Iterable[Stored]) -> Iterator[Row]:
    """Return the content of entries; what cannot be read is named where chains are checked."""
    for entry in entries:
        try:
            content = json.loads(entry[3])
            if isinstance(content["data"], dict) and content["what"] == entry[2]:
                yield {**content, "stream": entry[0], "seq": entry[1]}
        except (KeyError, TypeError, ValueError):
            continue


def fold(entries: Iterable[Stored], findings: list[Finding]) -> dict[str, tuple[Step, ...]]:
    """Return what some streams tell of their releases.

    An event that cannot follow from those before it is a finding.
    """
    steps: dict[str, list[Step]] = {}
    for content in contents(entries):
        known = steps.setdefault(content["stream"], [])
        before = known[-1].after if known else None
        try:
            known.append(Step(content, before, apply(before, content)))
        except (AirlockError, KeyError, TypeError, ValueError) as error:
            why = error.message if isinstance(error, AirlockError) else f"it lacks {error}"
            reason = f"{content['what']} cannot follow from what stands before it: {why}"
            findings.append(Finding(reason, content["stream"], content["seq"]))
    return {stream: tuple(known) for stream, known in steps.items()}
