"""The log checked in two halves at once, for the case that nothing at all is wrong with it.

Rules:
* A half is walked with the chains and the tree as they are where it begins taken as given, and
  noted: what stands before the first entry of each stream, and the subtrees. One finding, or one
  entry that still waits for its turn at the end, and the half says nothing.
* Two halves are the whole log if the second begins with what the first ended with: the same place,
  the same subtrees, every stream where the first left it, all checkpoints passed by one of them,
  and the leaves those of the copies kept outside.
* Then the walk through the whole log finds nothing either. In any doubt there is no answer, and
  that walk has to be made: what is wrong is said by it alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airlock.domain.log.audit import Head
from airlock.domain.log.erasable_texts import TextCheck
from airlock.domain.log.merkle import Frontier
from airlock.domain.log.stream_chains import Chains, chain_at
from airlock.domain.log.tree import Leaf, Stored
from airlock.domain.log.walk import Mark, Walk, marks_within

#: Bytes of a leaf hash.
_LEAF = 32


@dataclass(frozen=True, slots=True)
class Half:
    """A stretch of the log in which nothing is wrong, if what it begins with is right."""

    begin: int
    end: int
    before: tuple[bytes, ...]  # the subtrees it begins with
    after: tuple[bytes, ...]
    marks: int  # checkpoints passed, those before it included
    streams: Mapping[str, tuple[Head, Head]]  # what stands before its first entry, and its last
    rotations: tuple[bytes, ...]
    nodes: tuple[tuple[int, int, bytes], ...]  # those that are stored
    leaves: bytes  # digest of its leaf hashes, as far as there are copies
    gone: tuple[tuple[str, str, int], ...]  # texts that are not there
    erased: frozenset[str]


class _LateChains(Chains):
    """All streams from some place on: the first entry of each is followed, not judged."""

    def __init__(self) -> None:
        super().__init__()
        self.openings: dict[str, Head] = {}

    def _before(self, entry: Stored) -> Head:
        stream, seq, _, _, prev, _ = entry
        head = self.openings[stream] = Head(seq - 1, prev)
        return head


class _HalfWalk(Walk):
    """A walk that takes the digest of its leaves in place of comparing them with the copies."""

    def __init__(
        self, chains: Chains, marks: Sequence[Mark], frontier: Frontier, copied: int
    ) -> None:
        super().__init__(chains, marks, iter(()), frontier)
        self._copied = copied
        self.digest = hashlib.sha256()

    def _compare(self, new: Sequence[bytes], first: int) -> None:
        if first < self._copied:
            self.digest.update(b"".join(new[: self._copied - first]))

    @property
    def passed(self) -> int:
        """How many checkpoints are behind it."""
        return self._next


def walk_half(
    leaves: Iterable[Leaf],
    frontier: Frontier,
    marks: Sequence[Mark],
    texts: TextCheck,
    copied: int,
) -> Half | None:
    """Walk through *leaves*, which begin behind *frontier*; None if anything is odd.

    *copied*: how many leaves of the whole log there are copies of.
    """
    begin, before, chains = frontier.size, frontier.subtrees, _LateChains()
    walk = _HalfWalk(chains, marks, frontier, copied)
    try:
        if any(True for _ in walk.through(texts.leaves(leaves))):
            return None
        losses = texts.losses()
    except (AttributeError, OverflowError, TypeError, ValueError):  # values of types no entry has
        return None
    if losses is None or any(chain.early for chain in chains.by_stream.values()):
        return None
    streams = {
        name: (chains.openings[name], Head(chain.seq, chain.hash))
        for name, chain in chains.by_stream.items()
    }
    return Half(
        begin=begin,
        end=frontier.size,
        before=before,
        after=frontier.subtrees,
        marks=walk.passed,
        streams=streams,
        rotations=tuple(chains.rotations),
        nodes=tuple(chains.nodes),
        leaves=walk.digest.digest(),
        gone=tuple(losses[0]),
        erased=frozenset(losses[1]),
    )


def whole(first: Half, second: Half, marks: Sequence[Mark], copies: Sequence[bytes]) -> bool:
    """Say whether two halves follow each other, agree with *copies*, and leave no mark out."""
    return (
        (first.begin, first.before) == (0, ())
        and (first.end, first.after) == (second.begin, second.before)
        and first.marks == marks_within(marks, first.end)
        and second.marks == len(marks)
        and first.leaves == _digest(copies, 0, first.end)
        and second.leaves == _digest(copies, second.begin, second.end)
    )


def joined(first: Half, second: Half) -> Chains | None:
    """Return the chains of two halves; None if the second does not continue the first."""
    chains = Chains()
    for half in (first, second):
        for stream, (before, last) in half.streams.items():
            chain = chains.by_stream.get(stream)
            if before != (Head(chain.seq, chain.hash) if chain else Head()):
                return None
            chains.by_stream[stream] = chain_at(stream, last)
        chains.rotations += half.rotations
        chains.nodes += half.nodes
    chains.count = second.end
    return chains


def copied_leaves(copies: Sequence[bytes]) -> int | None:
    """Return how many leaves there are in *copies*; None if one is cut short."""
    return None if any(len(copy) % _LEAF for copy in copies) else sum(map(len, copies)) // _LEAF


def _digest(copies: Sequence[bytes], first: int, last: int) -> bytes:
    """Return the digest of the copies of the leaves `first <= index < last`."""
    sha, at = hashlib.sha256(), 0
    for copy in copies:
        sha.update(memoryview(copy)[max(first * _LEAF - at, 0) : max(last * _LEAF - at, 0)])
        at += len(copy)
    return sha.digest()


def half_to_document(half: Half) -> dict[str, Any]:
    """Return a half as JSON data."""
    return {
        "begin": half.begin,
        "end": half.end,
        "before": [subtree.hex() for subtree in half.before],
        "after": [subtree.hex() for subtree in half.after],
        "marks": half.marks,
        "streams": [
            [name, before.seq, before.hash.hex(), last.seq, last.hash.hex()]
            for name, (before, last) in half.streams.items()
        ],
        "rotations": [body.hex() for body in half.rotations],
        "nodes": [(level, index, digest.hex()) for level, index, digest in half.nodes],
        "leaves": half.leaves.hex(),
        "gone": half.gone,
        "erased": sorted(half.erased),
    }


def half_from_document(document: Mapping[str, Any]) -> Half:
    """Return a half from JSON data.

    Raises:
        KeyError, TypeError, ValueError: if it is none.
    """
    read = bytes.fromhex
    return Half(
        begin=document["begin"],
        end=document["end"],
        before=tuple(map(read, document["before"])),
        after=tuple(map(read, document["after"])),
        marks=document["marks"],
        streams={
            name: (Head(seq, read(digest)), Head(last, read(end)))
            for name, seq, digest, last, end in document["streams"]
        },
        rotations=tuple(map(read, document["rotations"])),
        nodes=tuple((level, index, read(digest)) for level, index, digest in document["nodes"]),
        leaves=read(document["leaves"]),
        gone=tuple((commitment, stream, seq) for commitment, stream, seq in document["gone"]),
        erased=frozenset(document["erased"]),
    )
