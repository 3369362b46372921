"""One candidate and one champion on slices of the real data, for the tests of collectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas

from airlock.adapters.datasets.files import FileData
from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.jobs import Lab, LabData
from airlock.adapters.jobs.collection_context import Scene
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.config.model_card import read_card
from airlock.domain.approval.release import Subject
from airlock.domain.errors import AirlockError
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import UNCOLLECTED, Evidence, Gate, GateResult, run_gate
from airlock.ports import Candidate
from airlock.services.pipeline.training_runtime import Case
from tests.support import ROOT

ARTIFACT = "sha256:" + "a" * 64
EMPLOYMENT = ROOT / "include/models/employment/data.parquet"
DOCTOR = ROOT / "include/models/doctor_visits/data.parquet"


def census(year: int, rows: int) -> pandas.DataFrame:
    """Return that many census records of one year; one date becomes the days of that year."""
    table = pandas.read_parquet(EMPLOYMENT)
    chosen = table[pandas.to_datetime(table["observed_on"]).dt.year == year]
    chosen = chosen.sample(rows, random_state=year).reset_index(drop=True)
    days = pandas.to_datetime(f"{year}-01-01") + pandas.to_timedelta(chosen.index % 365, unit="D")
    return chosen.assign(observed_on=days.date)


@dataclass
class Place:
    """A folder with a lab, pinned data and kept evidence."""

    folder: Path
    lab: Lab = field(init=False)
    data: FileData = field(init=False)
    files: EvidenceFolder = field(init=False)

    def __post_init__(self) -> None:
        self.lab = Lab(self.folder / "lab")
        self.data = FileData(self.folder / "data")
        self.files = EvidenceFolder(self.folder / "evidence")

    def pin(self, table: pandas.DataFrame) -> str:
        """Pin a table and return its digest."""
        source = self.folder / "rows.parquet"
        table.to_parquet(source, index=False)
        return str(self.data.pin(source)["digest"])

    def rows_of(self, recipe: Recipe, digest: str) -> LabData:
        """Return pinned rows for the lab."""
        return LabData(
            path=self.data.path(digest),
            digest=digest,
            target=recipe.target,
            task=recipe.task,
            time_column=recipe.time_column,
            holdout=recipe.holdout,
            seed=recipe.seed,
        )

    def scene(
        self,
        data: str,
        champion: str | None = None,
        *,
        model: Path = Path("no-model"),
        root: Path = ROOT,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
        **spec: Any,
    ) -> Scene:
        """Return a scene of the model employment; *spec* changes the pipeline's data section."""
        recipe = Recipe(recipe_document(**spec))
        case = Case(
            recipe=recipe,
            candidate=candidate(data),
            champion=subject(champion) if champion else None,
            facts=facts or {},
        )
        return Scene(
            lab=self.lab,
            case=case,
            root=root,
            keys=self.folder,
            model_of=lambda version, digest: model,
            rows_of=self.rows_of,
            evidence_file=self.files.get,
            card_of=read_card,
        )

    def examine(self, gate: Gate, scene: Scene) -> GateResult:
        """Collect and judge as `airlock.services.pipeline.collect_and_judge` does."""
        (kind,) = gate.needs
        try:
            found = COLLECTORS[kind](scene)
            kept = {name: self.files.put(path) for name, path in found.files.items()}
            facts = found.facts | ({"files": kept} if kept else {})
        except AirlockError as error:
            facts = {UNCOLLECTED: f"{error.message}. {error.next_step}"}
        return run_gate(gate, {kind: Evidence(kind, ARTIFACT, facts)})


def recipe_document(**data: Any) -> dict[str, Any]:
    """Return the canonical document of a pipeline."""
    given = {
        "source": "rows.parquet",
        "target": "employed",
        "task": "classification",
        "timeColumn": "observed_on",
        "holdout": 0.25,
    } | data
    resources = {"cpu": 1, "memoryMb": 2048}
    return {
        "metadata": {"name": "employment", "owner": "ana"},
        "spec": {
            "sourceCode": {"path": "include/models/employment"},
            "trainingScript": "train.py",
            "data": {key: value for key, value in given.items() if value is not None},
            "risk": {"customerImpact": "direct", "automatedDecision": True},
            "environment": "production",
            "seed": 0,
            "stages": [{"name": "evaluate", "timeoutMinutes": 6, "resources": resources}],
            "gates": [],
        },
    }


def candidate(data: str) -> Candidate:
    """Return a candidate made from this data."""
    return Candidate(
        origin="employment/run",
        model="employment",
        version="4",
        run_id="run",
        location="there",
        artifact_digest=ARTIFACT,
        data_digest=data,
        code_commit="0123abc",
        pipeline_digest=ARTIFACT,
        requester="ana",
        environment="production",
        raised_to=None,
        started_at="2020-01-01T00:00:00Z",
    )


def subject(data: str) -> Subject:
    """Return a champion made from this data."""
    return Subject(
        model="employment",
        version="3",
        artifact_digest=ARTIFACT,
        data_digest=data,
        code_commit="0123abc",
        pipeline_digest=ARTIFACT,
        policy_digest=ARTIFACT,
        environment="production",
    )
