"""label-balance: is there enough of each answer to learn from, and as much of it as before?

Every class of the training rows has at least the share *min_share*, and its distribution lies at
most *max_change* from the one the champion was trained on, as the largest difference of cumulative
shares (the Kolmogorov-Smirnov distance; for two classes simply the change of the share). A number
to predict has no classes: there the share of rows outside its commonest value counts, because a
target that is nearly always the same teaches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.domain.strict_zip import together
from airlock.gates.inputs import count, first_release, text

_NO_CLASS = ("(missing)", "(other)", "(new)")


@dataclass(frozen=True)
class LabelBalance:
    """The rarest answer has at least *min_share*; the change stays within *max_change*."""

    name: ClassVar[str] = "label-balance"
    needs: ClassVar[tuple[str, ...]] = ("label-balance",)
    limit: ClassVar[Limit] = "at least"

    min_share: float = 0.01
    max_change: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.min_share <= 0.5:
            raise ValueError(f"min_share must be above 0 and at most 0.5, found {self.min_share}")
        if not 0 < self.max_change <= 1:
            raise ValueError(f"max_change must be above 0 and at most 1, found {self.max_change}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Judge the shares, then the change."""
        source = evidence[self.needs[0]]
        facts = source.facts
        (column,) = facts["columns"]
        if facts["task"] not in ("classification", "regression"):
            raise ValueError(f"the task is {facts['task']!r}")
        if text(column["column"], "the column") != text(facts["target"], "the target"):
            raise ValueError(f"{column['column']} was counted, and the target is {facts['target']}")
        for label in column["labels"]:
            text(label, "a label")
        n = sum(column["current"])
        if n < 1 or n != facts["rows"]["current"]:
            raise ValueError(f"{n} answers of {facts['rows']['current']} rows")
        if dict(together(column["labels"], column["current"])).get("(missing)"):
            raise ValueError(f"answers are missing in {facts['target']}")
        rarest, sentence = self._rarest(facts, column, n)
        change, before = self._change(facts, column)
        bad = [] if rarest >= self.min_share else [f"below {self.min_share:.2%}: too few to learn"]
        if change is not None and change > self.max_change:
            bad.append("the answers changed: find out why before a model learns it")
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if bad else Verdict.PASSED,
            measured=rarest,
            threshold=self.min_share,
            n=n,
            unit="share",
            evidence=(source.digest,),
            message="; ".join([f"{sentence} on {n:,} training rows", before, *bad]),
            details={"labels": column["labels"], "counts": column["current"], "change": change},
        )

    def _rarest(
        self, facts: Mapping[str, Any], column: Mapping[str, Any], n: int
    ) -> tuple[float, str]:
        """Return the share of the rarest class, or of what is not the commonest value."""
        if facts["task"] != "classification":
            top = max(column["current"])
            return 1 - top / n, f"{1 - top / n:.2%} lie outside the commonest value or tenth"
        classes = {
            label: count
            for label, count in together(column["labels"], column["current"])
            if label not in _NO_CLASS
        }
        if column["kind"] != "values" or len(classes) < 2 or sum(classes.values()) != n:
            raise ValueError(f"the classes of {facts['target']} are {sorted(classes)}")
        label = min(classes, key=lambda name: (classes[name], name))
        return classes[label] / n, f"the rarest class {label} has {classes[label] / n:.2%}"

    def _change(
        self, facts: Mapping[str, Any], column: Mapping[str, Any]
    ) -> tuple[float | None, str]:
        """Return how far the answers lie from the champion's."""
        if first_release(facts, column["reference"]):
            return None, "first release of this model: no champion's answers to differ from"
        before, now = column["reference"], column["current"]
        rows = sum(count(value, "a count") for value in before)
        if not rows or rows != facts["rows"]["reference"]:
            raise ValueError("the champion's answers were not counted")
        distance = _distance(column["labels"], before, now)
        if column["kind"] == "numbers":
            distance = max(distance, float(column["ks"]))
        return distance, f"changed by {distance:.4f}, limit {self.max_change:g}"


def _distance(labels: Sequence[str], before: Sequence[int], now: Sequence[int]) -> float:
    """Return the largest difference of cumulative shares, values in their order."""

    def order(row: tuple[str, int, int]) -> tuple[bool, float]:
        try:
            return False, float(row[0].removeprefix("bin "))
        except ValueError:
            return True, 0.0

    first, second = sum(before), sum(now)
    gap = worst = 0.0
    for _, a, b in sorted(together(labels, before, now), key=order):
        gap += b / second - a / first
        worst = max(worst, abs(gap))
    return worst
