"""The file an export of the log is: lines of JSON, checkable without server or network.

    {"airlock": "log", "version": 1, "origin": ..., "exportedAt": ..., "keys": {...}, ...}
    {"checkpoint": 120, "note": "..."}                        every checkpoint, smallest first
    {"stream": "rel-1", "seq": 31, "head": "<hex>"}           the end of every stream
    {"index": 0, "leaf": "<hex>", "entry": [stream, seq, what, body, prev, hash],
     "texts": {"<commitment>": ["<salt in hex>", text]}}      texts, as far as they are not erased
    {"entry": [...]}                                          entries that are not in the tree yet
    {"end": 121}                                              how many entries there were

A body is the exact text that was hashed; bytes that are no text (damage) are in `{"hex": ...}`.
The keys in the file are for information: whoever checks it brings the keys to trust.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from airlock.domain.errors import Invalid
from airlock.domain.log.audit import Head
from airlock.domain.log.erasable_texts import Texts, commitments_in
from airlock.domain.log.tree import KeptCheckpoint, Leaf, Stored

VERSION = 1
PLACE = "the export"
#: Entries whose texts are looked up at a time.
AT_ONCE = 500
T = TypeVar("T")
Look = Callable[[Iterable[str]], Texts]


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


def lines(
    header: Header, leaves: Iterable[Leaf], leafless: Iterable[Stored], look: Look
) -> Iterator[str]:
    """Return the lines of the file, each with its end. *look* finds the texts of commitments."""
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
    for (index, leaf, entry), texts in _beside(leaves, lambda row: row[2], look):
        count += 1
        yield _line({"index": index, "leaf": leaf.hex(), "entry": _entry(entry), **texts})
    for entry, texts in _beside(leafless, lambda row: row, look):
        count += 1
        yield _line({"entry": _entry(entry), **texts})
    yield _line({"end": count})


def _beside(
    items: Iterable[T], entry_of: Callable[[T], Stored | None], look: Look
) -> Iterator[tuple[T, dict[str, Any]]]:
    """Return each item with the texts of its entry, looked up many at a time."""
    rest = iter(items)
    while some := list(islice(rest, AT_ONCE)):
        spoken = [_spoken(entry_of(item)) for item in some]
        commitments = {commitment for group in spoken for commitment in group}
        texts = look(commitments) if commitments else {}
        for item, group in zip(some, spoken, strict=True):
            encoded = {
                commitment: [texts[commitment][0].hex(), texts[commitment][1]]
                for commitment in group
                if commitment in texts
            }
            yield item, {"texts": encoded} if encoded else {}


def _spoken(entry: Stored | None) -> tuple[str, ...]:
    return commitments_in(entry[3]) if entry is not None else ()


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
        self._lookahead: Mapping[str, Any] | None = None
        for line in self._lines:
            if "checkpoint" in line:
                notes.append((line["checkpoint"], line["note"]))
            elif "head" in line:
                heads[line["stream"]] = Head(line["seq"], bytes.fromhex(line["head"]))
            else:
                self._lookahead = line
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
        self._texts: dict[str, tuple[bytes, str]] = {}
        self.complete = False

    def texts_of(self, commitments: Iterable[str]) -> Texts:
        """Return, once, the texts of commitments just read that are in the file."""
        texts = {
            commitment: self._texts.pop(commitment)
            for commitment in set(commitments)
            if commitment in self._texts
        }
        self._texts.clear()  # what no entry has asked for stands for nothing
        return texts

    def leaves(self) -> Iterator[Leaf]:
        """Return the leaves, with their entries."""
        while (line := self._take()) is not None and "index" in line:
            self._count += 1
            self._hold(_texts(line))
            yield line["index"], bytes.fromhex(line["leaf"]), _stored(line["entry"])
        self._lookahead = line

    def leafless(self) -> Iterator[Stored]:
        """Return the entries that have no leaf; to be called after `leaves`."""
        while (line := self._take()) is not None and "entry" in line:
            self._count += 1
            self._hold(_texts(line))
            entry = _stored(line["entry"])
            if entry is not None:
                yield entry
        self.complete = line is not None and line.get("end") == self._count

    def _hold(self, texts: Mapping[str, tuple[bytes, str]]) -> None:
        """Keep the texts of a line; of two under one commitment at least one is another one."""
        for commitment, text in texts.items():
            if self._texts.setdefault(commitment, text) != text:
                self._texts[commitment] = (b"", "")  # which nobody has committed to

    def _take(self) -> Mapping[str, Any] | None:
        line, self._lookahead = self._lookahead, None
        return line if line is not None else next(self._lines, None)


def _documents(text: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text, 1):
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Invalid(f"line {number} of the export is not JSON: cut off or damaged")
        yield document


def _line(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _entry(entry: Stored | None) -> list[Any] | None:
    if entry is None:
        return None
    stream, seq, event_type, body, prev, digest = entry
    try:
        text: Any = body.decode()
    except UnicodeDecodeError:
        text = {"hex": body.hex()}
    return [stream, seq, event_type, text, prev.hex(), digest.hex()]


def _texts(line: Mapping[str, Any]) -> dict[str, tuple[bytes, str]]:
    try:
        pairs = line.get("texts", {}).items()
        return {
            str(commitment): (bytes.fromhex(salt), str(text)) for commitment, (salt, text) in pairs
        }
    except (TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"a text of the export is malformed: {error!r}") from error


def _stored(entry: Any) -> Stored | None:
    if entry is None:
        return None
    try:
        stream, seq, event_type, text, prev, digest = entry
        body = bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()
        return stream, seq, event_type, body, bytes.fromhex(prev), bytes.fromhex(digest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"an entry of the export is malformed: {error!r}") from error
