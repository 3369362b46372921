"""data-validation: is the data what the model's own suite says it must be?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from airlock.domain.gates import Evidence, GateResult, Verdict


@dataclass(frozen=True)
class DataValidation:
    """Every expectation of the model's Great Expectations suite holds on the pinned data."""

    name: ClassVar[str] = "data-validation"
    needs: ClassVar[tuple[str, ...]] = ("data-validation",)

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
        passed = facts["success"] is True and good == evaluated and not facts["failed"]
        broken = ", ".join(
            f"{item['expectation']}({item['column']})" for item in facts["failed"][:5]
        )
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.PASSED if passed else Verdict.FAILED,
            measured=float(good),
            threshold=float(evaluated),
            n=rows,
            unit="expectations",
            evidence=(evidence["data-validation"].digest,),
            message=f"{good} of {evaluated} expectations hold on {rows:,} rows"
            + (f"; broken: {broken}" if broken else ""),
        )
