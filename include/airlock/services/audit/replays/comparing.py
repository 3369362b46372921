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

from airlock.domain.approval.release import Release, apply
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import AirlockError
from airlock.domain.log.stream_chains import Finding
from airlock.domain.log.tree import Stored
from airlock.ports import Keyring
from airlock.services.audit.log_store import LogWork

#: A row as it is stored, or the content of an entry.
Row = Mapping[str, Any]
#: Words of release streams that change no row; there may be any number of them.
CHANGING_NOTHING = frozenset({"VoteRefused", "WithdrawalRefused", "BreakGlassRefused"})
#: So long before its event a row was written at most.
SHORTLY = timedelta(minutes=1)
#: Values are shown up to so many characters.
_MAX_CHARACTERS = 80


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
        return " or ".join(str(value) for value in self.values) or "nothing"


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
    def event_type(self) -> str:
        """The type of the event."""
        return str(self.content["what"])

    @property
    def data(self) -> Row:
        """The data of the event."""
        fields: Row = self.content["data"]
        return fields

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

    def steps_with(self, name: str, *words: str) -> Iterator[Step]:
        """Return the steps of a release that have some event types."""
        return (step for step in self.steps.get(name, ()) if step.event_type in words)


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
        expected: Mapping[Any, Row],
        rows: Iterable[Row],
        key_of: Callable[[Row], Hashable],
    ) -> Iterator[Finding]:
        """Compare stored rows with the rows expected from the log."""
        gone = dict(expected)
        for row in rows:
            key = key_of(row)
            expected_row = gone.pop(key, None)
            if expected_row is None:
                yield self.finding(key, "is there, but the log tells of no such row")
            else:
                yield from self.row(key, expected_row, row)
        for key in gone:
            yield self.finding(key, "the log tells of it, but it is gone")

    def row(self, key: Hashable, expected: Row, row: Row) -> Iterator[Finding]:
        """Compare one row with the row expected from the log."""
        for column, expected_value in expected.items():
            actual = row[column]
            if expected_value is UNTOLD:
                self.untold += 1
            elif not _same(actual, expected_value):
                why = f"{column} is {_short(actual)}, the log says {_short(expected_value)}"
                yield self.finding(key, why)

    def finding(self, key: Hashable, why: str) -> Finding:
        """Return what is wrong with a row."""
        name = "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
        return Finding(f"table {self.table}, row {_short(name)}: {why}")

    def strays(self, unit: LogWork, column: str = "release") -> Iterator[Finding]:
        """Say which rows belong to a release that is not there."""
        for row in unit.strays(self.table, column):
            yield self.finding(row[column], "belongs to a release that is not there")


def _same(actual: Any, expected: Any) -> bool:
    if hasattr(expected, "matches"):
        return bool(expected.matches(actual))
    return type(actual) is type(expected) and bool(actual == expected)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."


def since(at: str) -> Between:
    """Return when what an event tells was written, where it does not say: shortly before it."""
    return Between(stamp(moment(at) - SHORTLY), at)


def numbered(*columns: str) -> Callable[[Row], Hashable]:
    """Return a key function that numbers the rows with the same values in *columns*."""
    counts: dict[Hashable, int] = {}

    def key_of(row: Row) -> Hashable:
        key = tuple(row[column] for column in columns)
        counts[key] = counts.get(key, 0) + 1
        return (*key, counts[key])

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
    """Return the steps of the releases of some streams.

    An event that cannot follow from those before it is a finding.
    """
    steps: dict[str, list[Step]] = {}
    for content in contents(entries):
        history = steps.setdefault(content["stream"], [])
        before = history[-1].after if history else None
        try:
            history.append(Step(content, before, apply(before, content)))
        except (AirlockError, KeyError, TypeError, ValueError) as error:
            why = error.message if isinstance(error, AirlockError) else f"it lacks {error}"
            reason = f"{content['what']} cannot follow from what stands before it: {why}"
            findings.append(Finding(reason, content["stream"], content["seq"]))
    return {stream: tuple(history) for stream, history in steps.items()}
