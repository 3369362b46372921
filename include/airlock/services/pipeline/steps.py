"""What one pipeline run does before its gates: pin, validate, train, evaluate, register.

Rules:
* Each step is a plain function that can be tried again; nothing is registered before `register`.
* A run keeps the pipeline it started with: a step under another digest is refused.
* The model measured, the model registered and the model of the evidence are the same bytes:
  every step works with a copy of its own and takes the copy's digest anew.
* The model team's own code (suite, training, tests) needs no store: it runs where there is no
  credential at all (`validate`, `train`, `collect`), and `register` takes over what it left.
* The champion is the version Airlock itself has promoted, not what an alias in MLflow says, and
  its bytes are those that were approved.
* A step that fails leaves what came before it; only `register` makes a candidate.

It judges nothing: the gates do, on this evidence and what they collect (`services.evidence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from airlock.domain.digest import folder_manifest, manifest_digest, short
from airlock.domain.errors import Conflict, Refused, Unreachable
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.evidence.proposals import Kind
from airlock.domain.gates import Evidence
from airlock.ports import Candidate, Proposals, Store
from airlock.services.pipeline import collect_and_judge, comparison_budget
from airlock.services.pipeline.training_runtime import Bench, Trained

_VALIDATION = "data-validation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: who asked for what. `origin` is `dag_id/run_id`."""

    origin: str
    recipe: Recipe
    requester: str
    reason: str = ""
    since: date | None = None
    until: date | None = None
    raised_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which code and which libraries the run uses."""

    code_commit: str
    lock_digest: str
    committers: tuple[str, ...] = ()


def pin(store: Store, proposals: Proposals, bench: Bench, job: Job, policy: str) -> dict[str, Any]:
    """Pin the rows of the run's window and have the run begin, with pipeline, policy and time.

    Raises:
        Unreachable: while the policy or the pipeline on disk is not registered yet.
    """
    with store.begin() as work:
        for kind, digest in (("policy", policy), ("pipeline", job.recipe.digest)):
            _registered(work, kind, digest)
    profile = bench.pin(job.recipe, job.since, job.until)
    first = [Evidence("data-profile", profile["digest"], profile)]
    body = {
        "pipeline": job.recipe.digest,
        "policy": policy,
        "evidence": collect_and_judge.documents(first),
    }
    begun = proposals.submit(Kind.RUN, job.origin, body)
    return {
        "data": profile["digest"],
        "rows": profile["rows"],
        "window": profile["window"],
        "pipeline": job.recipe.digest,
        "policy": policy,
        "startedAt": begun["startedAt"],
    }


def _registered(work: Any, kind: str, digest: str) -> None:
    try:
        work.registered(kind, digest)
    except Refused as error:
        raise Unreachable(
            f"the {kind} {short(digest)} on disk is not registered yet",
            next_step="`airlock deliver` registers what is in the files; see that it runs.",
        ) from error


def validate(bench: Bench, job: Job, pinned: Mapping[str, Any]) -> dict[str, Any]:
    """Check the pinned rows against the model's own suite. A failed check is no error here."""
    _same_pipeline(job, pinned)
    facts, folder = bench.validate(job.recipe, pinned["data"])
    summary = {key: facts[key] for key in ("success", "evaluated", "successful", "rows")}
    return {**summary, "folder": str(folder)}


def _champion_window(store: Store, recipe: Recipe) -> dict[str, Any] | None:
    """Return how many rows the champion was made from; None before the first release."""
    with store.begin() as work:
        line = work.line(recipe.name, recipe.environment)
        if not line.release:
            return None
        release = work.get(line.release)
        profile = work.evidence_of(release.origin).get("data-profile")
    rows = profile.facts["rows"] if profile else None
    return {"version": release.subject.version, "rows": rows}


def train(bench: Bench, job: Job, pinned: Mapping[str, Any]) -> dict[str, Any]:
    """Train a candidate and say where its folder is and what its digest is."""
    _same_pipeline(job, pinned)
    trained = bench.train(job.recipe, pinned["data"])
    return {
        "folder": str(trained.folder),
        "artifact": trained.artifact_digest,
        "params": dict(trained.params),
        "metrics": dict(trained.metrics),
        "seconds": trained.seconds,
        "peakMb": trained.peak_mb,
    }


def collect(bench: Bench, job: Job, pinned: Mapping[str, Any]) -> dict[str, str]:
    """Run the model team's own code for the gates that need it; say how each run ended.

    A run that fails is no error here: its gate is then ERRORED with the reason.
    """
    _same_pipeline(job, pinned)
    return bench.run_team_code(job.origin, job.recipe, pinned["data"])


