"""All chains of the log at once, checked entry by entry in whatever order the tree has them.

Entries of one stream may come out of their order for a moment (ADR 0010); they wait for their turn.
Of each stream the first bad entry is named, and nothing after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airlock.domain.audit import EVENT_TAG, GENESIS, Head
from airlock.domain.log_tree import Stored

#: The word of an entry about a new key; these are handed out for a closer look.
ROTATED = "KeyRotated"
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
    """One stream on its way: the last entry, and those that came before their turn."""

    seq: int
    hash: bytes
    name: bytes
    early: dict[int, Stored] | None = None
    broken: bool = False


class Chains:
    """All streams at once."""

    def __init__(self) -> None:
        """Start with none."""
        self.known: dict[str, Chain] = {}
        self.count = 0
        #: The bodies of all entries that tell of a new key.
        self.rotations: list[bytes] = []

    @property
    def streams(self) -> frozenset[str]:
        """Every stream seen."""
        return frozenset(self.known)

    def add(self, entry: Stored) -> Finding | None:
        """Take the next entry; return what is wrong with its stream, once."""
        self.count += 1
        stream, seq, what, body, prev, digest = entry
        chain = self.known.get(stream)
        if chain is None:
            chain = self.known[stream] = chain_at(stream, self._before(entry))
        if chain.broken:
            return None
        if seq != chain.seq + 1:
            return self._early(chain, entry)
        if prev == chain.hash and _is_sound(chain, seq, what, body, prev, digest):
            chain.seq, chain.hash = seq, digest
            if what == ROTATED:
                self.rotations.append(body)
            return self._next(chain) if chain.early else None
        chain.broken = True
        return Finding(_what_is_wrong(chain, entry), stream, seq)

    def _before(self, _entry: Stored) -> Head:
        """Return what stands before the first entry of a stream."""
        return Head()

    def _early(self, chain: Chain, entry: Stored) -> Finding | None:
        early = chain.early = chain.early or {}
        if entry[1] <= chain.seq or entry[1] in early:
            chain.broken = True
            return Finding("is there twice: added or reordered", entry[0], entry[1])
        early[entry[1]] = entry
        return None

    def _next(self, chain: Chain) -> Finding | None:
        entry = (chain.early or {}).pop(chain.seq + 1, None)
        if entry is None:
            return None
        self.count -= 1  # it has been counted when it came
        return self.add(entry)

    def close(self, heads: Mapping[str, Head] | None) -> Iterator[Finding]:
        """Compare the ends with what the application believes in; None leaves them unchecked."""
        for stream, chain in self.known.items():
            if chain.early and not chain.broken:
                place, found = chain.seq + 1, min(chain.early)
                reason = f"found entry {found}: deleted, reordered or added"
                yield Finding(reason, stream, place)
                chain.broken = True
        for stream, head in (heads or {}).items():
            known = self.known.get(stream)
            seq, last = (known.seq, known.hash) if known else (0, GENESIS)
            if (seq, last) != (head.seq, head.hash) and not (known and known.broken):
                reason = f"the stream ends at entry {seq}: entries missing"
                yield Finding(reason, stream, head.seq)
        for stream in self.known.keys() - heads.keys() if heads is not None else ():
            yield Finding("the application knows no such stream", stream, 1)


def chain_at(stream: str, head: Head) -> Chain:
    """Return a stream of which *head* was the last entry so far."""
    text = json.dumps(stream, ensure_ascii=False).encode()
    return Chain(head.seq, head.hash, b',"stream":' + text + b',"v":1,"what":"')


def _is_sound(chain: Chain, seq: int, what: str, body: bytes, prev: bytes, digest: bytes) -> bool:
    made = _sha(EVENT_TAG + prev + seq.to_bytes(8, "big") + body).digest()
    if made != digest:
        return False
    # Keys are sorted, so these stand side by side; anything else is looked at closely.
    if b'"seq":%d%s%s","who":' % (seq, chain.name, what.encode()) in body:
        return True
    return _names_its_place(body, chain.name, seq, what)


def _names_its_place(body: bytes, name: bytes, seq: int, what: str) -> bool:
    try:
        content = json.loads(body)
        found = (content["stream"], content["seq"], content["what"])
    except (KeyError, TypeError, ValueError):
        return False
    stream = json.loads(name[len(b',"stream":') : -len(b',"v":1,"what":"')])
    return found == (stream, seq, what)


def _what_is_wrong(chain: Chain, entry: Stored) -> str:
    _, seq, what, body, prev, digest = entry
    if prev != chain.hash:
        return "does not follow the entry before it"
    made = _sha(EVENT_TAG + prev + seq.to_bytes(8, "big") + body).digest()
    if made != digest:
        return "the bytes do not match their hash: edited"
    return "names another place: moved here from elsewhere" if what else "has no word"
