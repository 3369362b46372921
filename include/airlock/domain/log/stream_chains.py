"""All chains of the log at once, checked entry by entry in whatever order the tree has them.

Entries of one stream may come out of their order for a moment (ADR 0010); they wait for their turn.
Every bad entry is named, and the stream goes on behind it: with the entry as it is stored where
one was changed, and with the next one that is there where some are missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from airlock.domain.log.audit import EVENT_TAG, Head
from airlock.domain.log.tree import Stored

#: The word of an entry about a new key; these are handed out for a closer look.
ROTATED = "KeyRotated"
#: So many entries of a stream wait for one that is not there; then it is missing.
PATIENCE = 1_000
_sha = hashlib.sha256


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written. `index` is the place in the tree, if known."""

    reason: str
    stream: str = ""
    seq: int = 0
    index: int | None = None

    def sentence(self) -> str:
        """Say where and what."""
        where = [f"stream {self.stream}, entry {self.seq}"] if self.stream else []
        where += [f"tree index {self.index}"] if self.index is not None else []
        return f"{', '.join(where)}: {self.reason}" if where else self.reason


@dataclass(slots=True)
class Chain:
    """One stream on its way: the last entry, and those that came before their turn.

    `computed` is the hash that entry `computed_at` should have, where another is stored: the entry
    behind it may follow either.
    """

    seq: int
    hash: bytes
    name: bytes
    early: dict[int, Stored] | None = None
    computed: bytes = b""
    computed_at: int = 0


class Chains:
    """All streams at once."""

    def __init__(self) -> None:
        """Start without streams."""
        self.by_stream: dict[str, Chain] = {}
        self.count = 0
        #: The bodies of all entries that tell of a new key.
        self.rotations: list[bytes] = []
        #: The nodes of the tree over them that are stored: (level, index, hash).
        self.nodes: list[tuple[int, int, bytes]] = []

    @property
    def streams(self) -> frozenset[str]:
        """Every stream seen."""
        return frozenset(self.by_stream)

    def add(self, entry: Stored) -> Sequence[Finding]:
        """Take the next entry; return what is wrong with it, or with those it lets in."""
        self.count += 1
        stream, seq = entry[0], entry[1]
        chain = self.by_stream.get(stream)
        if chain is None:
            chain = self.by_stream[stream] = chain_at(stream, self._before(entry))
        if seq != chain.seq + 1:
            return self._early(chain, entry)
        findings = self._take(chain, entry)
        return [*findings, *self._waiting(chain)] if chain.early else findings

    def _before(self, _entry: Stored) -> Head:
        """Return what stands before the first entry of a stream."""
        return Head()

    def _take(self, chain: Chain, entry: Stored) -> Sequence[Finding]:
        """Let the stream go on with an entry in its place, whatever is wrong with it."""
        stream, seq, event_type, body, prev, digest = entry
        computed = _sha(EVENT_TAG + prev + seq.to_bytes(8, "big") + body).digest()
        follows = prev == chain.hash or (prev == chain.computed and seq == chain.computed_at + 1)
        findings = [] if follows else [_not_behind(chain, entry)]
        if computed != digest:
            chain.computed, chain.computed_at = computed, seq
            reason = f"the bytes do not match their hash: edited; expected {_hex(digest)}, "
            findings.append(Finding(f"{reason}found {_hex(computed)}", stream, seq))
        findings += _elsewhere(entry)
        if event_type == ROTATED and not findings:
            self.rotations.append(body)
        chain.seq, chain.hash = seq, digest
        return findings

    def _early(self, chain: Chain, entry: Stored) -> Sequence[Finding]:
        stream, seq = entry[0], entry[1]
        early = chain.early = chain.early if chain.early is not None else {}
        if not isinstance(seq, int) or seq <= chain.seq or seq in early:
            reason = f"is there twice: added or reordered; expected entry {chain.seq + 1}"
            return [Finding(reason, stream, seq)]
        early[seq] = entry
        return self._skip(stream, chain) if len(early) > PATIENCE else ()

    def _waiting(self, chain: Chain) -> Iterator[Finding]:
        """Take those whose turn it is now."""
        while chain.early and (entry := chain.early.pop(chain.seq + 1, None)) is not None:
            yield from self._take(chain, entry)

    def _skip(self, stream: str, chain: Chain) -> Sequence[Finding]:
        """Say what is missing before the first of those that wait, and go on with it."""
        place, early = chain.seq + 1, chain.early or {}
        first = min(early)
        reason = f"expected entry {place}, found entry {first}: deleted, reordered or added"
        chain.seq, chain.hash = first - 1, early[first][4]
        return [Finding(reason, stream, place), *self._waiting(chain)]

    def close(self, heads: Mapping[str, Head] | None) -> Iterator[Finding]:
        """Compare the ends with what the application believes in; None leaves them unchecked."""
        for stream, chain in self.by_stream.items():
            while chain.early:
                yield from self._skip(stream, chain)
        for stream, head in (heads or {}).items():
            current = self.by_stream.get(stream)
            last = Head(current.seq, current.hash) if current else Head()
            if last != head and not (
                current and (head.seq, head.hash) == (current.seq, current.computed)
            ):
                yield Finding(_other_end(stream, head, last), stream, head.seq)
        for stream in self.by_stream.keys() - heads.keys() if heads is not None else ():
            yield Finding("the application knows no such stream", stream, 1)


def _other_end(stream: str, head: Head, last: Head) -> str:
    table = "release" if stream.startswith("rel-") else "audit_stream"
    claim = f"table {table} says that the stream ends with entry {head.seq}"
    if head.seq == last.seq:
        return f"{claim} and hash {_hex(head.hash)}, found {_hex(last.hash)}"
    why = "entries missing" if isinstance(head.seq, int) and head.seq > last.seq else "changed"
    return f"{claim}, the stream ends at entry {last.seq}: {why}"


def _hex(digest: bytes) -> str:
    return digest[:6].hex() if isinstance(digest, bytes) else repr(digest)


def chain_at(stream: str, head: Head) -> Chain:
    """Return a stream of which *head* was the last entry so far."""
    text = json.dumps(stream, ensure_ascii=False).encode()
    return Chain(head.seq, head.hash, b',"stream":' + text + b',"v":1,"what":"')


def _not_behind(chain: Chain, entry: Stored) -> Finding:
    reason = "does not follow the entry before it: "
    reason += f"expected hash {_hex(chain.hash)}, found {_hex(entry[4])}"
    return Finding(reason, entry[0], entry[1])


def _elsewhere(entry: Stored) -> Iterator[Finding]:
    """Report the columns of an entry that contradict its own bytes."""
    stream, seq, event_type, body = entry[:4]
    try:
        content = json.loads(body)
        claims = {name: content.get(name) for name in ("stream", "seq", "what")}
    except (AttributeError, ValueError):
        yield Finding("its bytes are no entry: expected a JSON object", stream, seq)
        return
    for (name, inside), column in zip(claims.items(), (stream, seq, event_type), strict=True):
        if inside != column:
            reason = f"column {name} is {column!r}, its bytes say {inside!r}: "
            yield Finding(
                f"{reason}moved here from elsewhere, or the column was changed", stream, seq
            )
