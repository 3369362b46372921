"""What a pipeline run needs of the place where the model's own code runs; a port of `running`.

`airlock.bootstrap.workbench` is the real one. Here is no code, only what it has to keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from airlock.domain.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model folder that training left behind."""

    folder: Path
    artifact_digest: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: float
    peak_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A candidate as the registry knows it."""

    version: str
    run_id: str
    location: str
    artifact_digest: str


class Bench(Protocol):
    """Where the model's own code runs: data is pinned, models are trained, measured, recorded.

    Facts are the JSON data of evidence. Everything raises Refused for what is wrong with the
    data or the code, and Unreachable for what might work the next time.
    """

    def pin(self, recipe: Recipe, since: date | None, until: date | None) -> dict[str, Any]:
        """Keep the rows of a window; return the facts data-profile."""

    def validate(self, recipe: Recipe, data: str) -> tuple[dict[str, Any], Path]:
        """Check pinned rows; return the facts data-validation and the data docs."""

    def train(self, recipe: Recipe, data: str) -> Trained:
        """Train on pinned rows."""

    def evaluate(
        self, recipe: Recipe, data: str, candidate: Path, champion: tuple[str, Path] | None
    ) -> tuple[dict[str, Any], dict[str, Any], Path]:
        """Measure both on the same rows; return evaluation, comparison and the predictions."""

    def latency(self, recipe: Recipe, data: str, candidate: Path) -> dict[str, Any]:
        """Time single-row predictions; return the facts latency."""

    def inspect(self, recipe: Recipe, candidate: Path) -> dict[str, dict[str, Any]]:
        """Read the files; return the facts artifact-format, and what gates ask for, by kind."""

    def champion(self, model: str, version: str) -> Path:
        """Download a version and return its folder."""

    def record(
        self,
        recipe: Recipe,
        trained: Trained,
        tags: Mapping[str, str],
        evidence: Mapping[str, Mapping[str, Any]],
        files: Mapping[str, Path],
    ) -> Recorded:
        """Register the candidate with its evidence, once per origin."""
