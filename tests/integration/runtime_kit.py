"""A candidate made of real rows in a real checkout, and what its runtime gates say of it."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas

from airlock.adapters.datasets.files import FileData
from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.git_code import commit
from airlock.adapters.jobs import EvaluateRequest, Lab, LabData, TrainRequest
from airlock.adapters.jobs.collection_context import Scene
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.domain.approval.release import Subject
from airlock.domain.digest import file_digest, folder_manifest, manifest_digest
from airlock.domain.errors import AirlockError
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import UNCOLLECTED, Evidence, Gate, GateResult, run_gate
from airlock.ports import Candidate
from airlock.services.pipeline.steps import Origin
from airlock.services.pipeline.training_runtime import Case
from tests.integration.lab_kit import LIMITS
from tests.support import ROOT

FEATURES = ["AGEP", "SCHL", "RELP", "ESP", "MIG"]
GOOD = f"""
    from sklearn.linear_model import LogisticRegression

    def train(rows, target, seed):
        return LogisticRegression(max_iter=500).fit(rows[{FEATURES}], rows[target])
"""
STAGE = {"timeoutMinutes": 5, "resources": {"memoryMb": LIMITS.memory_mb, "cpu": 1}}


def census(n: int = 1200) -> pandas.DataFrame:
    """Every so many rows of the census records, in order of time."""
    table = pandas.read_parquet(ROOT / "include/models/employment/data.parquet")
    return table.iloc[:: len(table) // n].reset_index(drop=True)


@dataclass
class Site:
    """A checkout of one model, with the rows, the lab and the evidence store."""

    folder: Path
    data: LabData
    models: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def made(cls, folder: Path, table: pandas.DataFrame | None = None) -> Site:
        """Make the checkout in git, and pin the rows."""
        code = folder / "code"
        (code / "model").mkdir(parents=True)
        (code / "requirements.txt").write_text("scikit-learn==1.9.1\n")
        source = folder / "rows.parquet"
        (census() if table is None else table).to_parquet(source, index=False)
        pinned = FileData(folder / "data")
        digest = pinned.pin(source, "observed_on")["digest"]
        data = LabData(
            path=pinned.path(digest),
            digest=digest,
            target="employed",
            task="classification",
            time_column="observed_on",
        )
        return cls(folder, data)

    @property
    def code(self) -> Path:
        """The checkout."""
        return self.folder / "code"

    @property
    def lab(self) -> Lab:
        """The lab."""
        return Lab(self.folder / "lab")

    def origin(self, _recipe: Any = None) -> Origin:
        """Return which code and libraries are in the checkout."""
        lock = file_digest(self.code / "requirements.txt")
        return Origin(code_commit=commit(self.code, "model"), lock_digest=lock)

    def write(self, text: str) -> None:
        """Commit a training script."""
        (self.code / "model" / "train.py").write_text(textwrap.dedent(text))
        _git(self.code, "init", "-q", "-b", "main")
        _git(self.code, "add", "-A")
        _git(self.code, "commit", "-q", "--allow-empty", "-m", "train")

    def trained(self, text: str) -> Path:
        """Commit a training script and train with it."""
        self.write(text)
        script = self.code / "model" / "train.py"
        request = TrainRequest(name="work", data=self.data, script=script, limits=LIMITS)
        return self.lab.train(request).model

    def scene(
        self,
        model: Path,
        gates: tuple[Mapping[str, Any], ...],
        champion: Path | None = None,
        evaluated: Path | None = None,
    ) -> Scene:
        """Evaluate a model, keep the predictions, and return it as a candidate.

        *evaluated* is another model that is measured in its place.
        """
        measured = evaluated or model
        found = self.lab.evaluate(
            EvaluateRequest(name="work", data=self.data, candidate=measured, limits=LIMITS)
        )
        files = EvidenceFolder(self.folder / "evidence")
        files.put(found.predictions)
        one, other = self.known(model), champion and self.known(champion)
        case = Case(
            recipe=Recipe(_pipeline(gates)),
            candidate=self._candidate(one),
            champion=_subject(other) if other else None,
            facts={"evaluation": found.evaluation},
        )
        return Scene(
            lab=self.lab,
            case=case,
            root=self.code,
            keys=self.folder,
            model_of=lambda _version, digest: self.models[digest],
            rows_of=lambda _recipe, _digest: self.data,
            evidence_file=files.get,
            code_of=self.origin,
        )

    def changed(self, model: Path, name: str) -> Path:
        """Copy a model folder, to be changed."""
        return Path(shutil.copytree(model, self.folder / name))

    def known(self, model: Path) -> str:
        digest = manifest_digest(folder_manifest(model))
        self.models[digest] = model
        return digest

    def _candidate(self, digest: str) -> Candidate:
        now = self.origin()
        return Candidate(
            origin="work/run-1",
            model="work",
            version="2",
            run_id="run",
            location="mlflow:/there",
            artifact_digest=digest,
            data_digest=self.data.digest,
            code_commit=now.code_commit,
            pipeline_digest=self.data.digest,
            requester="ana",
            environment="production",
            raised_to=None,
            started_at="2026-01-01T00:00:00Z",
            lock_digest=now.lock_digest,
        )


def judged(scene: Scene, gate: Gate) -> GateResult:
    """Collect what a gate needs and judge it, as the service does."""
    evidence = {}
    about = scene.case.candidate.artifact_digest
    for kind in gate.needs:
        try:
            facts = COLLECTORS[kind](scene).facts
        except AirlockError as error:
            facts = {UNCOLLECTED: f"{error.message}. {error.next_step}"}
        evidence[kind] = Evidence(kind, about, facts)
        assert evidence[kind].digest  # plain JSON, NaN refused
    return run_gate(gate, evidence)


def with_candidate(scene: Scene, **changes: Any) -> Scene:
    """Return the scene with another candidate."""
    case = replace(scene.case, candidate=replace(scene.case.candidate, **changes))
    return replace(scene, case=case)


def _subject(digest: str) -> Subject:
    given = {"model": "work", "version": "1", "artifact_digest": digest}
    rest = {
        name: "sha256:" + "0" * 64 for name in Subject.__dataclass_fields__ if name not in given
    }
    return Subject(**given, **rest)  # type: ignore[arg-type]


def _pipeline(gates: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    return {
        "metadata": {"name": "work", "owner": "ana"},
        "spec": {
            "sourceCode": {"path": "model"},
            "trainingScript": "train.py",
            "seed": 0,
            "gates": list(gates),
            "stages": [{"name": name, **STAGE} for name in ("validate", "train", "evaluate")],
        },
    }


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)
