"""latency: does one prediction come back in time?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from airlock.domain.gates import Evidence, GateResult, Verdict

#: Fewer calls than this do not give a 95th percentile worth the name.
MINIMUM_CALLS = 200


@dataclass(frozen=True)
class Latency:
    """The 95th percentile of single-row predictions stays within *p95_ms* milliseconds."""

    name: ClassVar[str] = "latency"
    needs: ClassVar[tuple[str, ...]] = ("latency",)

    p95_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.p95_ms <= 600_000:
            raise ValueError(f"p95Ms must be above 0 and at most 600000, found {self.p95_ms}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Compare the measured percentile with the limit."""
        facts = evidence["latency"].facts
        measured, n = float(facts["p95Ms"]), int(facts["n"])
        if n < MINIMUM_CALLS or not measured > 0:
            raise ValueError(f"p95 {measured} ms from {n} calls; {MINIMUM_CALLS} are needed")
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.PASSED if measured <= self.p95_ms else Verdict.FAILED,
            measured=measured,
            threshold=self.p95_ms,
            n=n,
            unit="ms",
            evidence=(evidence["latency"].digest,),
            message=f"p95 {measured:.2f} ms, limit {self.p95_ms:g} ms, {n:,} single-row calls",
        )
