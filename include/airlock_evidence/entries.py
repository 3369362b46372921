"""The log entries of a bundle: their exact bytes, their chain, their place in the tree.

`log/stream.jsonl` is the whole stream of the release up to the export, `log/context.jsonl` single
entries of other streams (who held which role, which policy was registered, new keys, this export).
One entry per line, with its audit path to `log/checkpoint.txt`.

Rules:
* The stream is a chain: places 1, 2, 3 without gaps, each over the hash of the one before, the
  hashes computed again from the bytes.
* Every entry is in the tree of the checkpoint, at its own place.
* An entry was written before the checkpoint that covers it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from airlock_evidence.archive import Failed, canonical
from airlock_evidence.proofs import included, leaf_hash, unbase64
from airlock_evidence.words import seconds

STREAM, CONTEXT = "log/stream.jsonl", "log/context.jsonl"
CHECKPOINT, WITNESSED = "log/checkpoint.txt", "log/witnessed.txt"
CONSISTENCY = "log/consistency.json"
GENESIS = bytes(32)
EVENT_TAG = b"airlock/event/v1\x00"


class Entry(NamedTuple):
    """One entry: where it stands, its bytes, and why it is in the tree."""

    stream: str
    seq: int
    body: bytes
    prev: bytes
    hash: bytes
    place: int
    path: tuple[bytes, ...]

    @property
    def content(self) -> dict[str, Any]:
        """The body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def where(self) -> str:
        """How a failure names it."""
        return f"log entry {self.stream} {self.seq}"


def line(entry: Entry) -> bytes:
    """Return one line of a file of entries."""
    document = {
        "stream": entry.stream,
        "seq": entry.seq,
        "body": entry.body.decode(),
        "prev": entry.prev.hex(),
        "hash": entry.hash.hex(),
        "index": entry.place,
        "path": [base64.b64encode(node).decode() for node in entry.path],
    }
    return canonical(document) + b"\n"


def read(files: Mapping[str, bytes], name: str) -> list[Entry]:
    """Return the entries of a file, in order.

    Raises:
        Failed: if a line is not one.
    """
    if name not in files:
        raise Failed(name, "is missing")
    entries = []
    for number, text in enumerate(files[name].splitlines(keepends=True), 1):
        try:
            document = json.loads(text)
            entry = Entry(
                stream=document["stream"],
                seq=document["seq"],
                body=document["body"].encode(),
                prev=bytes.fromhex(document["prev"]),
                hash=bytes.fromhex(document["hash"]),
                place=document["index"],
                path=tuple(unbase64(part) for part in document["path"]),
            )
            same = line(entry) == text and isinstance(entry.content, dict)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Failed(name, f"line {number} is not a log entry") from error
        if not same:
            raise Failed(name, f"line {number} is not spelled as Airlock writes it")
        entries.append(entry)
    return entries


def check_sound(entry: Entry) -> None:
    """Check the hash of an entry, and that its bytes name its own place.

    Raises:
        Failed: if the bytes were edited, or come from elsewhere.
    """
    hasher = hashlib.sha256(EVENT_TAG + entry.prev + entry.seq.to_bytes(8, "big") + entry.body)
    if hasher.digest() != entry.hash:
        raise Failed(entry.where, "the bytes do not match their hash: edited")
    content = entry.content
    if (content.get("stream"), content.get("seq")) != (entry.stream, entry.seq):
        raise Failed(entry.where, "names another place: moved here from elsewhere")


def check_chain(entries: Sequence[Entry], stream: str) -> None:
    """Check that entries are the whole beginning of one stream.

    Raises:
        Failed: naming the first entry that is missing or does not follow.
    """
    prev = GENESIS
    for place, entry in enumerate(entries, 1):
        if (entry.stream, entry.seq) != (stream, place):
            why = f"expected entry {place} of {stream}: deleted, reordered or added"
            raise Failed(entry.where, why)
        if entry.prev != prev:
            raise Failed(entry.where, "does not follow the entry before it")
        prev = entry.hash
    if not entries:
        raise Failed(STREAM, "is empty: there is no release in it")


def check_in_tree(entries: Sequence[Entry], size: int, root: bytes, signed_at: int) -> None:
    """Check that every entry is in the tree, in a place of its own, and older than its signature.

    Raises:
        Failed: naming the entry.
    """
    places: dict[int, Entry] = {}
    for entry in entries:
        if not included(leaf_hash(entry.hash), entry.place, size, entry.path, root):
            raise Failed(
                entry.where, f"its proof does not lead to the checkpoint of {size} entries"
            )
        if places.setdefault(entry.place, entry) is not entry:
            raise Failed(entry.where, "shares its place in the tree with another entry")
        at = entry.content.get("at")
        if not isinstance(at, str) or seconds(at) > signed_at + 1:
            raise Failed(entry.where, f"says it was written at {at}, after its checkpoint")
