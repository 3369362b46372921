"""How many held-out rows the margins of a pipeline need, before anything is trained.

Rules:
* Planned is the chance of 80 % that a candidate equal to the champion passes, at the confidence one
  attempt has (`airlock.gates.performance_regression`).
* accuracy: 6 % of the rows are answered differently by the two. roc_auc: an AUC of 0.85, rankings
  that correlate at 0.9, and the share of positive rows in the source.
* Other metrics depend on the spread of the errors, which only an evaluation knows.

A plan is no judgement: too few rows make the gate inconclusive, never passed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airlock.adapters.datasets.files import outline
from airlock.config.load import PipelineConfig
from airlock.domain.errors import AirlockError
from airlock.domain.hypothesis_tests import auc_deviation, rows_planned
from airlock.gates.performance_regression import PerformanceRegression

#: What is assumed where nothing was measured yet.
DISCORDANT, AUC, CORRELATION = 0.06, 0.85, 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """What one margin needs and what the source holds out; None if that cannot be told."""

    pipeline: str
    metric: str
    margin: float
    confidence: float
    needed: int | None
    held_out: int | None
    why: str = ""

    @property
    def is_short(self) -> bool:
        """Say whether the held-out rows are known to be too few."""
        return self.needed is not None and self.held_out is not None and self.held_out < self.needed

    def __str__(self) -> str:
        head = f"{self.pipeline}: {self.metric} with margin {self.margin:g}"
        if self.needed is None:
            return f"{head}: how many rows it needs, {self.why}."
        supply = (
            f"holds out {self.held_out:,}"
            if self.held_out is not None
            else f"is not known: {self.why}"
        )
        sentence = (
            f"{head} needs about {self.needed:,} held-out rows ({100 * self.confidence:g} % "
            f"confidence per attempt, 80 % power); the source {supply}"
        )
        if not self.is_short:
            return f"{sentence}."
        return f"WARNING {sentence}; more rows, a larger margin or fewer attempts are needed."


def plans(pipeline: PipelineConfig, root: Path) -> Iterator[Plan]:
    """Yield the plan of every margin of a pipeline."""
    gates = [gate for gate in pipeline.gates if isinstance(gate, PerformanceRegression)]
    if not gates:
        return
    held_out, positive, why = _count_held_out(pipeline, root)
    for gate in gates:
        deviation = _deviation(gate.metric, positive)
        yield Plan(
            pipeline.name,
            gate.metric,
            gate.margin,
            gate.each,
            rows_planned(deviation, gate.margin, gate.each) if deviation else None,
            held_out,
            why if deviation else "the first comparison says",
        )


def _count_held_out(pipeline: PipelineConfig, root: Path) -> tuple[int | None, float, str]:
    """Return how many rows are held out, the share of positive ones, or why that is not known."""
    data = pipeline.spec.data
    try:
        rows, positive = outline(root / data.source, data.target, data.task)
    except AirlockError as error:
        return None, 0.5, error.message
    except ImportError as error:
        return None, 0.5, f"{error.name} is not installed here"
    return round(rows * data.holdout), positive, ""


def _deviation(metric: str, positive: float) -> float:
    """Return the deviation of the paired difference per row, 0 if nobody can know it yet."""
    if metric == "accuracy":
        return math.sqrt(DISCORDANT)
    if metric == "roc_auc" and 0 < positive < 1:
        return auc_deviation(AUC, positive, CORRELATION)
    return 0.0
