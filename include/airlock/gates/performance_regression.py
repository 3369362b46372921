"""performance-regression: is the candidate no worse than the champion, beyond a margin?

Evidence of non-inferiority is asked for, not absence of evidence of harm: the one-sided
confidence bound of the paired difference has to clear the margin, the point estimate is not
enough. A champion and a candidate that cannot be told apart on too few rows do not pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Verdict
from airlock.domain.metrics import direction


@dataclass(frozen=True)
class PerformanceRegression:
    """The candidate's *metric* is not worse than the champion's by more than *margin*.

    With *confidence* (one-sided), by paired bootstrap on the same rows. PASSED if the bound
    clears the margin, FAILED if the whole interval is beyond it, otherwise ERRORED: the rows
    are too few to tell.
    """

    name: ClassVar[str] = "performance-regression"
    needs: ClassVar[tuple[str, ...]] = ("comparison",)

    metric: str
    margin: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        direction(self.metric)
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise ValueError(f"margin must be above 0, found {self.margin}")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0.5 and 1, found {self.confidence}")

    @property
    def key(self) -> str:
        """Name and metric."""
        return f"{self.name}:{self.metric}"

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Judge the bounds of the paired difference."""
        source = evidence["comparison"]
        if source.facts["champion"] is None:
            return self._result(
                source, Verdict.PASSED, "first release of this model: no champion to fall behind"
            )
        row = next(
            r
            for r in (*source.facts["comparisons"], {"metric": self.metric, "n": 0})
            if r["metric"] == self.metric
        )
        if row["n"] < 1 or row["confidence"] != self.confidence:
            raise ValueError(f"no comparison of {self.metric} at confidence {self.confidence}")
        low, high = self._improvement(row)
        if low > -self.margin:
            verdict, said = Verdict.PASSED, "not worse beyond the margin"
        elif high < -self.margin:
            verdict, said = Verdict.FAILED, "worse than the champion beyond the margin"
        else:
            verdict, said = Verdict.ERRORED, "inconclusive: too few rows to tell"
        message = (
            f"{self.metric} {row['candidate']:.4f} against champion {row['champion']:.4f}: "
            f"{said} (difference {row['difference']:+.4f}, interval {row['low']:+.4f} to "
            f"{row['high']:+.4f}, margin {self.margin:g}, {row['n']:,} rows)"
        )
        return self._result(source, verdict, message, row)

    def _improvement(self, row: Mapping[str, Any]) -> tuple[float, float]:
        low, high = float(row["low"]), float(row["high"])
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"the interval of {self.metric} is {low} to {high}")
        return (low, high) if direction(self.metric) == "higher" else (-high, -low)

    def _result(
        self,
        source: Evidence,
        verdict: Verdict,
        message: str,
        row: Mapping[str, Any] | None = None,
    ) -> GateResult:
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=verdict,
            measured=float(row["difference"]) if row else None,
            threshold=-self.margin if direction(self.metric) == "higher" else self.margin,
            n=int(row["n"]) if row else None,
            evidence=(source.digest,),
            message=message,
            details=dict(row) if row else {"champion": None},
        )
