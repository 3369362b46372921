"""The combined check of the log, from bytes alone; the same online and of an export.

Rules:
* Every stream is a chain: places without gaps, each entry over the one before it, hashes computed
  again from the stored bytes (`airlock.domain.log.audit`).
* Every leaf is the hash of the entry in its place, computed again; at the size of every kept
  checkpoint the tree has the root that was signed. So sizes only grow, and trees only extend.
* An entry was written between the times of the two checkpoints around it.
* An entry without a leaf is younger than the merge delay.
* Where copies of leaves were kept outside, they name the first entry that is another one now.

Every bad entry is named. Where the tree has left the one that was signed, later checkpoints say
nothing more; copies of the leaves do, one by one. Entries come in the order of the tree, in which
those of one stream may be out of order for a moment; they wait.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from airlock.domain.log.audit import EVENT_TAG
from airlock.domain.log.merkle import Frontier
from airlock.domain.log.stream_chains import ROTATED, Chains, Finding
from airlock.domain.log.tree import Leaf, Stored

_sha = hashlib.sha256
#: How the body of an entry begins: with this, and the time.
_KEY = b'{"at":"'
_AT = slice(7, 37)
#: How it ends.
_END = ord("}")
#: Words of events remembered; there are a few dozen.
_WORDS = 1_000
#: Leaves that join the tree at a time.
_FOLD = 4_096
#: Stretches of leaves that are said to be others than those kept outside, between checkpoints.
_STRETCHES = 100


@dataclass(frozen=True, slots=True)
class Mark:
    """A checkpoint the log has to agree with; the times are spelled as in entries.

    What it covers was written until `until`, what follows from `since` on, which is earlier by the
    merge delay.
    """

    size: int
    root: bytes
    since: str
    until: str
    place: str


def check_tree(
    leaves: Iterable[Leaf],
    chains: Chains,
    marks: Sequence[Mark],
    copies: Iterable[bytes] = (),
) -> Iterator[Finding]:
    """Check leaves, entries and times against *marks*, which are in order of size.

    *copies* are those of the leaf hashes, from the first on.
    """
    walk = Walk(chains, marks, iter(copies))
    yield from walk.through(leaves)
    yield from walk.end()


def marks_within(marks: Sequence[Mark], size: int) -> int:
    """Return how many of *marks*, which are in order of size, are of at most *size* leaves."""
    return bisect_right(marks, size, key=lambda mark: mark.size)


class Walk:
    """One walk through the tree, from its first leaf or from a later one on."""

    def __init__(
        self,
        chains: Chains,
        marks: Sequence[Mark],
        copies: Iterator[bytes],
        frontier: Frontier | None = None,
    ) -> None:
        """Begin behind *frontier*, which is taken as it is."""
        self._chains, self._marks, self._copies = chains, marks, copies
        self._frontier = frontier or Frontier()
        self._place = self._frontier.size
        self._new: list[bytes] = []  # leaves that are not in the frontier yet
        self._tails: dict[str, bytes] = {}  # word -> what follows the stream's name in a body
        self._next = marks_within(marks, self._place) if self._place else 0
        self._others: list[tuple[int, int]] = []  # leaves that are not those kept outside
        self._expected: dict[
            int, bytes
        ] = {}  # what leaves had to be that are those of other entries
        self._fork: Frontier | None = None  # the tree over what leaves had to be
        self._lost = False  # the tree has left the signed one; later roots say nothing new
        self._window()

    def _window(self) -> None:
        """Set the bounds of the next bodies, which begin with when they were written."""
        marks, at = self._marks, self._next
        self._from = _KEY + (marks[at - 1].since.encode() if at else b"")
        self._until = _KEY + (marks[at].until.encode() if at < len(marks) else b"~") + b"\xff"
        self._size = marks[at].size if at < len(marks) else -1

    def through(self, leaves: Iterable[Leaf]) -> Iterator[Finding]:
        """Walk through the tree.

        An entry with which nothing is wrong is taken in one expression, which has the conditions of
        `Chains.add`: this runs for every entry of the log. All else gets a closer look.
        """
        chain_of, tails, take, sha = (
            self._chains.by_stream.get,
            self._tails.get,
            self._new.append,
            _sha,
        )
        place, since, until, fine = self._place, self._from, self._until, 0
        pause = self._pause(place)
        for index, leaf, entry in leaves:
            if (
                index == place
                and entry is not None
                and (chain := chain_of(entry[0])) is not None
                and (tail := tails(entry[2])) is not None
                and (seq := entry[1]) == chain.seq + 1
                and entry[4] == (prev := chain.hash)
                and not chain.early
                and sha(EVENT_TAG + prev + seq.to_bytes(8, "big") + (body := entry[3])).digest()
                == (digest := entry[5])
                and sha(b"\x00" + digest).digest() == leaf
                and since <= body <= until
                and (at := body.rfind(b'"seq":%d%b%b' % (seq, chain.name, tail))) > 0
                and body.count(b"{", at) == 1  # so it stands in the entry itself, not inside
                and body.count(b"}", at) == 2
                and body[-1] == _END
            ):
                chain.seq, chain.hash = seq, digest
                fine += 1
            else:
                yield from self._closely(place, index, leaf, entry)
            take(leaf)
            place += 1
            if place == pause:
                yield from self._rest(place)
                pause, since, until = self._pause(place), self._from, self._until
        yield from self._rest(place)
        self._chains.count += fine

    def _pause(self, place: int) -> int:
        """Return the place after which the leaves taken join the tree."""
        return min(place + _FOLD, self._size if self._size > place else place + _FOLD)

    def _rest(self, place: int) -> Iterator[Finding]:
        """Let the leaves taken join the tree, and compare it with the checkpoints of this size."""
        new = self._new
        self._compare(new, self._place)
        if self._expected or self._fork is not None:
            fork = self._fork or Frontier(self._frontier.size, self._frontier.subtrees)
            fork.extend(self._expected.get(at, leaf) for at, leaf in enumerate(new, self._place))
            self._fork, self._expected = fork, {}
        self._place = place
        self._chains.nodes += self._frontier.extend(new)
        new.clear()
        while place == self._size:
            yield from self._mark()

    def _compare(self, new: Sequence[bytes], first: int) -> None:
        """Compare leaves, of which the first is *first*, with the copies kept outside."""
        others = self._others
        pairs = enumerate(zip(new, islice(self._copies, len(new)), strict=False), first)
        for at in (at for at, (leaf, copy) in pairs if leaf != copy):
            if others and others[-1][1] == at - 1:
                others[-1] = (others[-1][0], at)
            elif len(others) < _STRETCHES:
                others.append((at, at))

    def _closely(
        self, place: int, index: int, leaf: bytes, entry: Stored | None
    ) -> Iterator[Finding]:
        """Take a leaf, and say what is wrong with it."""
        if index != place and not self._lost:
            self._lost = True
            yield Finding(f"found leaf {index}: leaves are missing", index=place)
        if entry is None:
            yield Finding("the entry is gone, its leaf is still there", index=index)
            return
        findings = self._entry(place, index, leaf, entry)
        event_type = entry[2]
        if (
            not findings
            and isinstance(event_type, str)
            and event_type != ROTATED
            and len(self._tails) < _WORDS
        ):
            self._tails[event_type] = event_type.encode() + b'","who":{"id":"'
        yield from findings

    def _entry(self, place: int, index: int, leaf: bytes, entry: Stored) -> list[Finding]:
        stream, seq, _, body, _, digest = entry
        findings = [
            replace(wrong, index=index) if (wrong.stream, wrong.seq) == (stream, seq) else wrong
            for wrong in self._chains.add(entry)
        ]
        expected = _sha(b"\x00" + digest).digest()
        if expected != leaf:
            self._expected[place] = expected
            findings.append(Finding("the leaf is that of another entry", stream, seq, index))
        if not self._from <= body <= self._until:
            why = f"says it was written at {body[_AT].decode(errors='replace')}, but the "
            why += "checkpoints around it were signed at other times: backdated or forged"
            findings.append(Finding(why, stream, seq, index))
        return findings

    def _mark(self) -> list[Finding]:
        """Compare the tree with a checkpoint of this size."""
        mark, findings = self._marks[self._next], list[Finding]()
        before = self._marks[self._next - 1].size if self._next else 0
        if self._fork is not None and self._fork.root() == mark.root:
            self._frontier = self._fork  # leaves were changed, not the entries
        if self._frontier.root() == mark.root:
            findings += self._copy()
            self._fork = None
        elif self._others:
            reason = f"is not the entry that the checkpoint of {mark.size} covers"
            findings += self._apart(f"{reason}, kept in {mark.place}")
        elif not self._lost:
            reason = f"the tree of {mark.size} entries is not the one signed in the checkpoint "
            reason += f"kept in {mark.place}: an entry from {before} to {mark.size - 1} is "
            findings.append(Finding(f"{reason}another one", index=before))
        self._lost = self._lost or bool(findings and self._frontier.root() != mark.root)
        self._next += 1
        self._window()
        return findings

    def end(self) -> Iterator[Finding]:
        """Compare the size with that of the last checkpoint."""
        size = self._place
        if self._size >= 0:
            last = self._marks[-1]
            reason = f"the tree has {size} entries, but a checkpoint of {last.size} was signed and "
            yield Finding(f"{reason}kept in {last.place}: entries are gone", index=size)
        yield from self._apart("is not the entry kept outside") if self._lost else self._copy()

    def _apart(self, reason: str) -> Iterator[Finding]:
        """Say of which leaves others were kept outside."""
        for first, last in self._others:
            also = f"; so are all up to {last}" if last > first else ""
            yield Finding(f"{reason}{also}", index=first)
        self._others = []

    def _copy(self) -> Iterator[Finding]:
        """Say that the copy of the leaves is wrong where the tree is the signed one."""
        yield from self._apart("the copy of the leaf kept outside is another one")
