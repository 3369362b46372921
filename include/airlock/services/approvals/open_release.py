"""Opening a release from what a run produced: its task proposes it, the decider does it.

Policy and pipeline are those the deciding process has registered, and the evidence is judged again
before any vote counts (`airlock.services.approvals.decide`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airlock.domain.approval.approval_conditions import check_no_overdue
from airlock.domain.approval.policy import Plan, Rulebook, Tier
from airlock.domain.approval.rejections import check_reference
from airlock.domain.approval.release import Release, State, Subject
from airlock.domain.approval.release_request import Draft, open_release
from airlock.domain.approval.voting import check_reason
from airlock.domain.clock import stamp
from airlock.domain.errors import Refused
from airlock.domain.evidence.proposals import Kind
from airlock.domain.people.actors import Actor, holders
from airlock.domain.promotion.promotion import supersede
from airlock.gates import build
from airlock.ports import Candidate, Proposals, Store, UnitOfWork
from airlock.services import outbox_messages
from airlock.services.approvals.requirements import check_of_pipeline, excluded, work_of

Outcome = Literal["opened", "approved", "blocked", "kept"]


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of a request: the release, or why there is none."""

    outcome: Outcome
    release: Release | None
    message: str


@dataclass(frozen=True, slots=True)
class Again:
    """That the requester knows of a rejection (a release id), and why it is asked again."""

    rejection: str = ""
    why: str = ""


#: Asked for the first time.
FIRST = Again()


def request_release(
    store: Store,
    policy_digest: str,
    origin: str,
    when_open: str,
    actor: Actor,
    again: Again = FIRST,
) -> Opened:
    """Open the release of a run; asked again, give the same answer.

    Raises:
        Refused: if nothing was measured, the policy or pipeline is not registered, the policy is
            newer than the run it would judge, it could never be satisfied, or the bytes were
            rejected before and *again* does not name that rejection.
        Invalid: if *again* gives no reason.
    """
    with store.begin() as unit:
        opened = open_in(unit, policy_digest, origin, when_open, actor, again)
        unit.commit()
        return opened


def open_in(
    unit: UnitOfWork,
    policy_digest: str,
    origin: str,
    when_open: str,
    actor: Actor,
    again: Again = FIRST,
) -> Opened:
    """Open the release in a transaction that the caller commits."""
    existing = unit.by_origin(origin)
    if existing is not None:
        return _answer(existing)
    candidate = _candidate(unit, origin)
    _check_again(unit, _subject(candidate, policy_digest), again)
    plan, document = _plan(unit, candidate, policy_digest)
    occupying = unit.occupying(candidate.model, candidate.environment)
    if occupying is not None and when_open != "supersede":
        return Opened("kept", None, _why_none_opened(candidate, occupying))
    if occupying is not None:
        _supersede(unit, occupying.id, origin, actor)
    return _answer(_open(unit, candidate, plan, document, policy_digest, actor, again))


@dataclass(frozen=True, slots=True)
class Requested:
    """What the decider answered a task: the release's id, or none and why."""

    outcome: Outcome
    release: str | None
    message: str


def propose(
    proposals: Proposals, origin: str, policy_digest: str, again: Again = FIRST
) -> Requested:
    """Ask for the release of a run, as its task; see `request_release`."""
    body = {"policy": policy_digest, "afterRejection": again.rejection, "reason": again.why}
    return Requested(**proposals.submit(Kind.RELEASE, origin, body))


def _open(
    unit: UnitOfWork,
    candidate: Candidate,
    plan: Plan,
    document: Mapping[str, Any],
    policy_digest: str,
    actor: Actor,
    again: Again,
) -> Release:
    story = open_release(
        Draft(
            id=f"rel-{secrets.token_hex(5)}",
            origin=candidate.origin,
            subject=_subject(candidate, policy_digest),
            location=candidate.location,
            requester=candidate.requester,
            attempt_of=again.rejection,
            why=again.why,
        ),
        plan,
        unit.results_of(candidate.origin),
        [build(gate).key for gate in document["spec"]["gates"]],
        holders(unit.people()),
        actor,
        stamp(unit.now()),
    )
    release = unit.record(story)
    unit.post("settle", f"{release.id}/settle", {"release": release.id})
    unit.post_all(outbox_messages.noted(release.id, "opened"))
    return release


def _check_again(unit: UnitOfWork, subject: Subject, again: Again) -> None:
    rejections = unit.rejections(subject.model, subject.environment)
    check_reference(subject, again.rejection, rejections)
    if again.rejection:
        check_reason(again.why)


def _candidate(unit: UnitOfWork, origin: str) -> Candidate:
    candidate = unit.candidate(origin)
    if candidate is None:
        raise Refused(
            f"run {origin} has no candidate: nothing was trained and registered",
            next_step="Look at the training task of this run.",
        )
    return candidate


def _plan(
    unit: UnitOfWork, candidate: Candidate, policy_digest: str
) -> tuple[Plan, Mapping[str, Any]]:
    document, _ = unit.registered("pipeline", candidate.pipeline_digest)
    check_of_pipeline(_subject(candidate, policy_digest), document)
    policy, registered_at = unit.registered("policy", policy_digest)
    if stamp(registered_at) > candidate.started_at:
        raise Refused(
            f"the policy in force was registered at {stamp(registered_at)}, after this run began "
            f"at {candidate.started_at}: a policy cannot judge what it did not foresee",
            next_step="Run the pipeline again under the new policy.",
        )
    rulebook = Rulebook.from_document(policy)
    raised = Tier(candidate.raised_to) if candidate.raised_to else None
    tier = rulebook.tier(document["spec"]["risk"], raised)
    plan = rulebook.plan(candidate.environment, tier)
    if plan.environment.people:
        check_no_overdue(unit.findings(candidate.model), candidate.model, stamp(unit.now()))
    work = work_of(unit, candidate.requester, candidate, policy_digest, document)
    unknown = rulebook.separation.unknown(work)
    plan = replace(plan, excluded=excluded(unit, rulebook, work), unknown=unknown)
    plan.check_authors()
    return plan, document


def _subject(candidate: Candidate, policy_digest: str) -> Subject:
    return Subject(
        model=candidate.model,
        version=candidate.version,
        artifact_digest=candidate.artifact_digest,
        data_digest=candidate.data_digest,
        code_commit=candidate.code_commit,
        pipeline_digest=candidate.pipeline_digest,
        policy_digest=policy_digest,
        environment=candidate.environment,
    )


def _supersede(unit: UnitOfWork, release_id: str, by: str, actor: Actor) -> None:
    old = unit.lock(release_id)
    unit.record(supersede(old, actor, by, stamp(unit.now())))
    unit.post("wake", f"{old.id}/wake/superseded", {"release": old.id})
    unit.post_all(outbox_messages.noted(old.id, "superseded"))


def _why_none_opened(candidate: Candidate, occupying: Release) -> str:
    return (
        f"{candidate.model} version {candidate.version} is registered and measured, but release "
        f"{occupying.id} (version {occupying.subject.version}) is still {occupying.state} for "
        f"{candidate.environment}; whenReleaseOpen is keep, so no release was opened"
    )


def _answer(release: Release) -> Opened:
    if release.state is State.BLOCKED:
        return Opened("blocked", release, release.why)
    if release.state is State.AWAITING_APPROVAL:
        return Opened("opened", release, f"release {release.id} waits at level {release.level}")
    return Opened("approved", release, f"release {release.id} is {release.state}")
