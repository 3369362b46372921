"""metrics-threshold: is the candidate good enough on its own, and for every slice of the rows?

Without *confidence* the measured value is compared, as a first and rough check. With it the
one-sided bound has to clear the threshold: too few rows then do not pass by luck. A slice that is
too small is "not assessable" and never counts as good; if no slice can be assessed, nothing can be
told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.domain.hypothesis_tests import CONFIDENCE, FEWEST_ROWS
from airlock.domain.metrics import direction
from airlock.gates.inputs import names
from airlock.gates.slicing import (
    MAX_UNASSESSED,
    assessable,
    check_share,
    not_assessable,
    too_much,
    unassessed,
)


@dataclass(frozen=True)
class MetricsThreshold:
    """The candidate's *metric* on the held-out rows reaches *threshold*.

    "Reaches" follows the metric: at least for roc_auc, at most for rmse. With *slice_threshold*
    every slice of at least *minimum_rows* has to reach that; with more than the share
    *max_unassessed* of the rows in smaller ones nothing passes.
    """

    name: ClassVar[str] = "metrics-threshold"
    needs: ClassVar[tuple[str, ...]] = ("evaluation",)

    metric: str
    threshold: float
    confidence: float | None = None
    slice_threshold: float | None = None
    minimum_rows: int = 100
    max_unassessed: float = MAX_UNASSESSED

    def __post_init__(self) -> None:
        check_share(self.max_unassessed)
        self._check("threshold", self.threshold)
        if self.slice_threshold is not None:
            self._check("sliceThreshold", self.slice_threshold)
        if self.confidence is not None and not 0.5 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0.5 and 1, found {self.confidence}")
        if self.minimum_rows < FEWEST_ROWS:
            raise ValueError(
                f"minimumRows must be at least {FEWEST_ROWS}, found {self.minimum_rows}"
            )

    def _check(self, option: str, value: float) -> None:
        way = direction(self.metric)
        if not math.isfinite(value):
            raise ValueError(f"{option} must be a finite number, found {value}")
        if way == "higher" and self.metric != "r2" and not 0 <= value <= 1:
            raise ValueError(f"{option} for {self.metric} must be between 0 and 1, found {value}")
        if way == "lower" and value < 0:
            raise ValueError(f"{option} for {self.metric} must not be negative, found {value}")

    @property
    def key(self) -> str:
        """Name and metric."""
        return f"{self.name}:{self.metric}"

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Compare the measured metric, or its bound, with the threshold; then each slice."""
        facts = evidence["evaluation"].facts
        measured, n = float(facts["candidate"]["metrics"][self.metric]), int(facts["rows"])
        if not math.isfinite(measured) or n < 1:
            raise ValueError(f"{self.metric} is {measured} on {n} rows")
        line = self._line(facts) if self.confidence or self.slice_threshold is not None else None
        if line and (line["n"] != n or not math.isclose(line["value"], measured)):
            raise ValueError(f"the bounds are of {line['value']} on {line['n']} rows")
        if line and self.confidence and n < self.minimum_rows:
            raise ValueError(f"{n} rows; {self.minimum_rows} are needed for a bound")
        counted = self._counted(line) if line and self.confidence else measured
        slices, summary = self._slices(line, n) if line else ({}, "")
        good = self._reaches(counted, self.threshold) and not slices.get("below")
        unclear = slices.get("unassessed", 0.0) > self.max_unassessed
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if not good else Verdict.ERRORED if unclear else Verdict.PASSED,
            measured=counted,
            threshold=self.threshold,
            n=n,
            evidence=(evidence["evaluation"].digest,),
            message=f"{self.metric} {measured:.4f}{self._bound(counted)}, needs {self.limit} "
            f"{self.threshold:g}, on {n:,} held-out rows{summary}",
            details=slices or None,
        )

    @property
    def limit(self) -> Limit:
        """At least where more is better, at most where less is."""
        return "at least" if direction(self.metric) == "higher" else "at most"

    def _bound(self, counted: float) -> str:
        if self.confidence is None:
            return ""
        return f" ({self.limit} {counted:.4f} with {100 * self.confidence:g} % confidence)"

    def _reaches(self, value: float, threshold: float) -> bool:
        return value >= threshold if direction(self.metric) == "higher" else value <= threshold

    def _line(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the bounds of this metric at this confidence."""
        key = (self.metric, self.confidence or CONFIDENCE)
        for line in facts["bounds"]:
            if (line["metric"], line["confidence"]) == key:
                bounds: Mapping[str, Any] = line
                return bounds
        raise ValueError(f"no bounds of {key[0]} at confidence {key[1]}")

    def _counted(self, row: Mapping[str, Any]) -> float:
        """Return the number that has to reach the threshold: the bound, or the value."""
        side = "low" if direction(self.metric) == "higher" else "high"
        value = float(row[side if self.confidence else "value"])
        if not math.isfinite(value):
            raise ValueError(f"{self.metric} is {value} on {row['n']} rows")
        return value

    def _slices(self, line: Mapping[str, Any], n: int) -> tuple[dict[str, Any], str]:
        """Return the table of slices and what the message says of them."""
        if self.slice_threshold is None:
            return {}, ""
        names(line["slices"], "slice", "a slice")
        good, small = assessable(line["slices"], self.metric, self.minimum_rows, "value")
        table = [
            {"slice": row["slice"], "n": row["n"], "measured": self._counted(row)} for row in good
        ]
        up = direction(self.metric) == "higher"
        table.sort(key=lambda row: row["measured"], reverse=not up)
        worst = table[0]
        below = [
            row["slice"]
            for row in table
            if not self._reaches(row["measured"], self.slice_threshold)
        ]
        left_out = unassessed(line["slices"], small, n)
        return (
            {
                "slices": table,
                "below": below,
                "notAssessable": small,
                "unassessed": round(left_out, 4),
            },
            f"; {len(below)} of {len(table)} slices miss {self.slice_threshold:g}, the worst is "
            f"{worst['slice']} with {worst['measured']:.4f} on {worst['n']:,} rows"
            + not_assessable(small)
            + (too_much(left_out, self.max_unassessed) if left_out > self.max_unassessed else ""),
        )
