"""The Merkle tree of RFC 6962 over SHA-256: roots, and proofs of inclusion and consistency.

Rules:
* A leaf is `SHA-256(0x00 || data)`, an inner node `SHA-256(0x01 || left || right)`; the empty tree
  is `SHA-256("")`. A range of n leaves splits at the largest power of two below n.
* A complete subtree never changes again. `Frontier` holds those a tree of some size is made of, so
  growing needs memory for a handful of hashes only.
* Proofs are made from stored nodes: leaves (level 0) and every eighth level above. So a proof in
  a tree of a million reads a few hundred hashes, and storing nodes costs 1/256 of the leaves.

It knows bytes and numbers; what an entry is, and where nodes are kept, is not its business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

EMPTY = hashlib.sha256(b"").digest()
#: Levels between two stored ones: 0, 8, 16 and so on are stored.
STRIDE = 8

Proof = TypeVar("Proof")
#: A stretch of one level: (level, first, last).
Stretch: TypeAlias = tuple[int, int, int]

#: (level, first, last) -> the stored hashes `first <= index < last` of one level.
Nodes = Callable[[int, int, int], Sequence[bytes]]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree, as the complete subtrees it is made of, the largest first."""

    def __init__(self, size: int = 0, subtrees: Sequence[bytes] = ()) -> None:
        """Continue a tree; the empty one by default."""
        self.size = size
        self._subtrees = list(subtrees)

    @classmethod
    def load(cls, size: int, nodes: Nodes) -> Frontier:
        """Return the frontier of a stored tree."""
        subtrees, begin = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                subtrees.append(_complete(level, begin >> level, nodes))
                begin += 1 << level
        return cls(size, subtrees)

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append a leaf hash; return the nodes to store: (level, index, hash)."""
        new: list[tuple[int, int, bytes]] = []
        place, level, node = self.size, 0, leaf
        sha, subtrees = hashlib.sha256, self._subtrees
        while place & 1:
            node = sha(b"\x01" + subtrees.pop() + node).digest()
            place >>= 1
            level += 1
            if not level % STRIDE:
                new.append((level, place, node))
        subtrees.append(node)
        self.size += 1
        return new

    @property
    def subtrees(self) -> tuple[bytes, ...]:
        """The complete subtrees it is made of, the largest first."""
        return tuple(self._subtrees)

    def extend(self, leaves: Iterable[bytes]) -> list[tuple[int, int, bytes]]:
        """Append leaf hashes, level by level; return the nodes to store: (level, index, hash)."""
        sha, subtrees, place, single = hashlib.sha256, self._subtrees, self.size, list[bytes]()
        row, level, new = list(leaves), 0, list[tuple[int, int, bytes]]()
        self.size += len(row)
        while row:
            if level and not level % STRIDE:
                new += [(level, index, digest) for index, digest in enumerate(row, place)]
            if place & 1:
                row.insert(0, subtrees.pop())
            if len(row) & 1:
                single.append(row.pop())
            pairs = zip(row[::2], row[1::2], strict=True)
            row = [sha(b"\x01" + left + right).digest() for left, right in pairs]
            place >>= 1
            level += 1
        subtrees.extend(reversed(single))
        return new

    def root(self) -> bytes:
        """Return the root hash."""
        if not self._subtrees:
            return EMPTY
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = node_hash(left, node)
        return node


def root(size: int, nodes: Nodes) -> bytes:
    """Return the root of the first *size* leaves of a stored tree."""
    return Frontier.load(size, nodes).root()


def inclusion(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """Return the audit path of leaf *index* in the tree of *size*: RFC 6962, 2.1.1.

    Raises:
        ValueError: if there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range(middle, end, nodes))
            end = middle
        else:
            path.append(_range(begin, middle, nodes))
            begin = middle
    return path[::-1]


def consistency(old: int, new: int, nodes: Nodes) -> list[bytes]:
    """Return the proof that the tree of *new* leaves extends that of *old*: RFC 6962, 2.1.2.

    Raises:
        ValueError: if *old* is larger than *new*.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} cannot extend one of {old}")
    if old in (0, new):
        return []
    path, begin, end, whole = [], 0, new, True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_range(middle, end, nodes))
            end = middle
        else:
            path.append(_range(begin, middle, nodes))
            begin, whole = middle, False
    if not whole:
        path.append(_range(begin, end, nodes))
    return path[::-1]


def at_once(
    make: Callable[[Nodes], Proof],
    fetch: Callable[[Sequence[Stretch]], Mapping[Stretch, Sequence[bytes]]],
) -> Proof:
    """Make a proof with a single look at the store: which nodes it needs never depends on them."""
    stretches: list[Stretch] = []

    def note(level: int, first: int, last: int) -> Sequence[bytes]:
        stretches.append((level, first, last))
        return [EMPTY] * (last - first)

    make(note)
    hashes = fetch(stretches)
    return make(lambda level, first, last: hashes[level, first, last])


def included(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes
) -> bool:
    """Return whether *path* proves a leaf hash at *index* under *expected_root*."""
    if not 0 <= index < size:
        return False
    node, last, left = leaf, size - 1, index
    for sibling in path:
        if not last:
            return False
        if left & 1 or left == last:
            node = node_hash(sibling, node)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        left, last = left >> 1, last >> 1
    return not last and node == expected_root


def consistent(old: int, new: int, path: Sequence[bytes], before: bytes, after: bytes) -> bool:
    """Say whether *path* proves that the root *after* of *new* leaves extends *before* of *old*."""
    if not 0 < old < new:
        return not path and 0 <= old <= new and before == (after if old == new else EMPTY)
    left, last = old - 1, new - 1
    while left & 1:
        left, last = left >> 1, last >> 1
    hashes = [before, *path] if not left else list(path)
    if not hashes:
        return False
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if not last:
            return False
        if left & 1 or left == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        left, last = left >> 1, last >> 1
    return not last and first == before and second == after


def _split(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


def _range(begin: int, end: int, nodes: Nodes) -> bytes:
    """Return the hash of a range that starts where its largest complete subtree does."""
    count = end - begin
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return _complete(level, begin >> level, nodes)
    middle = begin + _split(count)
    return node_hash(_range(begin, middle, nodes), _range(middle, end, nodes))


def _complete(level: int, index: int, nodes: Nodes) -> bytes:
    """Return the node of a complete subtree, from the nearest stored level at or below it."""
    rise = level % STRIDE
    hashes = list(nodes(level - rise, index << rise, (index + 1) << rise))
    if len(hashes) != 1 << rise:
        raise ValueError(f"nodes of level {level - rise} are missing below node {index}")
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
    return hashes[0]
