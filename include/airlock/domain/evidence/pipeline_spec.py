"""What one pipeline tells a run to do, read from its canonical document.

The document is what `airlock.config` has validated; its digest is the pipeline digest in every
subject. A run keeps the recipe it started with: `digest` is compared at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from airlock.domain.digest import digest_json
from airlock.domain.hypothesis_tests import ATTEMPTS, CONFIDENCE, shared

#: Gates that do again what a stage does.
_TRAINS = {"reproducibility": "train"}


@dataclass(frozen=True, slots=True)
class Budget:
    """What one stage may use before it is killed."""

    seconds: int
    memory_mb: int
    threads: int


@dataclass(frozen=True)
class Recipe:
    """One pipeline's document, with names for what the steps need."""

    document: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The pipeline digest."""
        return digest_json(self.document)

    @property
    def name(self) -> str:
        """The name of the pipeline, its DAG, its experiment and its registered model."""
        return str(self.document["metadata"]["name"])

    @property
    def owner(self) -> str:
        """Who answers for scheduled runs."""
        return str(self.document["metadata"]["owner"])

    @property
    def _spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.document["spec"]
        return spec

    @property
    def environment(self) -> str:
        """Where the release goes."""
        return str(self._spec["environment"])

    @property
    def folder(self) -> str:
        """The folder of the model's own code, relative to the checkout."""
        return str(self._spec["sourceCode"]["path"])

    @property
    def script(self) -> str:
        """The training script, relative to the checkout."""
        return str(PurePosixPath(self.folder, self._spec["trainingScript"]))

    @property
    def suite(self) -> str:
        """The model's expectations of its data, relative to the checkout."""
        return str(PurePosixPath(self.folder, "suite.py"))

    @property
    def source(self) -> str:
        """The data, relative to the checkout."""
        return str(self._spec["data"]["source"])

    @property
    def target(self) -> str:
        """The column that is predicted."""
        return str(self._spec["data"]["target"])

    @property
    def time_column(self) -> str | None:
        """The column that orders the rows in time, if they have one."""
        column: str | None = self._spec["data"].get("timeColumn")
        return column

    @property
    def holdout(self) -> float:
        """The share of the rows nobody trains on."""
        return float(self._spec["data"]["holdout"])

    @property
    def entity_column(self) -> str | None:
        """The column that says whom or what a row is about, if there is one."""
        column: str | None = self._spec["data"].get("entityColumn")
        return column

    @property
    def available_at(self) -> Mapping[str, str]:
        """For columns known later than the row: the column that says when."""
        return dict(self._spec["data"].get("availableAt", {}))

    @property
    def serving_log(self) -> str | None:
        """Recorded requests to what serves now, relative to the checkout."""
        path: str | None = self._spec["data"].get("servingLog")
        return path

    @property
    def risk(self) -> Mapping[str, Any]:
        """The declared risk facts."""
        return dict(self._spec["risk"])

    @property
    def seed(self) -> int:
        """What makes the run repeatable."""
        return int(self._spec["seed"])

    @property
    def gates(self) -> tuple[Mapping[str, Any], ...]:
        """Every gate with its options, in order."""
        return tuple(self._spec["gates"])

    def asks(self, gate: str) -> bool:
        """Return whether the pipeline has a gate."""
        return any(entry["gate"] == gate for entry in self.gates)

    @property
    def task(self) -> Literal["classification", "regression"]:
        """What kind of model it is."""
        return "regression" if self._spec["data"]["task"] == "regression" else "classification"

    @property
    def comparisons(self) -> tuple[tuple[str, float], ...]:
        """The metrics to compare with the champion, each with the confidence of one attempt."""
        return tuple(
            (
                str(gate["metric"]),
                shared(float(gate["confidence"]), int(gate.get("attempts", ATTEMPTS))),
            )
            for gate in self.gates
            if gate["gate"] == "performance-regression"
        )

    @property
    def bounds(self) -> tuple[tuple[str, float], ...]:
        """The metrics a gate wants bounds or slices of, each with its confidence."""
        return tuple(
            (str(gate["metric"]), float(gate.get("confidence", CONFIDENCE)))
            for gate in self.gates
            if gate["gate"] == "metrics-threshold" and {"confidence", "sliceThreshold"} & set(gate)
        )

    @property
    def slices(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """The columns that divide the held-out rows into slices, each with its edges."""
        return self._columns("slices")

    @property
    def protected(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """The protected attributes, each with its edges."""
        return self._columns("protectedAttributes")

    def _columns(self, key: str) -> tuple[tuple[str, tuple[float, ...]], ...]:
        columns = self._spec["data"].get(key) or ()
        return tuple(
            (str(column["column"]), tuple(map(float, column["edges"]))) for column in columns
        )

    @property
    def when_open(self) -> Literal["keep", "supersede"]:
        """What a new candidate does while another release of the line is open."""
        return "supersede" if self._spec["whenReleaseOpen"] == "supersede" else "keep"

    def budget(self, stage: str) -> Budget:
        """Return the resource limits of one stage, or of the task of one gate.

        A gate without a stage of its name may use what evaluation may; one that trains, what
        training may.
        """
        stages = {entry["name"]: entry for entry in self._spec["stages"]}
        limits = stages.get(stage, stages[_TRAINS.get(stage, "evaluate")])
        return Budget(
            seconds=int(limits["timeoutMinutes"]) * 60,
            memory_mb=int(limits["resources"]["memoryMb"]),
            threads=max(1, int(limits["resources"]["cpu"])),
        )
