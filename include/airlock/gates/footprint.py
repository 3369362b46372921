"""footprint: does the model fit where it is to run: disk, time to load, memory?

Each round is one fresh process, the champion's in turns with the candidate's. Sizes are exact.
Times and memory are medians; a ratio to the champion's is judged by the exact sign-test interval
of the median of the rounds' ratios (Conover, Practical Nonparametric Statistics, 3.4), so that a
busy machine gives "inconclusive".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.domain.strict_zip import together
from airlock.gates.inputs import text

RUNS = 5
#: Fewer rounds have no one-sided bound of a median at CONFIDENCE.
COMPARED_RUNS = 5
CONFIDENCE = 0.95
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class _Answer:
    """What one limit says."""

    verdict: Verdict
    words: str


@dataclass(frozen=True)
class Footprint:
    """Size on disk, time to load and peak memory stay within limits and the champion's measure.

    *size_mb*: all files of the model. *load_ms*: from a bare interpreter to a model ready to
    answer. *memory_mb*: the most one process held while it loaded the model and predicted. A ratio
    says how many times the champion's is allowed. A megabyte is 2^20 bytes.
    """

    name: ClassVar[str] = "footprint"
    needs: ClassVar[tuple[str, ...]] = ("footprint",)
    limit: ClassVar[Limit] = "at most"

    size_mb: float | None = None
    load_ms: float | None = None
    memory_mb: float | None = None
    max_size_ratio: float | None = None
    max_load_ratio: float | None = None
    max_memory_ratio: float | None = None
    runs: int = RUNS

    def __post_init__(self) -> None:
        limits = {"sizeMb": self.size_mb, "loadMs": self.load_ms, "memoryMb": self.memory_mb}
        ratios = {
            "maxSizeRatio": self.max_size_ratio,
            "maxLoadRatio": self.max_load_ratio,
            "maxMemoryRatio": self.max_memory_ratio,
        }
        for name, limit in limits.items():
            if limit is not None and not 0 < limit <= 10_000_000:
                raise ValueError(f"{name} must be above 0 and at most 10000000, found {limit}")
        for name, limit in ratios.items():
            if limit is not None and not 1 <= limit <= 100:
                raise ValueError(f"{name} must be between 1 and 100, found {limit}")
        if not any((limits | ratios).values()):
            raise ValueError(f"at least one must be set of {', '.join(limits | ratios)}")
        compared = self.max_load_ratio or self.max_memory_ratio
        least = COMPARED_RUNS if compared else 1
        if not least <= self.runs <= 100:
            raise ValueError(f"runs must be between {least} and 100, found {self.runs}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Hold what was measured against each limit."""
        source = evidence["footprint"]
        candidate, champion = source.facts["candidate"], source.facts["champion"]
        if candidate["artifactDigest"] != source.artifact_digest:
            raise ValueError("the model measured is not the candidate")
        if champion is not None:
            text(champion["artifactDigest"], "the champion's digest")
            text(source.facts["serves"], "the version that serves")
        answers = [*self._limits(candidate), *self._ratios(candidate, champion, source.facts)]
        verdicts = {answer.verdict for answer in answers}
        worst = [v for v in (Verdict.FAILED, Verdict.ERRORED) if v in verdicts]
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=worst[0] if worst else Verdict.PASSED,
            measured=_megabytes(candidate),
            threshold=self.size_mb,
            n=len(candidate["runs"]),
            unit="MB",
            evidence=(source.digest,),
            message=f"{', '.join(answer.words for answer in answers)}; "
            f"{len(candidate['runs'])} fresh processes",
            details={"candidate": _summary(candidate), "champion": champion and _summary(champion)},
        )

    def _limits(self, candidate: Mapping[str, Any]) -> list[_Answer]:
        if len(candidate["runs"]) < self.runs:
            raise ValueError(f"{len(candidate['runs'])} runs; {self.runs} are needed")
        measured = (
            ("size", _megabytes(candidate), self.size_mb, "MB"),
            ("load", median(_positive(candidate, "loadMs")), self.load_ms, "ms"),
            ("memory", median(_positive(candidate, "memoryMb")), self.memory_mb, "MB"),
        )
        return [
            _Answer(
                Verdict.PASSED if value <= limit else Verdict.FAILED,
                f"{name} {value:.2f} {unit}, limit {limit:g} {unit}",
            )
            for name, value, limit, unit in measured
            if limit is not None
        ]

    def _ratios(
        self,
        candidate: Mapping[str, Any],
        champion: Mapping[str, Any] | None,
        facts: Mapping[str, Any],
    ) -> list[_Answer]:
        limits = (self.max_size_ratio, self.max_load_ratio, self.max_memory_ratio)
        if not any(limits):
            return []
        if champion is None:
            if facts["serves"] is not None:
                raise ValueError(f"version {facts['serves']} serves and was not measured")
            sentence = "first release of this model: no champion to compare with"
            return [_Answer(Verdict.PASSED, sentence)]
        answers = []
        if self.max_size_ratio:
            ratio = _megabytes(candidate) / _megabytes(champion)
            answers.append(_ratio("size", ratio, ratio, ratio, self.max_size_ratio))
        for name, field, limit in (
            ("load", "loadMs", self.max_load_ratio),
            ("memory", "memoryMb", self.max_memory_ratio),
        ):
            if limit:
                pairs = together(_positive(candidate, field), _positive(champion, field))
                values = [new / old for new, old in pairs]
                low, high = median_bounds(values)
                answers.append(_ratio(name, low, median(values), high, limit))
        return answers


def median_bounds(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the two one-sided bounds of the median by the sign test.

    Raises:
        ValueError: if there are too few values for any bound.
    """
    ranked, n = sorted(values), len(values)
    outside, rank = 0.0, -1
    while outside + math.comb(n, rank + 1) / 2**n <= 1 - confidence:
        rank += 1
        outside += math.comb(n, rank) / 2**n
    if rank < 0:
        raise ValueError(f"{n} rounds are too few; {COMPARED_RUNS} are needed")
    return ranked[rank], ranked[n - 1 - rank]


def _ratio(name: str, low: float, ratio: float, high: float, limit: float) -> _Answer:
    words = f"{name} {ratio:.2f} times the champion's ({low:.2f} to {high:.2f}, limit {limit:g})"
    if high <= limit:
        return _Answer(Verdict.PASSED, words)
    if low > limit:
        return _Answer(Verdict.FAILED, words)
    return _Answer(Verdict.ERRORED, f"{words}: inconclusive, more runs or a quieter machine")


def _megabytes(side: Mapping[str, Any]) -> float:
    if not side["sizeBytes"] > 0 or not side["files"] > 0:
        raise ValueError("a model without files")
    return float(side["sizeBytes"] / _MEGABYTE)


def _positive(side: Mapping[str, Any], field: str) -> list[float]:
    values = [float(run[field]) for run in side["runs"]]
    if not values or not all(0 < value < math.inf for value in values):
        raise ValueError(f"{field} was measured as {values}")
    return values


def _summary(side: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sizeMb": round(_megabytes(side), 3),
        "loadMs": median(_positive(side, "loadMs")),
        "memoryMb": median(_positive(side, "memoryMb")),
        "runs": len(side["runs"]),
    }
