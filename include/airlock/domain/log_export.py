"""The file an export of the log is: lines of JSON, checkable without server or network.

    {"airlock": "log", "version": 1, "origin": ..., "exportedAt": ..., "keys": {...}, ...}
    {"checkpoint": 120, "note": "..."}                        every checkpoint, smallest first
    {"stream": "rel-1", "seq": 31, "head": "<hex>"}           the end of every stream
    {"index": 0, "leaf": "<hex>", "entry": [stream, seq, what, body, prev, hash]}
    {"entry": [...]}                                          entries that are not in the tree yet
    {"end": 121}                                              how many entries there were

A body is the exact text that was hashed; bytes that are no text (damage) are in `{"hex": ...}`.
The keys in the file are for information: whoever checks it brings the keys to trust.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airlock.domain.audit import Head
from airlock.domain.errors import Invalid
from airlock.domain.log_tree import KeptCheckpoint, Leaf, Stored

VERSION = 1
PLACE = "the export"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands before the entries."""

    origin: str | None
    exported_at: str
    exported_by: str
    reason: str
    keys: Mapping[str, bytes]
    heads: Mapping[str, Head]
    notes: tuple[tuple[int, str], ...] = field(default=())

    @property
    def checkpoints(self) -> tuple[KeptCheckpoint, ...]:
        """The checkpoints as kept in the file."""
        return tuple(KeptCheckpoint(PLACE, size, note) for size, note in self.notes)


def lines(header: Header, leaves: Iterable[Leaf], leafless: Iterable[Stored]) -> Iterator[str]:
    """Return the lines of the file, each with its end."""
    yield _line(
        {
            "airlock": "log",
            "version": VERSION,
            "origin": header.origin,
            "exportedAt": header.exported_at,
            "exportedBy": header.exported_by,
            "reason": header.reason,
            "keys": {key: public.hex() for key, public in header.keys.items()},
        }
    )
    for size, note in header.notes:
        yield _line({"checkpoint": size, "note": note})
    for stream, head in sorted(header.heads.items()):
        yield _line({"stream": stream, "seq": head.seq, "head": head.hash.hex()})
    count = 0
    for index, leaf, entry in leaves:
        count += 1
        yield _line({"index": index, "leaf": leaf.hex(), "entry": _entry(entry)})
    for entry in leafless:
        count += 1
        yield _line({"entry": _entry(entry)})
    yield _line({"end": count})


class Export:
    """An export being read: the header first, then leaves, then entries without one."""

    def __init__(self, text: Iterable[str]) -> None:
        """Read up to the first entry.

        Raises:
            Invalid: if it is not an export.
        """
        self._lines = _documents(text)
        first = next(self._lines, {})
        if (first.get("airlock"), first.get("version")) != ("log", VERSION):
            raise Invalid(
                "this file is not an export of Airlock's log",
                next_step="Make one with `airlock audit export --reason ... FILE`.",
            )
        notes: list[tuple[int, str]] = []
        heads: dict[str, Head] = {}
        self._held: Mapping[str, Any] | None = None
        for one in self._lines:
            if "checkpoint" in one:
                notes.append((one["checkpoint"], one["note"]))
            elif "head" in one:
                heads[one["stream"]] = Head(one["seq"], bytes.fromhex(one["head"]))
            else:
                self._held = one
                break
        self.header = Header(
            origin=first["origin"],
            exported_at=first["exportedAt"],
            exported_by=first["exportedBy"],
            reason=first["reason"],
            keys={key: bytes.fromhex(public) for key, public in first["keys"].items()},
            heads=heads,
            notes=tuple(notes),
        )
        self._count = 0
        self.complete = False

    def leaves(self) -> Iterator[Leaf]:
        """Return the leaves, with their entries."""
        while (one := self._take()) is not None and "index" in one:
            self._count += 1
            yield one["index"], bytes.fromhex(one["leaf"]), _stored(one["entry"])
        self._held = one

    def leafless(self) -> Iterator[Stored]:
        """Return the entries that have no leaf; to be called after `leaves`."""
        while (one := self._take()) is not None and "entry" in one:
            self._count += 1
            entry = _stored(one["entry"])
            if entry is not None:
                yield entry
        self.complete = one is not None and one.get("end") == self._count

    def _take(self) -> Mapping[str, Any] | None:
        held, self._held = self._held, None
        return held if held is not None else next(self._lines, None)


def _documents(text: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text, 1):
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Invalid(f"line {number} of the export is not JSON: cut off or damaged")
        yield found


def _line(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _entry(entry: Stored | None) -> list[Any] | None:
    if entry is None:
        return None
    stream, seq, what, body, prev, digest = entry
    try:
        text: Any = body.decode()
    except UnicodeDecodeError:
        text = {"hex": body.hex()}
    return [stream, seq, what, text, prev.hex(), digest.hex()]


def _stored(entry: Any) -> Stored | None:
    if entry is None:
        return None
    try:
        stream, seq, what, text, prev, digest = entry
        body = bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()
        return stream, seq, what, body, bytes.fromhex(prev), bytes.fromhex(digest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"an entry of the export is malformed: {error!r}") from error
