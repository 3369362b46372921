"""The bench of a pipeline run: the lab, the pinned data and the registry, put together.

It translates a recipe into the lab's requests and back. The steps and their rules are in
`airlock.services.pipeline.steps`.

Where tasks are kept apart by queues, one of two benches has no store, key or account (`train`) and
the other runs none of the model team's own code. What the first leaves for the second lies in a
folder of the run (`airlock.adapters.jobs.handover`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.datasets.files import FileData
from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.git_code import commit
from airlock.adapters.jobs import Lab, handover, requests
from airlock.adapters.jobs.collection_context import Collected, Scene, TeamCode
from airlock.adapters.jobs.collectors import COLLECTORS, TEAM_CODE
from airlock.adapters.jobs.errors import CheckBroke, LabFailure
from airlock.adapters.jobs.signing import signature_of
from airlock.adapters.mlflow import CandidateRecord, MlflowRegistry
from airlock.bootstrap.room import reserve_of
from airlock.config.model_card import read_card
from airlock.domain.digest import file_digest, folder_manifest, manifest_digest, short
from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.gates import BY_NAME
from airlock.ports import Files
from airlock.services.pipeline.steps import Origin
from airlock.services.pipeline.training_runtime import Case, Recorded, Trained

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock
    from airlock.config.settings import Settings

_ABOUT, _DOCS, _FACTS = "about.json", "docs", "facts.json"


@dataclass(frozen=True, slots=True)
class _Left:
    """What lies beside the outcome of a team's code: what it is about, and why there is none."""

    about: Mapping[str, str]
    failure: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class ModelKeys:
    """Whose model signatures are trusted, and the key to sign with where models are registered."""

    trusted: Path
    signing: Path | None = None


def bench_of(airlock: Airlock) -> Workbench:
    """Return the bench of a process with these settings."""
    chosen = airlock.settings
    return Workbench(
        chosen.root,
        chosen.home / "work",
        airlock.data,
        airlock.lab,
        airlock.registry,
        airlock.files,
        ModelKeys(chosen.model_keys, chosen.model_signing_key),
        chosen.code_commit or "",
        chosen.handover,
        reserve_of(chosen).check,
    )


def training_bench(chosen: Settings, origin: str) -> Workbench:
    """Return the bench of a process that runs the model team's own code, and has no credential.

    What is made is left in a folder of the run *origin*, below the hand-over folder.
    """
    return Workbench(
        chosen.root,
        chosen.home / "work",
        FileData(chosen.data_dir),
        Lab(
            chosen.handover / _folder_of(origin),
            tools=chosen.home / "tools",
            room=reserve_of(chosen).check,
        ),
        MlflowRegistry(chosen.mlflow_tracking_uri),
        EvidenceFolder(chosen.evidence),
        code_commit=chosen.code_commit or "",
        handed_over=chosen.handover,
        room=reserve_of(chosen).check,
    )


def _folder_of(origin: str) -> str:
    """Return the name of a run's folder: readable, and of one run only."""
    readable = re.sub(r"[^A-Za-z0-9_.-]", "_", origin)[:80]
    return f"{readable}-{hashlib.sha256(origin.encode()).hexdigest()[:12]}"