def evaluate(
    store: Store,
    proposals: Proposals,
    bench: Bench,
    job: Job,
    pinned: Mapping[str, Any],
    trained: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure candidate and champion on the same held-out rows."""
    _same_pipeline(job, pinned)
    candidate = _candidate_folder(bench, trained)
    champion = _champion(store, bench, job.recipe)
    facts, comparison, predictions = bench.evaluate(job.recipe, pinned["data"], candidate, champion)
    artifact = str(trained["artifact"])
    comparison = comparison_budget.numbered(store, job.recipe, job.origin, artifact, comparison)
    measured = {"evaluation": facts, "comparison": comparison}
    items = [Evidence(kind, artifact, values) for kind, values in measured.items()]
    collect_and_judge.submit_all(proposals, job.origin, items)
    return {
        "rows": facts["rows"],
        "candidate": facts["candidate"]["metrics"],
        "champion": facts["champion"] and facts["champion"]["metrics"],
        "championVersion": champion and champion[0],
        "predictions": str(predictions),
    }


def register(
    store: Store,
    proposals: Proposals,
    bench: Bench,
    job: Job,
    origin: Origin,
    pinned: Mapping[str, Any],
    validated: Mapping[str, Any],
    trained: Mapping[str, Any],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """Register the model version with its evidence and make it the run's candidate."""
    _same_pipeline(job, pinned)
    folder = _candidate_folder(bench, trained)
    artifact = str(trained["artifact"])
    collected = _about(store, job.origin, str(pinned["data"]), artifact)
    collected[_VALIDATION], docs = _validated(store, bench, job, pinned, validated)
    tags = {
        "origin": job.origin,
        "requester": job.requester,
        "reason": job.reason,
        "data_digest": pinned["data"],
        "code_commit": origin.code_commit,
        "lock_digest": origin.lock_digest,
    }
    recorded = bench.record(
        job.recipe,
        _trained(trained, folder),
        tags,
        collected,
        {name: Path(path) for name, path in files.items()} | {"data-docs": docs},
    )
    if recorded.artifact_digest != artifact:
        raise Conflict(
            f"run {job.origin} has already registered version {recorded.version} with other "
            f"bytes: {short(recorded.artifact_digest)}, this model is {short(artifact)}",
            next_step="Start a new run instead of clearing the training of this one.",
        )
    candidate = Candidate(
        origin=job.origin,
        model=job.recipe.name,
        version=recorded.version,
        run_id=recorded.run_id,
        location=recorded.location,
        artifact_digest=artifact,
        data_digest=pinned["data"],
        code_commit=origin.code_commit,
        pipeline_digest=job.recipe.digest,
        requester=job.requester,
        environment=job.recipe.environment,
        raised_to=job.raised_to,
        started_at=pinned["startedAt"],
        committers=origin.committers,
        lock_digest=origin.lock_digest,
    )
    about = [Evidence(kind, artifact, facts) for kind, facts in collected.items()]
    body = {"candidate": asdict(candidate), "evidence": collect_and_judge.documents(about)}
    proposals.submit(Kind.CANDIDATE, job.origin, body)
    return {
        "model": candidate.model,
        "version": candidate.version,
        "mlflowRun": candidate.run_id,
        "artifact": artifact,
        "evidence": sorted(collected),
    }


def _validated(
    store: Store,
    bench: Bench,
    job: Job,
    pinned: Mapping[str, Any],
    validated: Mapping[str, Any],
) -> tuple[dict[str, Any], Path]:
    """Return the facts data-validation, taken over from where the suite ran, and the data docs.

    Raises:
        Conflict: if the suite speaks of another number of rows than were pinned.
    """
    data = str(pinned["data"])
    facts, docs = bench.validated(job.origin, job.recipe, data, Path(validated["folder"]))
    with store.begin() as work:
        profile = work.evidence_of(job.origin).get("data-profile")
    rows = profile.facts["rows"] if profile else None
    if facts.get("rows") != rows:
        raise Conflict(
            f"run {job.origin} has pinned {rows} rows, its validation speaks of "
            f"{facts.get('rows')}",
            next_step="Clear the task that validates the data (in a pipeline's DAG the task "
            "validate_data); if it repeats, see what the suite does.",
        )
    about = {
        "asOf": pinned["window"]["until"] or str(pinned["startedAt"])[:10],
        "champion": _champion_window(store, job.recipe),
    }
    return facts | about, docs


def _about(store: Store, origin: str, data: str, artifact: str) -> dict[str, Mapping[str, Any]]:
    """Return all facts by kind: those about the data count for the model trained on it."""
    with store.begin() as work:
        collected = dict(work.evidence_of(origin))
    collected.pop(_VALIDATION, None)  # of an earlier attempt; the suite's newest word is taken over
    for kind, entry in collected.items():
        if entry.artifact_digest not in (data, artifact):
            raise Conflict(
                f"the evidence {kind} of {origin} is about {short(entry.artifact_digest)}, "
                f"but this run trained {short(artifact)} on {short(data)}",
                next_step="Clear the task that collects it, or start a new run.",
            )
    return {kind: entry.facts for kind, entry in collected.items()}


def _same_pipeline(job: Job, pinned: Mapping[str, Any]) -> None:
    if pinned["pipeline"] != job.recipe.digest:
        raise Refused(
            f"the pipeline {job.recipe.name} changed during the run: it began with "
            f"{short(pinned['pipeline'])}, the file now is {short(job.recipe.digest)}",
            next_step="Start a new run; one run has one pipeline.",
        )


def _candidate_folder(bench: Bench, trained: Mapping[str, Any]) -> Path:
    artifact = str(trained["artifact"])
    folder = bench.receive(Path(trained["folder"]), artifact)
    _check(folder, artifact, "the candidate")
    return folder


def _check(folder: Path, expected: str, label: str) -> None:
    actual = manifest_digest(folder_manifest(folder))
    if actual != expected:
        raise Conflict(
            f"{label} was changed: expected {short(expected)}, found {short(actual)} in {folder}",
            next_step="Find out who writes there, then start a new run.",
        )


def _champion(store: Store, bench: Bench, recipe: Recipe) -> tuple[str, Path] | None:
    with store.begin() as work:
        line = work.line(recipe.name, recipe.environment)
        release = work.get(line.release) if line.release else None
    if line.version is None:
        return None
    folder = bench.champion(recipe.name, line.version)
    if release is not None:
        _check(folder, release.subject.artifact_digest, f"the champion, version {line.version},")
    return line.version, folder


def _trained(document: Mapping[str, Any], folder: Path) -> Trained:
    return Trained(
        folder=folder,
        artifact_digest=str(document["artifact"]),
        params=document["params"],
        metrics=document["metrics"],
        seconds=float(document["seconds"]),
        peak_mb=int(document["peakMb"]),
    )
