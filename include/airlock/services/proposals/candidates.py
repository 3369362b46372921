"""The candidate of a run, put together by the decider from its own sources.

What is only known to the task is its version, its MLflow run and its place there. Everything else
it says is compared: with the run as Airflow knows it, with the registered pipeline, with the
decider's own checkout, and with the bytes where the registry keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from airlock.domain.approval.policy import Tier
from airlock.domain.digest import digest_json, short
from airlock.domain.errors import Invalid, Refused
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.evidence.proposals import RunEvent, run_stream
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Channel
from airlock.ports import Candidate, Run, Store, UnitOfWork
from airlock.services.proposals import evidence, runs
from airlock.services.proposals.body import Body
from airlock.services.proposals.handling import Claim, Finish, Sources

_DECIDER = Actor.system("decider", Channel.DAG)


def submit(store: Store, sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Keep the candidate of a run with its evidence; the same run may only repeat the same."""
    items, claimed = evidence.items_of(claim.body), _claimed_candidate(claim)
    with store.begin() as unit:
        run = runs.require_run(unit, claim.origin)
        document, _ = unit.registered("pipeline", run.pipeline)
        recipe, since = Recipe(document), _serving_commit(unit, Recipe(document))
    candidate = _compared(claimed, run, recipe)
    candidate = _with_code(candidate, sources, recipe, since)
    _check_bytes(sources, candidate)
    with store.begin() as unit:
        events = evidence.put(unit, claim.origin, items)
        _check_data(unit, candidate)
        events += _put(unit, candidate)
        unit.log_all(run_stream(claim.origin), events)
        answer = {"candidate": digest_json(asdict(candidate))}
        finish(unit, answer)
        return answer


def _claimed_candidate(claim: Claim) -> Candidate:
    """Return the candidate as the task describes it."""
    body = Body("candidate", claim.body.mapping("candidate"))
    raised = body.optional("raised_to", 10)
    if raised and raised not in {tier.value for tier in Tier}:
        raise Invalid(f"{raised!r} is no tier")
    return Candidate(
        origin=claim.origin,
        model=body.text("model", 100),
        version=body.text("version", 40),
        run_id=body.text("run_id", 100),
        location=body.text("location", 2000),
        artifact_digest=body.text("artifact_digest", 80),
        data_digest=body.text("data_digest", 80),
        code_commit=body.text("code_commit", 200),
        pipeline_digest=body.text("pipeline_digest", 80),
        requester=body.text("requester", 120),
        environment=body.text("environment", 60),
        raised_to=raised or None,
        started_at=body.text("started_at", 30),
        committers=body.texts("committers"),
        lock_digest=body.optional("lock_digest", 80),
    )


def _compared(candidate: Candidate, run: Run, recipe: Recipe) -> Candidate:
    """Refuse a candidate that differs from its run and pipeline."""
    expected = {
        "model": recipe.name,
        "environment": recipe.environment,
        "pipeline_digest": run.pipeline,
        "requester": run.requester,
        "started_at": run.started_at,
    }
    differs = [
        f"{name} is said to be {getattr(candidate, name)}, and is {value}"
        for name, value in expected.items()
        if getattr(candidate, name) != value
    ]
    if differs:
        raise Refused(
            f"the candidate of run {candidate.origin} is not of its pipeline {recipe.name}: "
            f"{'; '.join(differs)}",
            next_step="Start a new run; if it repeats, find out what that task does.",
        )
    return candidate


def _with_code(candidate: Candidate, sources: Sources, recipe: Recipe, since: str) -> Candidate:
    """Return the candidate with the authors of its code as the decider reads them."""
    folder = recipe.folder
    expected = {"code_commit": sources.code.commit(folder), "lock_digest": sources.code.lock()}
    for name, value in expected.items():
        if getattr(candidate, name) != value:
            raise Refused(
                f"run {candidate.origin} says its {name.replace('_', ' ')} is "
                f"{short(getattr(candidate, name))}, the decider's checkout has {short(value)}",
                next_step="The decider needs the same checkout as its tasks; then start a new run.",
            )
    return replace(candidate, committers=tuple(sources.code.committers(folder, since)))


def _check_bytes(sources: Sources, candidate: Candidate) -> None:
    digest = sources.artifacts.digest(candidate.model, candidate.version)
    if digest != candidate.artifact_digest:
        has = f"hashes to {short(digest)}" if digest else "has no files the registry has frozen"
        raise Refused(
            f"{candidate.model} version {candidate.version} {has}, run {candidate.origin} says "
            f"{short(candidate.artifact_digest)}",
            next_step="Find out who changed the files, then start a new run.",
        )


def _check_data(unit: UnitOfWork, candidate: Candidate) -> None:
    profile = unit.evidence_of(candidate.origin).get("data-profile")
    pinned = profile.facts.get("digest") if profile else None
    if pinned is not None and pinned != candidate.data_digest:
        raise Refused(
            f"run {candidate.origin} has pinned the data {short(str(pinned))}, and says that "
            f"{short(candidate.data_digest)} was trained on",
            next_step="Start a new run.",
        )


def _put(unit: UnitOfWork, candidate: Candidate) -> list[Event]:
    stored = unit.candidate(candidate.origin)
    if stored is not None and replace(stored, committers=candidate.committers) == candidate:
        return []  # committers are those of when it was first said
    unit.put_candidate(candidate)
    data = {"origin": candidate.origin, "digest": digest_json(asdict(candidate))}
    return [Event.by(_DECIDER, RunEvent.CANDIDATE, candidate.origin, data)]


def _serving_commit(unit: UnitOfWork, recipe: Recipe) -> str:
    line = unit.line(recipe.name, recipe.environment)
    release = unit.get(line.release) if line.release else None
    return release.subject.code_commit.partition("+")[0] if release else ""
