"""metrics-threshold: is the candidate good enough on its own?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from airlock.domain.gates import Evidence, GateResult, Verdict
from airlock.domain.metrics import direction


@dataclass(frozen=True)
class MetricsThreshold:
    """The candidate's *metric* on the held-out rows reaches *threshold*.

    "Reaches" follows the metric: at least for roc_auc, at most for rmse.
    """

    name: ClassVar[str] = "metrics-threshold"
    needs: ClassVar[tuple[str, ...]] = ("evaluation",)

    metric: str
    threshold: float

    def __post_init__(self) -> None:
        way = direction(self.metric)
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold must be a finite number, found {self.threshold}")
        if way == "higher" and self.metric != "r2" and not 0 <= self.threshold <= 1:
            raise ValueError(
                f"threshold for {self.metric} must be between 0 and 1, found {self.threshold}"
            )
        if way == "lower" and self.threshold < 0:
            raise ValueError(
                f"threshold for {self.metric} must not be negative, found {self.threshold}"
            )

    @property
    def key(self) -> str:
        """Name and metric."""
        return f"{self.name}:{self.metric}"

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Compare the measured metric with the threshold."""
        facts = evidence["evaluation"].facts
        measured, n = float(facts["candidate"]["metrics"][self.metric]), int(facts["rows"])
        if not math.isfinite(measured) or n < 1:
            raise ValueError(f"{self.metric} is {measured} on {n} rows")
        up = direction(self.metric) == "higher"
        good = measured >= self.threshold if up else measured <= self.threshold
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.PASSED if good else Verdict.FAILED,
            measured=measured,
            threshold=self.threshold,
            n=n,
            evidence=(evidence["evaluation"].digest,),
            message=f"{self.metric} {measured:.4f}, needs {'at least' if up else 'at most'} "
            f"{self.threshold:g}, on {n:,} held-out rows",
        )
