"""The combined check of the log, from bytes alone; the same online and of an export.

Rules:
* Every stream is a chain: places without gaps, each entry over the one before it, hashes computed
  again from the stored bytes (`airlock.domain.audit`).
* Every leaf is the hash of the entry in its place, computed again; at the size of every kept
  checkpoint the tree has the root that was signed. So sizes only grow, and trees only extend.
* An entry was written between the times of the two checkpoints around it.
* An entry without a leaf is younger than the merge delay.
* Where copies of leaves were kept outside, they name the first entry that is another one now.

One entry of each stream, and one place of the tree, is named: the first bad one. Entries come in
the order of the tree, in which those of one stream may be out of order for a moment; they wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from airlock.domain.audit import EVENT_TAG
from airlock.domain.log_chains import ROTATED, Chains, Finding
from airlock.domain.log_tree import Leaf, Stored
from airlock.domain.merkle import Frontier

_sha = hashlib.sha256
_AT = slice(7, 37)
_AT_KEY = b'{"at":"'
#: Leaves that join the tree at a time.
_FOLD = 4_096


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
    kept: Iterable[bytes] = (),
) -> Iterator[Finding]:
    """Check leaves, entries and times against *marks*, which are in order of size.

    *kept* are copies of the leaf hashes, from the first on.
    """
    walk = _Walk(chains, marks, iter(kept))
    for leaf in leaves:
        found = walk.step(leaf)
        if found:
            yield from found
    yield from walk.end()


class _Walk:
    """One walk through the tree."""

    def __init__(self, chains: Chains, marks: Sequence[Mark], kept: Iterator[bytes]) -> None:
        self._chains, self._marks, self._kept = chains, marks, kept
        self._frontier, self._place = Frontier(), 0
        self._new: list[bytes] = []  # leaves that are not in the frontier yet
        self._next = 0
        self._other: int | None = None  # the first leaf that is not the one kept outside
        self._lost = False  # the tree has left the signed one; later roots say nothing new
        self._window()

    def _window(self) -> None:
        """Set the times between which the next entries were written."""
        marks, at = self._marks, self._next
        self._from = marks[at - 1].since.encode() if at else b""
        self._until = marks[at].until.encode() if at < len(marks) else b"~"
        self._size = marks[at].size if at < len(marks) else -1

    def step(self, given: Leaf) -> Sequence[Finding]:
        """Take the next leaf."""
        index, leaf, entry = given
        place = self._place
        found: list[Finding] = []
        if index != place and not self._lost:
            self._lost = True
            found.append(Finding(f"found leaf {index}: leaves are missing", index=place))
        if entry is None:
            found.append(Finding("the entry is gone, its leaf is still there", index=index))
        elif not self._is_fine(leaf, entry):
            found += self._entry(index, leaf, entry)
        if self._other is None and next(self._kept, leaf) != leaf:
            self._other = place
        self._new.append(leaf)
        self._place = place + 1
        if len(self._new) == _FOLD:
            self._fold()
        while place + 1 == self._size:
            found += self._mark()
        return found

    def _fold(self) -> None:
        self._frontier.extend(self._new)
        self._new.clear()

    def _is_fine(self, leaf: bytes, entry: Stored) -> bool:
        """Take an entry in one go if nothing is wrong with it; else leave it to a closer look.

        The same conditions as `Chains.add`, in one expression: this runs for every entry.
        """
        stream, seq, what, body, prev, digest = entry
        chain = self._chains.known.get(stream)
        if (
            chain is not None
            and seq == chain.seq + 1
            and prev == chain.hash
            and not chain.early
            and not chain.broken
            and what != ROTATED
            and _sha(EVENT_TAG + prev + seq.to_bytes(8, "big") + body).digest() == digest
            and _sha(b"\x00" + digest).digest() == leaf
            and self._from <= body[7:37] <= self._until
            and body[:7] == _AT_KEY
            and b'"seq":%d%s%s","who":' % (seq, chain.name, what.encode()) in body
        ):
            chain.seq, chain.hash = seq, digest
            self._chains.count += 1
            return True
        return False

    def _entry(self, index: int, leaf: bytes, entry: Stored) -> list[Finding]:
        wrong = self._chains.add(entry)
        found = [Finding(wrong.reason, wrong.stream, wrong.seq, index)] if wrong else []
        stream, seq, _, body, _, digest = entry
        if _sha(b"\x00" + digest).digest() != leaf:
            found.append(Finding("the leaf is that of another entry", stream, seq, index))
        if not self._from <= body[_AT] <= self._until or body[:7] != _AT_KEY:
            why = f"says it was written at {body[_AT].decode(errors='replace')}, but the "
            why += "checkpoints around it were signed at other times: backdated or forged"
            found.append(Finding(why, stream, seq, index))
        return found

    def _mark(self) -> list[Finding]:
        """Compare the tree with a checkpoint of this size."""
        self._fold()
        mark, found = self._marks[self._next], list[Finding]()
        before = self._marks[self._next - 1].size if self._next else 0
        if self._frontier.root() == mark.root:
            found += self._copy()
        elif not self._lost:
            self._lost = True
            if self._other is not None:
                reason = f"is not the entry that the checkpoint of {mark.size} covers"
                found.append(Finding(f"{reason}, kept in {mark.place}", index=self._other))
            else:
                reason = f"the tree of {mark.size} entries is not the one signed in the checkpoint "
                reason += f"kept in {mark.place}: an entry from {before} to {mark.size - 1} is "
                found.append(Finding(f"{reason}another one", index=before))
        self._next += 1
        self._window()
        return found

    def end(self) -> Iterator[Finding]:
        """Compare the size with that of the last checkpoint."""
        size = self._place
        if self._size >= 0:
            last = self._marks[-1]
            reason = f"the tree has {size} entries, but a checkpoint of {last.size} was signed and "
            yield Finding(f"{reason}kept in {last.place}: entries are gone", index=size)
        if not self._lost:
            yield from self._copy()

    def _copy(self) -> Iterator[Finding]:
        """Say that the copy of the leaves is wrong where the tree is the signed one."""
        if self._other is not None:
            yield Finding("the copy of the leaf kept outside is another one", index=self._other)
            self._other, self._kept = None, iter(())
