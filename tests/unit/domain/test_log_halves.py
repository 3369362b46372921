"""Two halves say that all is well only where the walk through the whole log finds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.domain.log.audit import Event, Head, append
from airlock.domain.log.erasable_texts import ERASURE, TextCheck, commit
from airlock.domain.log.merkle import Frontier, leaf_hash
from airlock.domain.log.partition import (
    copied_leaves,
    half_from_document,
    half_to_document,
    joined,
    walk_half,
    whole,
)
from airlock.domain.log.stream_chains import ROTATED, Chains, Finding
from airlock.domain.log.tree import Leaf
from airlock.domain.log.walk import Mark, check_tree


def at(place: int) -> str:
    return f"2026-01-01T00:{place // 60:02d}:{place % 60:02d}.000000000Z"


def written(
    order: Sequence[str], why: Sequence[str] = (), erased: Sequence[str] = ()
) -> list[Leaf]:
    """Return a log with one entry for each stream name in *order*."""
    heads: dict[str, Head] = {}
    leaves: list[Leaf] = []
    for place, stream in enumerate(order):
        kind = ROTATED if stream == "keys" else ERASURE if stream == "access" else "Said"
        data = {"commitments": list(erased)} if kind == ERASURE else {}
        reason = why[place] if place < len(why) else ""
        event = Event(
            type=kind,
            actor_id="vera",
            roles=(),
            channel="cli",
            resource="x",
            old=None,
            new=None,
            why=reason,
            policy="",
            data=data,
        )
        entry = append(heads.get(stream, Head()), stream, event, at(place))
        heads[stream] = Head(entry.seq, entry.hash)
        stored = (stream, entry.seq, kind, entry.body, entry.prev, entry.hash)
        leaves.append((place, leaf_hash(entry.hash), stored))
    return leaves


@dataclass
class Case:
    """A log, what is kept outside it, and where it is split."""

    leaves: list[Leaf]
    sizes: Sequence[int] = ()
    split: int = 0
    copied: int = 0
    texts: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    nodes: list[bytes] = field(default_factory=list)  # the leaves the stored nodes were made of

    def __post_init__(self) -> None:
        hashes = [leaf for _, leaf, _ in self.leaves]
        self.nodes = hashes[: self.split]
        self.marks = [self._mark(hashes[:size]) for size in sorted(self.sizes)]
        self.copies = [b"".join(hashes[: self.copied])]

    @staticmethod
    def _mark(hashes: Sequence[bytes]) -> Mark:
        tree, size = Frontier(), len(hashes)
        tree.extend(hashes)
        return Mark(size, tree.root(), at(0), at(size), "a folder")

    def look(self, commitments: Any) -> dict[str, tuple[bytes, str]]:
        return {
            commitment: self.texts[commitment]
            for commitment in commitments
            if commitment in self.texts
        }

    def alone(self) -> tuple[list[Finding], Chains]:
        """Verify the log in one process."""
        chains, texts, copies = Chains(), TextCheck(self.look), b"".join(self.copies)
        hashes = [copies[start : start + 32] for start in range(0, len(copies), 32)]
        findings = list(check_tree(texts.leaves(self.leaves), chains, self.marks, hashes))
        return findings + texts.findings(), chains

    def together(self) -> tuple[list[Finding], Chains] | None:
        """Walk through it by two, the second half brought over as JSON."""
        start, copied, m = Frontier(), copied_leaves(self.copies) or 0, self.split
        start.extend(self.nodes)
        firsts, seconds = self.leaves[:m], self.leaves[m:]
        first = walk_half(firsts, Frontier(), self.marks, TextCheck(self.look), copied)
        second = walk_half(seconds, start, self.marks, TextCheck(self.look), copied)
        if first is None or second is None:
            return None
        brought = half_from_document(json.loads(json.dumps(half_to_document(second))))
        assert brought == second
        chains = joined(first, second)
        if chains is None or not whole(first, second, self.marks, self.copies):
            return None
        texts = TextCheck(self.look)
        for half in (first, second):
            texts.take(half.gone, half.erased)
        return texts.findings(), chains


def state(chains: Chains) -> Any:
    ends = [(name, head.seq, head.hash, head.name) for name, head in chains.by_stream.items()]
    return chains.count, chains.rotations, ends


Damage = Callable[[Case, int, int], None]


def change(case: Case, place: int, **fields: Any) -> None:
    """Change the entry at *place* and nothing else."""
    index, leaf, entry = case.leaves[place]
    assert entry is not None
    names = ("stream", "seq", "what", "body", "prev", "hash")
    row = {**dict(zip(names, entry, strict=True)), **fields}
    case.leaves[place] = (index, leaf, tuple(row[name] for name in names))  # type: ignore[assignment]


def swap(case: Case, index: int, other: int) -> None:
    first, second = case.leaves[index], case.leaves[other]
    case.leaves[index], case.leaves[other] = (index, *second[1:]), (other, *first[1:])


def twice(case: Case, index: int, other: int) -> None:
    case.leaves[index] = (index, *case.leaves[other][1:])


def cut(case: Case, index: int, _other: int) -> None:
    del case.leaves[index]


def cut_and_number(case: Case, index: int, _other: int) -> None:
    del case.leaves[index]
    case.leaves[:] = [(place, *leaf[1:]) for place, leaf in enumerate(case.leaves)]


def forge_stored_nodes(case: Case, index: int, _other: int) -> None:
    if case.nodes:
        case.nodes[index % len(case.nodes)] = bytes(32)


def forge_copy(case: Case, index: int, _other: int) -> None:
    at = index * 32
    case.copies = [case.copies[0][:at] + bytes(32) + case.copies[0][at + 32 :]]


def forge_mark(case: Case, index: int, _other: int) -> None:
    if case.marks:
        place = index % len(case.marks)
        case.marks[place] = replace(case.marks[place], root=bytes(32))


def sign_early(case: Case, index: int, _other: int) -> None:
    if case.marks:
        place = index % len(case.marks)
        case.marks[place] = replace(case.marks[place], until=at(0))


def body_of(case: Case, place: int) -> bytes:
    entry = case.leaves[place][2]
    return entry[3] or b"" if entry else b""


DAMAGES: dict[str, Damage] = {
    "edited": lambda case, index, _: change(case, index, body=body_of(case, index) + b" "),
    "another link": lambda case, index, _: change(case, index, prev=bytes(32)),
    "another hash": lambda case, index, _: change(case, index, hash=bytes(32)),
    "another number": lambda case, index, other: change(case, index, seq=other),
    "another stream": lambda case, index, _: change(case, index, stream="other"),
    "no number": lambda case, index, _: change(case, index, seq=None),
    "no body": lambda case, index, _: change(case, index, body=None),
    "moved": swap,
    "twice": twice,
    "cut": cut,
    "cut and numbered": cut_and_number,
    "entry gone": lambda case, index, _: case.leaves.__setitem__(
        index, (*case.leaves[index][:2], None)
    ),
    "leaf changed": lambda case, index, _: case.leaves.__setitem__(
        index, (index, bytes(32), case.leaves[index][2])
    ),
    "stored nodes forged": forge_stored_nodes,
    "copy forged": forge_copy,
    "mark forged": forge_mark,
    "signed before it was written": sign_early,
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = st.sampled_from(["rel-1", "rel-2", "life", "keys", 'odd "name" \u2028'])
    order = draw(st.lists(names, min_size=2, max_size=40))
    size = len(order)
    sizes = draw(st.lists(st.integers(1, size), max_size=5))
    split, copied = draw(st.integers(1, size - 1)), draw(st.integers(0, size))
    return Case(written(order), sizes, split, copied)


@given(cases())
def test_a_sound_log_is_seen_to_be_sound_wherever_it_is_split(case: Case) -> None:
    together = case.together()
    assert together is not None
    assert case.alone()[0] == together[0] == []
    assert state(together[1]) == state(case.alone()[1])


@given(case=cases(), data=st.data())
@settings(max_examples=400)
def test_two_say_that_all_is_well_only_if_one_finds_nothing(
    case: Case, data: st.DataObject
) -> None:
    place = st.integers(0, len(case.leaves) - 1)
    damages = data.draw(st.lists(st.sampled_from(sorted(DAMAGES)), min_size=1, max_size=2))
    for name in damages:
        index, other = data.draw(place), data.draw(place)
        if max(index, other) < len(case.leaves) and case.leaves[index][2] is not None:
            DAMAGES[name](case, index, other)
    together = case.together()
    if together is not None:
        findings, chains = case.alone()
        assert findings == together[0] == []
        assert state(chains) == state(together[1])


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_is_doubted_in_either_half(name: str) -> None:
    for index, other in ((2, 9), (9, 2), (5, 6), (6, 5)):
        case = Case(written(["rel-1", "life"] * 6), sizes=[3, 6, 12], split=6, copied=12)
        DAMAGES[name](case, index, other)
        assert case.together() is None, (index, other)


@pytest.mark.parametrize(
    ("order", "split"),
    [
        pytest.param(["a", "b", "a", "b", "a", "b"], 3, id="streams cross the boundary"),
        pytest.param(["a", "a", "a", "b", "b", "b"], 3, id="one ends before it, one starts after"),
        pytest.param(["a", "a", "a", "a", "b", "b"], 4, id="one ends, one starts on it"),
        pytest.param(["b", "keys", "a", "keys", "c", "b"], 3, id="the order of streams stays"),
    ],
)
def test_streams_go_on_where_they_were_left(order: list[str], split: int) -> None:
    case = Case(written(order), sizes=[split, len(order)], split=split)
    together = case.together()
    assert together is not None
    assert state(together[1]) == state(case.alone()[1])


@pytest.mark.parametrize(("split", "sure"), [(2, False), (3, False), (4, True)])
def test_an_entry_that_waits_at_the_boundary_is_a_doubt(split: int, sure: bool) -> None:
    leaves = written(["a", "b", "a", "a", "b"])
    swap(Case(leaves), 2, 3)  # the later entry of `a` joined the tree first
    case = Case(leaves, sizes=[5], split=split)
    assert case.alone()[0] == []
    assert (case.together() is not None) is sure


def test_a_stream_that_begins_anew_behind_the_boundary_is_a_doubt() -> None:
    case = Case(written(["a", "b", "a"]), split=2)
    fresh = written(["a", "b", "a"])[0]
    case.leaves[2] = (2, *fresh[1:])
    assert case.alone()[0] != []
    assert case.together() is None


def test_a_first_half_written_anew_under_the_old_nodes_and_marks_is_a_doubt() -> None:
    order = ["a", "a", "a", "b", "b", "b"]
    case = Case(written(order), sizes=[6], split=3)
    case.leaves[:3] = written(order, ["nothing to see here"])[:3]
    assert [finding.reason[:20] for finding in case.alone()[0]] == ["the tree of 6 entrie"]
    assert case.together() is None


@pytest.mark.parametrize("sizes", [[7], [3, 7], [0, 3, 6], [0]])
def test_a_checkpoint_that_nobody_passes_is_a_doubt(sizes: list[int]) -> None:
    case = Case(written(["a"] * 6), split=3)
    case.marks = [Mark(size, bytes(32), at(0), at(9), "a folder") for size in sizes]
    assert case.alone()[0] != []
    assert case.together() is None


def test_a_text_erased_in_the_other_half_is_not_missed_and_one_that_is_gone_is() -> None:
    here, gone, lost = (commit(bytes(32), word) for word in ("here", "gone", "lost"))
    for order in (["a", "access", "a", "a"], ["a", "a", "a", "access"]):
        why = [gone if name == "a" else "" for name in order]
        case = Case(written(order, why, [gone]), split=2, texts={here: (bytes(32), "here")})
        assert case.together() is not None
        assert case.together()[0] == case.alone()[0] == []  # type: ignore[index]
    case = Case(written(["a", "b", "c"], [lost, here, lost]), split=1)
    case.texts[here] = (bytes(32), "here")
    together = case.together()
    assert together is not None
    assert together[0] == case.alone()[0]
    assert [finding.stream for finding in together[0]] == ["a", "c"]
    case.texts[here] = (bytes(32), "other words")
    assert case.together() is None
