"""data-validation: is the data what the model's own suite says, fresh, and about as much as before?

The suite (Great Expectations) is the model's own code and says what a row must be: schema, ranges,
nulls, references to other tables. What it cannot know is when the run was asked for and what the
champion was made from, so freshness and volume are options of the gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict

_NAMED = 5


@dataclass(frozen=True)
class DataValidation:
    """Every expectation of the model's Great Expectations suite holds on the pinned data.

    If asked for: the newest row is at most *max_age_days* older than the end of the run's window
    (or its start, where the window is open), there are at least *min_rows*, and their number is
    within a factor of *max_change* of the champion's. An expectation that raised says nothing of
    the data, and one that looked at no value holds nothing: at most *max_unseen* may.
    """

    name: ClassVar[str] = "data-validation"
    needs: ClassVar[tuple[str, ...]] = ("data-validation",)
    limit: ClassVar[Limit] = "at least"

    max_age_days: float | None = None
    min_rows: int = 1
    max_change: float | None = None
    max_unseen: int = 0

    def __post_init__(self) -> None:
        if self.max_age_days is not None and not 0 <= self.max_age_days < math.inf:
            raise ValueError(f"max_age_days must not be negative, found {self.max_age_days}")
        if self.min_rows < 1:
            raise ValueError(f"min_rows must be at least 1, found {self.min_rows}")
        if self.max_change is not None and not 1 < self.max_change < math.inf:
            raise ValueError(f"max_change is a factor above 1, found {self.max_change}")
        if self.max_unseen < 0:
            raise ValueError(f"max_unseen must not be negative, found {self.max_unseen}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Count the expectations that hold; a suite of none proves nothing."""
        facts = evidence["data-validation"].facts
        evaluated, good, rows = facts["evaluated"], facts["successful"], facts["rows"]
        if evaluated < 1 or rows < 1:
            raise ValueError(f"{evaluated} expectations on {rows} rows")
        raised, unseen = list(facts["raised"]), list(facts["unseen"])
        failed = evaluated - good - len(raised) - len(unseen)
        if failed < len(facts["failed"]) or bool(failed) is not bool(facts["failed"]):
            raise ValueError(f"{good} of {evaluated} hold, and {len(facts['failed'])} are broken")
        if facts["success"] is not (good + len(unseen) == evaluated):
            raise ValueError(f"{good} of {evaluated} hold, and the suite says {facts['success']}")
        checks = [
            (not failed, f"{good} of {evaluated} expectations hold on {rows:,} rows"),
            *([(False, f"broken: {_named(facts['failed'])}")] if failed else []),
            *self._freshness(facts),
            *self._volume(facts),
        ]
        unclear = _unclear(raised, unseen)
        verdict = Verdict.PASSED if all(fine for fine, _ in checks) else Verdict.FAILED
        if verdict is Verdict.PASSED and (raised or len(unseen) > self.max_unseen):
            verdict = Verdict.ERRORED
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=verdict,
            measured=float(good),
            threshold=float(evaluated),
            n=rows,
            unit="expectations",
            evidence=(evidence["data-validation"].digest,),
            message="; ".join([*(sentence for _, sentence in checks), *unclear]),
            details={"failed": list(facts["failed"]), "raised": raised, "unseen": unseen},
        )

    def _freshness(self, facts: Mapping[str, Any]) -> list[tuple[bool, str]]:
        if self.max_age_days is None:
            return []
        if facts["newest"] is None:
            raise ValueError("max_age_days needs rows with a time: the pipeline has no timeColumn")
        newest, as_of = date.fromisoformat(facts["newest"]), date.fromisoformat(facts["asOf"])
        age = (as_of - newest).days
        sentence = f"the newest row is of {newest}, {age} days before {as_of}"
        if age > self.max_age_days:
            return [(False, f"{sentence}, limit {self.max_age_days:g}: wait for newer rows")]
        return [(True, sentence)]

    def _volume(self, facts: Mapping[str, Any]) -> list[tuple[bool, str]]:
        rows = int(facts["rows"])
        checks = []
        if rows < self.min_rows:
            checks.append((False, f"at least {self.min_rows:,} rows are needed"))
        if self.max_change is None:
            return checks
        champion = facts["champion"]
        if champion is None:
            return [*checks, (True, "first release of this model: no champion's rows to count")]
        if champion["rows"] is None or champion["rows"] < 1:
            raise ValueError(f"nobody counted the rows of version {champion['version']}")
        factor = rows / champion["rows"]
        fine = 1 / self.max_change <= factor <= self.max_change
        sentence = f"{factor:.2f} times the champion's {champion['rows']:,} rows"
        return [
            *checks,
            (fine, sentence if fine else f"{sentence}, limit a factor of {self.max_change:g}"),
        ]


def _named(items: Any) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(f"{item['expectation']}({item['column']})" for item in items[:_NAMED]) + more


def _unclear(raised: list[Any], unseen: list[Any]) -> list[str]:
    """Say which expectations told nothing, and why."""
    words = [
        f"could not be checked: {item['expectation']}({item['column']}): {item['why']}"
        for item in raised[:_NAMED]
    ]
    if unseen:
        words.append(f"looked at no value, so hold nothing: {_named(unseen)}")
    return words
