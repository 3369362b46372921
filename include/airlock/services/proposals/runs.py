"""The start of a run: which pipeline, under which policy, by whom, since when.

Rules:
* Who triggered it and when it began is what Airflow says, and never later than the database's
  clock: a start in the future would foresee every policy.
* Nobody triggered it: its requester is the pipeline's owner.
* Pipeline and policy are those in force. The run of a pipeline's own DAG is of that pipeline.
* A run that is cleared begins again, until it has a candidate.
* None begins while the disk has no room for new work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.digest import short
from airlock.domain.errors import Refused, Unreachable
from airlock.domain.evidence.proposals import RunEvent, run_stream
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Channel
from airlock.ports import Run, RunRecord, Store, UnitOfWork
from airlock.services.proposals import evidence
from airlock.services.proposals.handling import Claim, Finish, Sources

#: In whose name the log tells what was made of a proposal.
DECIDER = Actor.system("decider", Channel.DAG)


def start(store: Store, sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Keep which run this is, with what its first task has measured; return when it began."""
    sources.room()
    pipeline, policy = claim.body.text("pipeline", 80), claim.body.text("policy", 80)
    items = evidence.items_of(claim.body)
    in_force = sources.rules.policy()
    with store.begin() as unit:
        document = registered(unit, "pipeline", pipeline)
        registered(unit, "policy", policy)
        check_policy(policy, in_force)
        name = str(document["metadata"]["name"])
        _check_pipeline(sources, claim.record, name, pipeline)
        fresh = Run(
            origin=claim.origin,
            dag=claim.record.dag_id,
            started_at=_start(claim.record, unit.now()),
            requester=claim.record.triggered_by or str(document["metadata"]["owner"]),
            pipeline=pipeline,
            policy=policy,
        )
        run, events = _store_run(unit, fresh)
        events += evidence.put(unit, run.origin, items)
        unit.log_all(run_stream(run.origin), events)
        answer = {"startedAt": run.started_at, "requester": run.requester}
        finish(unit, answer)
        return answer


def _store_run(unit: UnitOfWork, fresh: Run) -> tuple[Run, list[Event]]:
    stored = unit.run(fresh.origin)
    if stored == fresh:
        return stored, []
    if stored is not None and unit.candidate(fresh.origin) is not None:
        if stored.pipeline != fresh.pipeline:
            raise Refused(
                f"run {fresh.origin} has a candidate of pipeline {short(stored.pipeline)}, and is "
                f"started again with {short(fresh.pipeline)}",
                next_step="Start a new run; one run has one pipeline.",
            )
        return stored, []
    unit.put_run(fresh)
    return fresh, [Event.by(DECIDER, RunEvent.STARTED, fresh.origin, asdict(fresh))]


def require_run(unit: UnitOfWork, origin: str) -> Run:
    """Return a run that has begun. Raises Refused."""
    run = unit.run(origin)
    if run is None:
        raise Refused(
            f"run {origin} has not begun here: its first proposal names pipeline and policy",
            next_step='The first task of the run proposes it: a StepOperator with step="pin"; in a '
            "pipeline's DAG that is the task pin_data. See its log.",
        )
    return run


def registered(unit: UnitOfWork, kind: str, digest: str) -> Mapping[str, Any]:
    """Return a registered document. Raises Unreachable: it may be registered in a moment."""
    try:
        document, _ = unit.registered(kind, digest)
    except Refused as error:
        raise Unreachable(
            f"the {kind} {short(digest)} on disk is not registered yet",
            next_step="`airlock deliver` registers what is in the files; see that it runs.",
        ) from error
    return document


def check_policy(policy: str, in_force: str) -> None:
    """Refuse another policy than the one in force."""
    if policy != in_force:
        raise Refused(
            f"the policy {short(policy)} is not in force, {short(in_force)} is",
            next_step="Start the run again; its first task reads the policy anew.",
        )


def _check_pipeline(sources: Sources, record: RunRecord, name: str, pipeline: str) -> None:
    in_force = sources.rules.pipeline(name)
    if pipeline != in_force:
        now = short(in_force) if in_force else "no valid one"
        raise Refused(
            f"the pipeline {name} {short(pipeline)} is not in force: there is {now}",
            next_step="Start a new run; it takes the pipeline as it is now.",
        )
    if record.dag_id != name and sources.rules.pipeline(record.dag_id) is not None:
        raise Refused(
            f"the DAG {record.dag_id} is that of another pipeline than {name}",
            next_step=f"Start the DAG {name}.",
        )


def _start(record: RunRecord, now: datetime) -> str:
    began = record.started_at or now
    return stamp(min(began, now))
