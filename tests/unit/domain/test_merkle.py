"""RFC 6962: known roots, and proofs that hold for what is there and for nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.log.merkle import (
    EMPTY,
    STRIDE,
    Frontier,
    consistency,
    consistent,
    included,
    inclusion,
    leaf_hash,
    node_hash,
    root,
)

#: The entries and roots of the reference implementations of RFC 6962.
ENTRIES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


def plain_root(hashes: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, word for word."""
    if not hashes:
        return EMPTY
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return node_hash(plain_root(hashes[:half]), plain_root(hashes[half:]))


def stored(hashes: Sequence[bytes]) -> Callable[[int, int, int], list[bytes]]:
    """Store a tree as the log does: leaves and every eighth level."""
    levels: dict[int, list[bytes]] = {0: list(hashes)}
    growing = Frontier()
    for leaf in hashes:
        for level, index, node in growing.add(leaf):
            nodes = levels.setdefault(level, [])
            assert index == len(nodes)
            nodes.append(node)
    assert all(level % STRIDE == 0 for level in levels)
    return lambda level, first, last: levels.get(level, [])[first:last]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_of_the_reference_implementations(size: int) -> None:
    hashes = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES[:size]]
    assert root(size, stored(hashes)).hex() == ROOTS[size - 1]


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", [*range(0, 40), 255, 256, 257, 511, 512, 700])
def test_roots_and_all_inclusion_proofs_of_every_size(size: int) -> None:
    hashes = leaves(size)
    nodes, expected = stored(hashes), plain_root(hashes)
    assert root(size, nodes) == expected
    for index in range(size) if size < 64 else (0, 1, size // 2, 255, size - 1):
        if index >= size:
            continue
        path = inclusion(index, size, nodes)
        assert included(hashes[index], index, size, path, expected)
        assert not included(hashes[index], (index + 1) % size, size, path, expected) or size == 1
        assert not included(leaf_hash(b"other"), index, size, path, expected)


def test_all_consistency_proofs_between_all_small_sizes() -> None:
    hashes = leaves(33)
    nodes = stored(hashes)
    roots = [plain_root(hashes[:size]) for size in range(34)]
    for new in range(34):
        for old in range(new + 1):
            path = consistency(old, new, nodes)
            assert consistent(old, new, path, roots[old], roots[new])
            if old and path:
                assert not consistent(old, new, path, leaf_hash(b"x"), roots[new])
                assert not consistent(old, new, path, roots[old], leaf_hash(b"x"))
                assert not consistent(old, new, path[:-1], roots[old], roots[new])
                assert not consistent(old, new, [*path, path[0]], roots[old], roots[new])


@given(st.integers(1, 400), st.data())
def test_a_changed_hash_anywhere_breaks_a_proof(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion(index, size, stored(hashes))
    expected = plain_root(hashes)
    for place in range(len(path)):
        broken = [*path]
        broken[place] = bytes([broken[place][0] ^ 1]) + broken[place][1:]
        assert not included(hashes[index], index, size, broken, expected)


@given(st.integers(1, 600), st.integers(1, 600))
def test_a_frontier_continues_where_it_stopped(first: int, more: int) -> None:
    hashes = leaves(first + more)
    growing = Frontier.load(first, stored(hashes[:first]))
    for leaf in hashes[first:]:
        growing.add(leaf)
    assert growing.root() == plain_root(hashes)


def test_what_is_not_there_has_no_proof() -> None:
    nodes = stored(leaves(3))
    with pytest.raises(ValueError, match="no leaf 3"):
        inclusion(3, 3, nodes)
    with pytest.raises(ValueError, match="cannot extend"):
        consistency(4, 3, nodes)
    with pytest.raises(ValueError, match="are missing"):
        root(5, nodes)
    assert not included(leaf_hash(b""), 3, 3, [], EMPTY)
    assert not consistent(4, 3, [], EMPTY, EMPTY)
    assert not consistent(1, 3, [], EMPTY, EMPTY)


@given(st.lists(st.integers(0, 70), max_size=6))
def test_leaves_that_join_together_make_the_tree_of_those_that_join_one_by_one(
    lots: list[int],
) -> None:
    together, alone = Frontier(), Frontier()
    for lot in lots:
        new = [leaf_hash(b"%d" % (alone.size + place)) for place in range(lot)]
        together.extend(new)
        for leaf in new:
            alone.add(leaf)
        assert (together.size, together.subtrees) == (alone.size, alone.subtrees)
        assert together.root() == alone.root()
