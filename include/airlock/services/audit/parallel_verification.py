"""Two processes walk through a large log, which one would need twice the time for.

The first walks in this process, the second in a helper of the store that sees the same commit.
What they found counts only if it is nothing at all and they fit (`airlock.domain.log.partition`);
else, and when the helper died or is not done in time, the log is walked through as ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from airlock.domain.log.erasable_texts import TextCheck
from airlock.domain.log.merkle import Frontier
from airlock.domain.log.partition import (
    Half,
    copied_leaves,
    half_from_document,
    joined,
    walk_half,
    whole,
)
from airlock.domain.log.stream_chains import Chains
from airlock.domain.log.tree import Tree
from airlock.domain.log.walk import Mark
from airlock.services.audit.log_store import Helper, LogWork


@dataclass(frozen=True, slots=True)
class Split:
    """When and where a log is split."""

    #: Leaves from which on a second process pays for its start.
    size: int = 200_000
    #: What the first of the two walks through; it also compares the tables.
    share: float = 7 / 16
    #: Seconds the helper may be behind when the first is done.
    patience_s: float = 20.0
    #: Processors without which two are no faster than one.
    processors: int = 2

    def at(self, tree: Tree | None) -> int:
        """Return the first leaf of the second half; 0 to walk in one."""
        if tree is None or tree.size < self.size or _processors() < self.processors:
            return 0
        return int(tree.size * self.share)


class Halving:
    """A log on its way to be walked through by two."""

    def __init__(
        self,
        unit: LogWork,
        helper: Helper,
        place: int,
        marks: Sequence[Mark],
        copies: Sequence[bytes],
        patience_s: float,
    ) -> None:
        """Take over a *helper* that walks from *place* on."""
        self._unit, self._helper, self._place = unit, helper, place
        self._marks, self._copies, self._patience_s = marks, copies, patience_s

    def walk(self, texts: TextCheck) -> Chains | None:
        """Walk through the first half; return the chains of both, or None to walk sequentially."""
        if self._helper.failed():
            return None
        own_texts = TextCheck(self._unit.texts_of, self._unit.owners_of)
        copied = copied_leaves(self._copies) or 0
        leaves = self._unit.leaves(last=self._place)
        first = walk_half(leaves, Frontier(), self._marks, own_texts, copied)
        second = self._second() if first else None
        if not first or not second or not whole(first, second, self._marks, self._copies):
            return None
        chains = joined(first, second)
        for half in (first, second) if chains else ():
            texts.take(half.gone, half.erased)
        return chains

    def _second(self) -> Half | None:
        answer = self._helper.answer(self._patience_s)
        try:
            return half_from_document(answer) if answer else None
        except (KeyError, TypeError, ValueError):
            return None


@contextmanager
def halved(
    unit: LogWork, tree: Tree | None, marks: Sequence[Mark], copies: Sequence[bytes], split: Split
) -> Iterator[Halving | None]:
    """Start the helper where it pays, and end it in any case."""
    place, copied = split.at(tree), copied_leaves(copies)
    helper = unit.helper(job_of(place, marks, copied)) if place and copied is not None else None
    if helper is None:
        yield None
        return
    try:
        yield Halving(unit, helper, place, marks, copies, split.patience_s)
    finally:
        helper.stop()


def job_of(place: int, marks: Sequence[Mark], copied: int) -> dict[str, Any]:
    """Return the job of a helper as JSON data."""
    documents = [{**asdict(mark), "root": mark.root.hex()} for mark in marks]
    return {"place": place, "marks": documents, "copied": copied}


def work(unit: LogWork, job: dict[str, Any]) -> Half | None:
    """Do the job of a helper."""
    marks = [Mark(**{**mark, "root": bytes.fromhex(mark["root"])}) for mark in job["marks"]]
    place, texts = job["place"], TextCheck(unit.texts_of, unit.owners_of)
    frontier = Frontier.load(place, unit.nodes)
    return walk_half(unit.leaves(first=place), frontier, marks, texts, job["copied"])


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
