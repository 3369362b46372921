"""Universal Binary JSON, as XGBoost writes it: read into plain data, bounded, nothing left over.

Long arrays of numbers are counted, not kept. See https://ubjson.org and XGBoost's model schema.
"""

from __future__ import annotations

import struct
from typing import Any

from airlock.artifacts.refusals import NotPlain

_EXPECTED = "an XGBoost model"
_NUMBERS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}
_LENGTHS = "iUIlL"
_DEPTH = 60
_MOST_ITEMS = 64


class _Reader:
    """A place in the bytes."""

    def __init__(self, body: memoryview) -> None:
        self.body, self.at = body, 0

    def take(self, size: int) -> memoryview:
        if size < 0 or self.at + size > len(self.body):
            raise NotPlain("a file that breaks off", _EXPECTED)
        part = self.body[self.at : self.at + size]
        self.at += size
        return part

    def mark(self) -> str:
        return chr(self.take(1)[0])

    def peek(self) -> str:
        return chr(self.body[self.at]) if self.at < len(self.body) else ""

    def number(self, kind: str) -> int | float:
        form = _NUMBERS.get(kind)
        if form is None:
            raise NotPlain(f"a value of kind {kind!r}", _EXPECTED)
        value: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def length(self) -> int:
        kind = self.mark()
        size = self.number(kind) if kind in _LENGTHS else -1
        if size < 0:
            raise NotPlain("a length that is none", _EXPECTED)
        return int(size)

    def text(self) -> str:
        try:
            return bytes(self.take(self.length())).decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotPlain("text that is not UTF-8", _EXPECTED) from error


def read_ubjson(body: memoryview) -> Any:
    """Return the data of a whole file.

    Raises:
        NotPlain: if it is none, or something follows it.
    """
    reader = _Reader(body)
    document = _value(reader, reader.mark(), 0)
    if reader.at != len(body):
        raise NotPlain(f"{len(body) - reader.at} bytes behind the model", _EXPECTED)
    return document


def _value(reader: _Reader, kind: str, depth: int) -> Any:
    if depth > _DEPTH:
        raise NotPlain("data nested too deep", f"up to {_DEPTH} levels")
    if kind in "ZTF":
        return {"Z": None, "T": True, "F": False}[kind]
    if kind == "S":
        return reader.text()
    if kind == "C":
        return reader.mark()
    if kind == "[":
        return _array(reader, depth)
    if kind == "{":
        return _object(reader, depth)
    return reader.number(kind)


def _array(reader: _Reader, depth: int) -> list[Any]:
    kind, count = _header(reader)
    if kind in _NUMBERS and count is not None:
        reader.take(count * struct.calcsize(_NUMBERS[kind]))
        return []
    items: list[Any] = []
    read_count = 0
    while read_count != count:
        if count is None and reader.peek() == "]":
            reader.mark()
            break
        item = _value(reader, kind or reader.mark(), depth + 1)
        read_count += 1
        if len(items) < _MOST_ITEMS or isinstance(item, dict):
            items.append(item)
    return items


def _object(reader: _Reader, depth: int) -> dict[str, Any]:
    kind, count = _header(reader)
    members: dict[str, Any] = {}
    read_count = 0
    while read_count != count:
        if count is None and reader.peek() == "}":
            reader.mark()
            break
        name = reader.text()
        if name in members:
            raise NotPlain(f"{name!r} twice", _EXPECTED)
        members[name] = _value(reader, kind or reader.mark(), depth + 1)
        read_count += 1
    return members


def _header(reader: _Reader) -> tuple[str, int | None]:
    """Return the kind all values have and how many they are, where the container says so."""
    kind, count = "", None
    if reader.peek() == "$":
        reader.mark()
        kind = reader.mark()
        if reader.peek() != "#":
            raise NotPlain("a kind without a count", _EXPECTED)
    if reader.peek() == "#":
        reader.mark()
        count = reader.length()
    return kind, count