class Workbench:
    """`airlock.ports.Bench` on this machine. *root* is the checkout, *scratch* is for downloads."""

    def __init__(
        self,
        root: Path,
        scratch: Path,
        data: FileData,
        lab: Lab,
        registry: MlflowRegistry,
        files: Files,
        keys: ModelKeys | None = None,
        code_commit: str = "",
        handed_over: Path | None = None,
        room: Callable[[], object] = bool,
    ) -> None:
        """*room* raises Unreachable while the disk has no room for new work."""
        self._room = room
        self._root, self._scratch, self._commit = root, scratch, code_commit
        self._handed_over = handed_over or scratch
        self._keys = keys or ModelKeys(root / "no-keys")
        self._data, self._lab, self._registry, self._files = data, lab, registry, files

    def pin(self, recipe: Recipe, since: date | None, until: date | None) -> dict[str, Any]:
        """Keep the rows of a window."""
        self._room()
        source = self._root / recipe.source
        return self._data.pin(
            source, recipe.time_column, until, since, target=recipe.target, task=recipe.task
        )

    def validate(self, recipe: Recipe, data: str) -> tuple[dict[str, Any], Path]:
        """Check pinned rows with the model's suite, which is the team's own code."""
        validation = self._lab.validate(
            requests.ValidateRequest(
                name=recipe.name,
                data=self._rows(recipe, data),
                suite=self._root / recipe.suite,
                limits=_limits(recipe, "validate"),
            )
        )
        left = validation.docs.parent / "left"
        left.mkdir()
        validation.docs.rename(left / _DOCS)
        handover.write(left / _FACTS, validation.facts)
        return validation.facts, left

    def validated(
        self, origin: str, recipe: Recipe, data: str, folder: Path
    ) -> tuple[dict[str, Any], Path]:
        """Take over the files of a validation; compute here what need not be trusted to it."""
        place = self._received(origin) / "validation"
        description = "what the validation left,"
        handover.receive(folder, self._handed_over, place, description, "validate_data")
        docs = place / _DOCS
        facts = {
            "dataDigest": data,
            "docsDigest": manifest_digest(folder_manifest(docs)),
            "newest": self._data.newest(data, recipe.time_column),
        }
        return handover.read(place / _FACTS, dict[str, Any]) | facts, docs

    def run_team_code(self, origin: str, recipe: Recipe, data: str) -> dict[str, str]:
        """Run the team's own code for every gate that asks for it; leave what came out."""
        self._lab.check_team_code(f"what the gates of {recipe.name} run")
        team = TeamCode(
            lab=self._lab,
            recipe=recipe,
            root=self._root,
            code=self._code(recipe),
            data=data,
            rows_of=self._rows,
        )
        about = _about(origin, recipe.digest, data, team.code)
        kinds = [kind for kind in _kinds(recipe) if kind in TEAM_CODE]
        return {kind: self._leave(kind, team, about) for kind in kinds}

    def _leave(self, kind: str, team: TeamCode, about: Mapping[str, str]) -> str:
        """Run the team's own code for one kind of evidence; return how that ended."""
        place = self._left_by(about["origin"], kind)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="leaving-", dir=place.parent) as scratch:
            out = Path(scratch) / kind
            out.mkdir()
            left = _Left(dict(about))
            try:
                TEAM_CODE[kind](team, out)
            except Unreachable:
                raise
            except AirlockError as error:
                left = _Left(dict(about), error.message, error.next_step)
            handover.write(out / _ABOUT, left)
            handover.put_in_place(out, place)
        return left.failure or "done"

    def _taken_over(self, kind: str, case: Case) -> Path | None:
        """Return a copy of what the team's own code left for a candidate; None to run it here.

        Raises:
            Refused: if it is about something else, or is not there and may not run here.
            LabFailure: with the sentence of a run that failed.
        """
        candidate = case.candidate
        left = self._left_by(candidate.origin, kind)
        if not left.is_dir() and self._lab.runs_team_code:
            return None
        if not left.is_dir():
            raise Refused(
                f"{kind} needs the model team's own code to run, which left nothing for this run",
                next_step='Put a StepOperator with step="collect" before the gate: it runs on '
                "the queue train; docs/howto/production.md says more.",
            )
        place = self._received(candidate.origin) / kind
        description = f"what was left for {kind},"
        handover.receive(left, self._handed_over, place, description, "run_team_code")
        record = handover.read(place / _ABOUT, _Left)
        code = Origin(code_commit=candidate.code_commit, lock_digest=candidate.lock_digest)
        if record.about != _about(
            candidate.origin, candidate.pipeline_digest, candidate.data_digest, code
        ):
            raise Refused(
                f"what was left for {kind} is about other code, data or libraries than the "
                "candidate's",
                next_step="Start a new run, or clear the task that left it (in a pipeline's DAG "
                "the task run_team_code).",
            )
        if record.failure:
            raise LabFailure(record.failure[:2000], next_step=record.next_step[:2000])
        return place

    def _left_by(self, origin: str, kind: str) -> Path:
        return self._handed_over / _folder_of(origin) / "collected" / kind

    def _received(self, origin: str) -> Path:
        return self._scratch / "received" / _folder_of(origin)

    def train(self, recipe: Recipe, data: str) -> Trained:
        """Train in a child process."""
        result = self._lab.train(
            requests.TrainRequest(
                name=recipe.name,
                data=self._rows(recipe, data),
                script=self._root / recipe.script,
                limits=_limits(recipe, "train"),
            )
        )
        return Trained(
            folder=result.model,
            artifact_digest=result.artifact_digest,
            params=result.params,
            metrics=result.metrics,
            seconds=result.seconds,
            peak_mb=result.peak_mb,
        )

    def receive(self, folder: Path, artifact: str) -> Path:
        """Copy a model folder out of the hand-over folder."""
        place = self._scratch / "received" / artifact.partition(":")[2] / "model"
        return handover.receive(folder, self._handed_over, place)

    def evaluate(
        self, recipe: Recipe, data: str, candidate: Path, champion: tuple[str, Path] | None
    ) -> tuple[dict[str, Any], dict[str, Any], Path]:
        """Measure candidate and champion on the same rows."""
        measurement = self._lab.evaluate(
            requests.EvaluateRequest(
                name=recipe.name,
                data=self._rows(recipe, data),
                candidate=candidate,
                limits=_limits(recipe, "evaluate"),
                champion=requests.Champion(champion[1], champion[0]) if champion else None,
                bound=tuple(requests.Compare(*options) for options in recipe.bounds),
                compare=tuple(requests.Compare(*options) for options in recipe.comparisons),
                slices=tuple(requests.Slice(*options) for options in recipe.slices),
            )
        )
        self._files.put(measurement.predictions)
        return measurement.evaluation, measurement.comparison, measurement.predictions

    @property
    def collects(self) -> Collection[str]:
        """The kinds of evidence there is a collector for."""
        return COLLECTORS.keys()

    def collect(self, kind: str, case: Case) -> dict[str, Any]:
        """Collect one kind of evidence; its files go to the evidence store and to MLflow."""
        evidence = self._collected(kind, case, lambda kind: self._taken_over(kind, case))
        files = {name: self._files.put(path) for name, path in evidence.files.items()}
        facts = evidence.facts | ({"files": files} if files else {})
        run = case.candidate.run_id
        self._registry.log_evidence(run, kind, facts)
        for path in evidence.files.values():
            self._registry.log_files(run, path, f"evidence/{kind}")
        self._registry.log_metrics(run, _numbers(kind, facts))
        return facts

    def look(self, kind: str, case: Case) -> dict[str, Any]:
        """Collect one kind of evidence; its facts are those that `collect` would return.

        The team's own code runs again where it may; else the files it left are taken.
        """
        anew = self._lab.runs_team_code
        evidence = self._collected(
            kind, case, lambda kind: None if anew else self._taken_over(kind, case)
        )
        files = {name: file_digest(path) for name, path in evidence.files.items()}
        return evidence.facts | ({"files": files} if files else {})

    def _collected(
        self, kind: str, case: Case, handed_over: Callable[[str], Path | None]
    ) -> Collected:
        scene = Scene(
            lab=self._lab,
            case=case,
            root=self._root,
            keys=self._keys.trusted,
            model_of=lambda version, digest: self._model(case.recipe.name, version, digest),
            rows_of=self._rows,
            evidence_file=self._files.get,
            code_of=self._code,
            card_of=read_card,
            tag_of=lambda name: self._registry.tag(case.recipe.name, case.candidate.version, name),
            handed_over=handed_over,
        )
        try:
            return COLLECTORS[kind](scene)
        except (AirlockError, OSError, MemoryError):
            raise
        except Exception as error:  # a reason in the gate's result, not a task that failed
            text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            raise CheckBroke(
                f"collecting {kind} broke: {text}", next_step="the traceback is in the task's log"
            ) from error

    def _model(self, model: str, version: str, digest: str) -> Path:
        """Return a version's files and, beside the folder, the signature made with them."""
        place = self._scratch / "models" / digest.partition(":")[2] / "model"
        if place.is_dir() and manifest_digest(folder_manifest(place)) == digest:
            os.utime(place.parent)  # it is in use, so it is not cleared away
            return place
        self._scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="model-", dir=self._scratch) as scratch:
            ready = Path(scratch) / "ready"
            ready.mkdir()
            folder = self._registry.download(model, version, Path(scratch))
            actual = manifest_digest(folder_manifest(folder))
            if actual != digest:
                raise Refused(
                    f"version {version} of {model} was changed in MLflow: expected "
                    f"{short(digest)}, found {short(actual)}",
                    next_step="`airlock detect list` says what else was changed.",
                )
            folder.rename(ready / place.name)
            signed = self._registry.run_file(model, version, "signature", Path(scratch))
            if signed is not None:
                signed.rename(signature_of(ready / place.name))
            handover.put_in_place(ready, place.parent)
        return place

    def champion(self, model: str, version: str) -> Path:
        """Download a version into a folder of its own."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        into = Path(tempfile.mkdtemp(prefix=f"champion-{model}-{version}-", dir=self._scratch))
        try:
            return self._registry.download(model, version, into)
        except BaseException:
            shutil.rmtree(into, ignore_errors=True)
            raise

    def record(
        self,
        recipe: Recipe,
        trained: Trained,
        tags: Mapping[str, str],
        evidence: Mapping[str, Mapping[str, Any]],
        files: Mapping[str, Path],
    ) -> Recorded:
        """Sign and register the candidate and keep the evidence with its MLflow run."""
        if self._keys.signing is not None:
            self._lab.sign(trained.folder, self._keys.signing)
        version_record = self._registry.record_candidate(
            CandidateRecord(
                model=recipe.name,
                origin=tags["origin"],
                requester=tags["requester"],
                folder=trained.folder,
                artifact_digest=trained.artifact_digest,
                source=recipe.source,
                data_digest=tags["data_digest"],
                code_commit=tags["code_commit"],
                lock_digest=tags["lock_digest"],
                pipeline_digest=recipe.digest,
                params=trained.params,
                metrics={f"train_{name}": value for name, value in trained.metrics.items()},
            )
        )
        for kind, facts in evidence.items():
            self._registry.log_evidence(version_record.run_id, kind, facts)
        signature = signature_of(trained.folder)
        if signature.is_file():
            self._registry.log_files(version_record.run_id, signature, "signature")
        for folder, path in files.items():
            self._registry.log_files(version_record.run_id, path, folder)
        self._registry.log_metrics(
            version_record.run_id, _numbers("evaluation", evidence["evaluation"])
        )
        return Recorded(
            version=version_record.version,
            run_id=version_record.run_id,
            location=version_record.location,
            artifact_digest=version_record.artifact_digest,
        )

    def _code(self, recipe: Recipe) -> Origin:
        return Origin(
            code_commit=commit(self._root, recipe.folder, self._commit),
            lock_digest=file_digest(self._root / "requirements.txt"),
        )

    def _rows(self, recipe: Recipe, data: str) -> requests.LabData:
        return requests.LabData(
            path=self._data.path(data),
            digest=data,
            target=recipe.target,
            task=recipe.task,
            time_column=recipe.time_column,
            holdout=recipe.holdout,
            seed=recipe.seed,
        )


def _kinds(recipe: Recipe) -> list[str]:
    """Return the kinds of evidence a pipeline's gates need, each once."""
    return list(
        dict.fromkeys(kind for gate in recipe.gates for kind in BY_NAME[gate["gate"]].needs)
    )


def _about(origin: str, pipeline: str, data: str, code: Origin) -> dict[str, str]:
    """Return what was run, for what: both sides of a hand-over write it from what they know."""
    return {
        "origin": origin,
        "pipeline": pipeline,
        "data": data,
        "code": code.code_commit,
        "lock": code.lock_digest,
    }


def _limits(recipe: Recipe, stage: str) -> requests.Limits:
    budget = recipe.budget(stage)
    return requests.Limits(budget.seconds, budget.memory_mb, budget.threads)


def _numbers(kind: str, facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers people look for in MLflow's list of runs."""
    if kind == "evaluation":
        return dict(facts["candidate"]["metrics"])
    return {"latency_p95_ms": float(facts["p95Ms"])} if kind == "latency" else {}
