"""performance-regression: is the candidate no worse than the champion, beyond a margin?

Evidence of non-inferiority is asked for, not absence of evidence of harm: the one-sided
confidence bound of the paired difference has to clear the margin, the point estimate is not
enough. A champion and a candidate that cannot be told apart on too few rows do not pass.

Who tries often enough passes by luck. So the error is shared by *attempts* candidates measured on
the same held-out rows, and when they are used up only fresh rows help.

A total may rise while some people are served worse. A slice that fell significantly (Holm over all
slices) by more than *material* fails the candidate; one that only Benjamini and Hochberg find is a
warning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.domain.hypothesis_tests import (
    ATTEMPTS,
    FEWEST_ROWS,
    WARN_RATE,
    benjamini_hochberg,
    holm,
    normal_test,
    rows_needed,
    shared,
    sign_test,
)
from airlock.domain.metrics import direction
from airlock.domain.strict_zip import together
from airlock.gates.inputs import count, first_release, names
from airlock.gates.slicing import (
    MAX_UNASSESSED,
    assessable,
    check_share,
    not_assessable,
    too_much,
    unassessed,
)

#: Above so many differing rows the sign test and the normal test are the same.
_EXACT = 2000


@dataclass(frozen=True)
class PerformanceRegression:
    """The candidate's *metric* is not worse than the champion's by more than *margin*.

    With *confidence* (one-sided) over all *attempts* together, on the same rows. PASSED if the
    bound clears the margin and no slice fell, FAILED if the whole interval is beyond it or a slice
    fell by more than *material* (the margin unless told), otherwise ERRORED; so it is with more
    than the share *max_unassessed* of the rows in slices too small to judge.
    """

    name: ClassVar[str] = "performance-regression"
    needs: ClassVar[tuple[str, ...]] = ("comparison",)

    metric: str
    margin: float
    confidence: float = 0.95
    attempts: int = ATTEMPTS
    material: float | None = None
    minimum_rows: int = 100
    max_unassessed: float = MAX_UNASSESSED

    def __post_init__(self) -> None:
        check_share(self.max_unassessed)
        direction(self.metric)
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise ValueError(f"margin must be above 0, found {self.margin}")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0.5 and 1, found {self.confidence}")
        if not 1 <= self.attempts <= 100:
            raise ValueError(f"attempts must be between 1 and 100, found {self.attempts}")
        if self.material is not None and not (math.isfinite(self.material) and self.material >= 0):
            raise ValueError(f"material must not be negative, found {self.material}")
        if self.minimum_rows < FEWEST_ROWS:
            raise ValueError(
                f"minimumRows must be at least {FEWEST_ROWS}, found {self.minimum_rows}"
            )

    @property
    def key(self) -> str:
        """Name and metric."""
        return f"{self.name}:{self.metric}"

    @property
    def limit(self) -> Limit:
        """Candidate minus champion: at least a little worse, or at most where less is better."""
        return "at least" if direction(self.metric) == "higher" else "at most"

    @property
    def each(self) -> float:
        """The confidence of one attempt."""
        return shared(self.confidence, self.attempts)

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Judge the bounds of the paired difference, then the slices."""
        source = evidence["comparison"]
        if first_release(source.facts, source.facts["comparisons"]):
            return self._result(
                source, Verdict.PASSED, "first release of this model: no champion to fall behind"
            )
        row, attempt = self._row(source.facts), count(source.facts["attempt"], "the attempt")
        if attempt < 1:
            raise ValueError(f"this is attempt {attempt}")
        low, high = self._improvement(row)
        slices, summary = (
            self._slices(list(row["slices"]), row["n"]) if row["slices"] != [] else ({}, "")
        )
        if slices.get("regressed"):
            verdict, word = Verdict.FAILED, f"a slice is worse: {', '.join(slices['regressed'])}"
        elif high < -self.margin:
            verdict, word = Verdict.FAILED, "worse than the champion beyond the margin"
        elif attempt > self.attempts:
            verdict, word = Verdict.ERRORED, self._used_up(attempt)
        elif slices.get("unassessed", 0.0) > self.max_unassessed:
            verdict, word = Verdict.ERRORED, "too many rows are in slices too small to judge"
        elif low > -self.margin:
            verdict, word = Verdict.PASSED, "not worse beyond the margin"
        else:
            verdict, word = Verdict.ERRORED, f"inconclusive: too few rows to tell{self._more(row)}"
        message = (
            f"{self.metric} {row['candidate']:.4f} against champion {row['champion']:.4f}: "
            f"{word} (difference {row['difference']:+.4f}, interval {row['low']:+.4f} to "
            f"{row['high']:+.4f}, margin {self.margin:g}, {row['n']:,} rows, "
            f"attempt {attempt} of {self.attempts}){summary}"
        )
        details = {key: value for key, value in row.items() if key != "slices"}
        return self._result(source, verdict, message, {**details, "attempt": attempt, **slices})

    def _row(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        for row in facts["comparisons"]:
            if row["metric"] == self.metric and row["confidence"] == self.each:
                if row["n"] < self.minimum_rows:
                    raise ValueError(f"{row['n']} rows; at least {self.minimum_rows} are needed")
                _check_difference(row)
                comparison: Mapping[str, Any] = row
                return comparison
        raise ValueError(f"no comparison of {self.metric} at confidence {self.each:g}")

    def _improvement(self, row: Mapping[str, Any]) -> tuple[float, float]:
        low, high = float(row["low"]), float(row["high"])
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"the interval of {self.metric} is {low} to {high}")
        return (low, high) if direction(self.metric) == "higher" else (-high, -low)

    def _used_up(self, attempt: int) -> str:
        return (
            f"the budget is used up: {attempt - 1} candidates were measured on these rows before; "
            "a fresh holdout is needed"
        )

    def _more(self, row: Mapping[str, Any]) -> str:
        """Return how many rows an equal candidate would need."""
        if not row.get("se"):
            return ""
        deviation = row["se"] * math.sqrt(row["n"])
        return f", about {rows_needed(deviation, self.margin, self.each):,} are needed"

    def _slices(self, slices: Any, n: int) -> tuple[dict[str, Any], str]:
        """Return the table of slices and their part of the message."""
        names(slices, "slice", "a slice")
        for row in slices:
            _check_difference(row)
        good, small = assessable(slices, self.metric, self.minimum_rows, "difference")
        chances = [self._chance(row) for row in good]
        floor = self.margin if self.material is None else self.material
        fell = {i for i, row in enumerate(good) if -self._sign * row["difference"] > floor}
        blocked = holm(chances, 1 - self.confidence) & fell
        warned = (benjamini_hochberg(chances, WARN_RATE) & fell) - blocked
        table = [
            {
                **{key: row[key] for key in ("slice", "n", "candidate", "champion", "difference")},
                "chance": chance,
                "verdict": "regressed" if i in blocked else "warning" if i in warned else "fine",
            }
            for i, (row, chance) in enumerate(together(good, chances))
        ]
        named = {
            "regressed": [str(good[i]["slice"]) for i in sorted(blocked)],
            "warned": [str(good[i]["slice"]) for i in sorted(warned)],
        }
        warning = f"; look at {', '.join(named['warned'])}" if warned else ""
        left_out = unassessed(slices, small, n)
        summary = f"; {len(good)} slices{warning}{not_assessable(small)}"
        summary += too_much(left_out, self.max_unassessed) if left_out > self.max_unassessed else ""
        more = {"notAssessable": small, "unassessed": round(left_out, 4)}
        return {"slices": table, **named, **more}, summary

    @property
    def _sign(self) -> int:
        return 1 if direction(self.metric) == "higher" else -1

    def _chance(self, row: Mapping[str, Any]) -> float:
        """Return how likely a slice looks so bad if nothing has changed."""
        if "worse" in row and row["worse"] + row["better"] <= _EXACT:
            return sign_test(row["worse"], row["better"])
        return normal_test(self._sign * row["difference"], row["se"])

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


def _check_difference(row: Mapping[str, Any]) -> None:
    """Refuse a difference that is not that of the two values beside it.

    Raises:
        ValueError: saying so.
    """
    values = row["candidate"], row["champion"], row["difference"]
    if values == (None, None, None) and "slice" in row:
        return  # too small to be measured
    candidate, champion, difference = map(float, values)
    if not math.isclose(candidate - champion, difference, abs_tol=1e-9):
        raise ValueError(f"{candidate} less {champion} is not {difference}")
