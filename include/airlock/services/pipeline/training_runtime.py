"""What a pipeline run needs of the places where models are made and measured; a port of `steps`.

`airlock.bootstrap.workbench` is the real one. Here is no code, only what it has to keep.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from airlock.domain.approval.release import Subject
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.ports import Candidate


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What evidence is collected about: a candidate, its recipe, and what serves now.

    *facts* are those of the evidence the steps before have left about this candidate, by kind;
    *asked* is the gate that is asked, with its options as pipelines write them.
    """

    recipe: Recipe
    candidate: Candidate
    champion: Subject | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


class Bench(Protocol):
    """Where data is pinned and models are trained, measured, recorded.

    `validate`, `train` and `run_team_code` run the model team's own code: where there are queues,
    in another place than all the rest, so what they leave is taken over as a copy.

    Facts are the JSON data of evidence. Everything raises Refused for what is wrong with the
    data or the code, and Unreachable for what might work the next time.
    """

    def pin(self, recipe: Recipe, since: date | None, until: date | None) -> dict[str, Any]:
        """Keep the rows of a window; return the facts data-profile."""

    def validate(self, recipe: Recipe, data: str) -> tuple[dict[str, Any], Path]:
        """Check pinned rows; return what the suite says and the folder that was left."""

    def validated(
        self, origin: str, recipe: Recipe, data: str, folder: Path
    ) -> tuple[dict[str, Any], Path]:
        """Take over what a validation left; return the facts data-validation and the data docs."""

    def run_team_code(self, origin: str, recipe: Recipe, data: str) -> dict[str, str]:
        """Run the team's own code for the gates that ask for it; return how each kind ended."""

    def train(self, recipe: Recipe, data: str) -> Trained:
        """Train on pinned rows."""

    def receive(self, folder: Path, artifact: str) -> Path:
        """Copy a model folder that training has handed over; whoever trained cannot change it.

        The copy is not held against *artifact*: the caller does that.
        """

    def evaluate(
        self, recipe: Recipe, data: str, candidate: Path, champion: tuple[str, Path] | None
    ) -> tuple[dict[str, Any], dict[str, Any], Path]:
        """Measure both on the same rows; return evaluation, comparison and the predictions."""

    @property
    def collects(self) -> Collection[str]:
        """The kinds of evidence that `collect` can collect."""

    def collect(self, kind: str, case: Case) -> dict[str, Any]:
        """Collect one kind of evidence, keep its files, and return its facts."""

    def look(self, kind: str, case: Case) -> dict[str, Any]:
        """Collect one kind of evidence and return its facts; nothing is kept."""

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
