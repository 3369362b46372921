"""latency: does a prediction come back in time, and no slower than the champion's?

Limits are held against percentiles. The comparison asks for evidence of non-inferiority: the
bounds of the ratio of the 95th percentiles, by a block bootstrap of calls timed in turns, have to
clear the limit. A machine too noisy to tell leaves the gate ERRORED, whichever way the point falls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import text

#: Fewer calls than this do not give a 95th percentile worth the name.
MINIMUM_CALLS = 200
#: Calls without a comparison, and of each model with one: fewer give a coin toss.
CALLS, COMPARED_CALLS = 500, 4000
BATCH_ROWS = 100
CONFIDENCE = 0.95
_LIMITS = ("p50_ms", "p95_ms", "p99_ms", "batch_p50_ms", "batch_p95_ms", "batch_p99_ms")


def calls(max_ratio: float | None) -> int:
    """Return how many single-row calls are timed unless the pipeline says so."""
    return CALLS if max_ratio is None else COMPARED_CALLS


@dataclass(frozen=True)
class Latency:
    """Percentiles of predictions stay within their limits, in milliseconds.

    With *max_ratio*, the 95th percentile of single-row predictions is at most so many times the
    champion's.
    """

    name: ClassVar[str] = "latency"
    needs: ClassVar[tuple[str, ...]] = ("latency",)
    limit: ClassVar[Limit] = "at most"

    p95_ms: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    batch_p50_ms: float | None = None
    batch_p95_ms: float | None = None
    batch_p99_ms: float | None = None
    batch_rows: int | None = None
    max_ratio: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        for option in _LIMITS:
            limit = getattr(self, option)
            if limit is not None and not 0 < limit <= 600_000:
                raise ValueError(
                    f"{_written(option)} must be above 0 and at most 600000, found {limit}"
                )
        if self.batch_rows is not None and not 2 <= self.batch_rows <= 100_000:
            raise ValueError(f"batchRows must be between 2 and 100000, found {self.batch_rows}")
        if self.max_ratio is not None and not 1 < self.max_ratio <= 100:
            raise ValueError(f"maxRatio must be above 1 and at most 100, found {self.max_ratio}")
        least = MINIMUM_CALLS if self.max_ratio is None else COMPARED_CALLS
        if self.n is not None and not least <= self.n <= 1_000_000:
            raise ValueError(f"n must be between {least} and 1000000, found {self.n}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Compare percentiles with limits, and the ratio's bounds with what is allowed."""
        facts = evidence["latency"].facts
        measured, n = float(facts["p95Ms"]), int(facts["n"])
        if n < (self.n or MINIMUM_CALLS) or not measured > 0:
            least = self.n or MINIMUM_CALLS
            raise ValueError(f"p95 {measured} ms from {n} calls; {least} are needed")
        within = [self._within(facts, option) for option in _LIMITS if getattr(self, option)]
        verdict, sentence = self._compared(facts)
        if not all(good for good, _ in within):
            verdict = Verdict.FAILED
        words = [words for _, words in within] + ([sentence] if sentence else [])
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=verdict,
            measured=measured,
            threshold=self.p95_ms,
            n=n,
            unit="ms",
            evidence=(evidence["latency"].digest,),
            message=f"{', '.join(words)}, {n:,} single-row calls",
            details={name: facts.get(name) for name in ("p50Ms", "p95Ms", "p99Ms", "batch")}
            | {"champion": facts.get("champion"), "ratio": facts.get("ratio")},
        )

    def _within(self, facts: Mapping[str, Any], option: str) -> tuple[bool, str]:
        limit, batch = getattr(self, option), option.startswith("batch_")
        short = option.removeprefix("batch_").removesuffix("_ms")
        source = facts["batch"] if batch else facts
        value = float(source[f"{short}Ms"])
        if batch and (
            facts["batchRows"] != (self.batch_rows or BATCH_ROWS) or source["n"] < MINIMUM_CALLS
        ):
            raise ValueError(f"{source['n']} batches of {facts['batchRows']} rows were timed")
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{short} is {value} ms")
        name = f"{short} of {facts['batchRows']} rows" if batch else short
        return value <= limit, f"{name} {value:.2f} ms, limit {limit:g} ms"

    def _compared(self, facts: Mapping[str, Any]) -> tuple[Verdict, str]:
        """Judge the ratio: its upper bound must be within the limit."""
        if self.max_ratio is None:
            return Verdict.PASSED, ""
        if facts["champion"] is None:
            if facts["serves"] is not None or facts.get("ratio"):
                raise ValueError(f"version {facts['serves']} serves and was not timed beside it")
            return Verdict.PASSED, "first release of this model: no champion to be slower than"
        _check_champion(facts)
        row = facts["ratio"]
        low, ratio, high = (float(row[name]) for name in ("low", "ratio", "high"))
        if row["n"] < (self.n or COMPARED_CALLS) or row["confidence"] != CONFIDENCE:
            raise ValueError(f"compared on {row['n']} calls at confidence {row['confidence']}")
        if not (math.isfinite(high) and 0 < low <= high and 0 < ratio < math.inf):
            raise ValueError(f"the ratio's bounds are {low} to {high}")
        numbers = (
            f"p95 is {ratio:.2f} times the champion's ({low:.2f} to {high:.2f}, limit "
            f"{self.max_ratio:g})"
        )
        if high <= self.max_ratio:
            return Verdict.PASSED, numbers
        if low > self.max_ratio:
            return Verdict.FAILED, f"{numbers}: slower than allowed"
        return Verdict.ERRORED, f"{numbers}: inconclusive, time more calls or on a quieter machine"


def _check_champion(facts: Mapping[str, Any]) -> None:
    serves, timed = facts["serves"], facts["champion"]["version"]
    if text(serves, "what serves") != text(timed, "the version that was timed"):
        raise ValueError(f"version {timed} was timed, and {serves} serves")


def _written(option: str) -> str:
    """Return an option's name as YAML has it."""
    first, *rest = option.split("_")
    return first + "".join(word.capitalize() for word in rest)
