"""YAML as data only, with the line of every key, and with the traps of YAML taken out.

The rules:

* One document per file, UTF-8, at most 256 KB, at most 20 levels deep, never empty.
* Anchors, aliases and tags are refused: no "billion laughs", no objects, no hidden copies.
* A key is a plain name and appears once in its mapping.
* Only `true` and `false` are booleans and only decimal numbers are numbers. `yes`, `on`, `010`,
  `1_000`, `12:30` and dates stay text, and the typed schema then says what it wanted.
* A key without a value is refused: nothing is ever configured by leaving it open.

It does not know any schema.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from airlock.config.problems import ConfigurationError, Place, Problem, dotted, show

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20

# The C parser is ten times faster; PyYAML's wheels all carry it, a source build may not.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Long digit strings are identifiers, not numbers: eighteen digits always fit 64 bits.
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?")
_NOTHING = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True)
class Source:
    """A file's data, the line of each place in it, and what the YAML itself got wrong."""

    file: str
    data: Any
    lines: Mapping[Place, int]
    problems: tuple[Problem, ...] = ()

    def line(self, place: Place) -> int:
        """Return the line of *place*, or of the nearest thing around it that exists."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def problem(self, place: Place, expected: str, actual: str, nearest: str = "") -> Problem:
        """Return a problem at *place*, with its line."""
        return Problem(self.file, self.line(place), dotted(place), expected, actual, nearest)


def read(path: Path, name: str = "") -> Source:
    """Read one file; *name* is how messages call it.

    Raises:
        ConfigurationError: if it cannot be read as one YAML document at all. Smaller sins
            are in `problems`, so that they are reported together with the schema's.
    """
    name = name or str(path)
    return parse(_text(path, name), name)


def parse(text: str, name: str) -> Source:
    """Read YAML text; see `read`."""
    builder = _Builder(name)
    try:
        data = builder.document(yaml.parse(text, Loader=_PARSER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 0
        raise _unreadable(name, line, "valid YAML", f"a slip: {error.problem}") from None
    except yaml.YAMLError as error:  # a character YAML does not allow
        reason = " ".join(str(error).split())
        raise _unreadable(name, 0, "valid YAML", f"a slip: {reason}") from None
    return Source(name, data, builder.lines, tuple(builder.problems))


def _text(path: Path, name: str) -> str:
    if not path.is_file():  # a pipe or a device would block or never end
        raise _unreadable(name, 0, "a file", "no such file" if not path.exists() else "no file")
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(name, 0, "a readable file", error.strerror or str(error)) from None
    if len(raw) > MAX_BYTES:
        raise _unreadable(name, 0, f"at most {MAX_BYTES // 1024} KB", "a bigger file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _unreadable(name, line, "UTF-8 text", f"byte 0x{raw[error.start]:02x}") from None


def _unreadable(name: str, line: int, expected: str, actual: str) -> ConfigurationError:
    return ConfigurationError([Problem(name, line, "", expected, actual)])


@dataclass
class _Builder:
    """Turns parser events into data. Working on events shows what a loaded tree hides."""

    file: str
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def document(self, events: Iterator[Any]) -> Any:
        data: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    line = _line(event)
                    raise _unreadable(self.file, line, "one document", "a second one (`---`)")
                data = self._node(next(events), events, ())
        if not documents:
            raise _unreadable(self.file, 0, "a document", "an empty file")
        return data

    def _node(self, event: Any, events: Iterator[Any], place: Place) -> Any:
        self.lines.setdefault(place, _line(event))
        if len(place) > MAX_DEPTH:
            line = self.lines[place]
            raise _unreadable(self.file, line, f"at most {MAX_DEPTH} levels", "a deeper nesting")
        if not self._plain(event, place):
            self._skip(event, events)
            return None
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, place)
        value = _scalar(event)
        if value is None:
            self._add(place, "a value", "nothing")
        return value

    def _plain(self, event: Any, place: Place) -> bool:
        if isinstance(event, yaml.AliasEvent):
            self._add(place, "the value written out", f"the alias *{event.anchor}")
        elif event.anchor is not None:
            self._add(place, "a value without an anchor", f"the anchor &{event.anchor}")
        elif event.tag is not None:
            self._add(place, "a value without a tag", f"the tag {event.tag}")
        else:
            return True
        return False

    def _mapping(self, events: Iterator[Any], place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, place)
            line = _line(event)
            if key in mapping:
                first = self.lines[(*place, key)]
                found_again = f"it again, first on line {first}"
                self._add((*place, key), f'the key "{key}" once', found_again, line)
                self._skip(next(events), events)
                continue
            self.lines[(*place, key)] = line
            mapping[key] = self._node(next(events), events, (*place, key))
        return mapping

    def _key(self, event: Any, events: Iterator[Any], place: Place) -> str:
        line = _line(event)
        if isinstance(event, yaml.ScalarEvent):
            if event.anchor is not None or event.tag is not None or not event.value.strip():
                self._add(place, "a plain name as key", show(event.value), line)
            return str(event.value)
        actual = "an alias" if isinstance(event, yaml.AliasEvent) else "a list or mapping"
        self._add(place, "a plain name as key", actual, line)
        self._skip(event, events)
        return f"(line {line}, column {event.start_mark.column + 1})"

    def _sequence(self, events: Iterator[Any], place: Place) -> list[Any]:
        sequence: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            sequence.append(self._node(event, events, (*place, len(sequence))))
        return sequence

    def _skip(self, event: Any, events: Iterator[Any]) -> None:
        open_nodes = int(isinstance(event, yaml.CollectionStartEvent))
        while open_nodes:
            event = next(events)
            open_nodes += isinstance(event, yaml.CollectionStartEvent)
            open_nodes -= isinstance(event, yaml.CollectionEndEvent)

    def _add(self, place: Place, expected: str, actual: str, line: int = 0) -> None:
        where = line or self.lines.get(place, 1)
        self.problems.append(Problem(self.file, where, dotted(place), expected, actual))


def _line(event: Any) -> int:
    line: int = event.start_mark.line + 1
    return line


def _scalar(event: Any) -> Any:
    """Return the value of a scalar; quotes always make text."""
    text: str = event.value
    if event.style not in (None, ""):  # the two parsers spell "plain" differently
        return text
    if text in _NOTHING:
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
