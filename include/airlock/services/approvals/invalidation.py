"""Voiding: the subject changed, so nobody has approved what is there now (the decider does this).

Rules:
* Any part of the subject counts: the bytes, the data, the code, the pipeline, the policy.
* All votes are void. The next round opens at level 1, with the new digest.
* Old and new digest and what differs are in the log; everybody who had voted is told.
* A candidate that takes a release over brings the results of its gates: they are in the log again,
  and one whose gates have not all been judged takes nothing over.
* A promotion that is under way is not overtaken: its grant lives two minutes at most.
* A release for which the rules in force have no place ends
  (`airlock.services.approvals.rule_changes`).
* A release that cannot be judged keeps no other one from being voided.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State, Story, Subject
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json, short
from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.domain.gates import GateResult
from airlock.domain.people.actors import Actor
from airlock.domain.promotion.promotion import Underway, check_idle
from airlock.gates import build
from airlock.ports import Store, UnitOfWork
from airlock.services import outbox_messages
from airlock.services.approvals import deadlines
from airlock.services.approvals.requirements import check_not_rejected, plan_of
from airlock.services.approvals.rule_changes import asks_people, differing, ended_by, standstill

log = logging.getLogger("airlock.deliver")

#: A release that is being promoted can be voided when that has ended.
VOIDABLE = (State.AWAITING_APPROVAL, State.APPROVED, State.PROMOTING)


def void(
    store: Store, release_id: str, actor: Actor, why: str, *, origin: str = "", **digests: str
) -> Release:
    """Void every vote because the subject changed; asked again for the same, do nothing.

    *origin*: the run whose candidate takes this release over; *digests*: fields of the subject
    that are different now, such as `artifact_digest`.

    Raises:
        Underway: if a promotion is under way; ask again when it is over.
        Refused: if the bytes that are there now were rejected before, or the candidate has no
            results of its own.
    """
    with store.begin() as unit:
        release = unit.lock(release_id)
        if release.state not in VOIDABLE:
            return release
        changed = _changed(unit, release, origin, digests)
        if changed == release:
            return release
        ended = ended_by(unit, release, changed)
        if not ended and not (asks_people(unit, release) or asks_people(unit, changed)):
            return release  # gates alone release it, and they have judged it
        if ended:
            return _end(unit, release, changed, actor, f"{why}: {ended}")
        if changed.subject.artifact_digest != release.subject.artifact_digest:
            check_not_rejected(unit, release, changed.subject)
        check_idle(release, stamp(unit.now()))
        voided = unit.record(_story(unit, release, changed, actor, why))
        deadlines.arm(unit, voided, plan_of(unit, voided), stamp(unit.now()))
        outbox_messages.tell(unit, voided)
        _tell_voters(unit, release, voided, standstill(unit, voided))
        unit.commit()
        return voided


def _end(unit: UnitOfWork, release: Release, changed: Release, actor: Actor, why: str) -> Release:
    """End a release for which the rules of *changed* have no place."""
    check_idle(release, stamp(unit.now()))
    story = Story(release, actor, stamp(unit.now()), release.subject.policy_digest)
    rules = {"policy": changed.subject.policy_digest, "pipeline": changed.subject.pipeline_digest}
    story.tell("ReleaseExpired", {"rules": rules, "voters": sorted(release.voters)}, why=why)
    ended = unit.record(story)
    unit.cancel_timers(ended)
    outbox_messages.tell(unit, ended)
    people = sorted(release.voters | {release.requester})
    text = (
        f"{ended.id} has ended ({why}). Run the pipeline again to ask under the rules in force. "
        f"Told: {', '.join(people)}."
    )
    unit.post_all(
        outbox_messages.aloud(ended.id, "ended-by-rules", about="void", text=text, people=people)
    )
    unit.commit()
    return ended


def _changed(
    unit: UnitOfWork, release: Release, origin: str, digests: Mapping[str, str]
) -> Release:
    """Return the release as it would be with the new subject, nothing else changed."""
    if not origin:
        return replace(release, subject=replace(release.subject, **digests))
    candidate = unit.candidate(origin)
    existing = unit.by_origin(origin)
    if candidate is None or (existing is not None and existing.id != release.id):
        raise Refused(f"run {origin} has no candidate of its own to take {release.id} over")
    subject = Subject(
        model=candidate.model,
        version=candidate.version,
        artifact_digest=candidate.artifact_digest,
        data_digest=candidate.data_digest,
        code_commit=candidate.code_commit,
        pipeline_digest=candidate.pipeline_digest,
        policy_digest=digests.get("policy_digest", release.subject.policy_digest),
        environment=candidate.environment,
    )
    same = (subject.model, subject.environment)
    if same != (release.subject.model, release.subject.environment):
        raise Refused(f"run {origin} is for {same[0]} in {same[1]}, release {release.id} is not")
    return replace(
        release,
        subject=subject,
        origin=origin,
        location=candidate.location,
        requester=candidate.requester,
    )


def _story(unit: UnitOfWork, release: Release, changed: Release, actor: Actor, why: str) -> Story:
    old, new = asdict(release.subject), asdict(changed.subject)
    story = Story(release, actor, stamp(unit.now()), changed.subject.policy_digest)
    data = {
        "subject": new,
        "origin": changed.origin,
        "location": changed.location,
        "requester": changed.requester,
        "oldDigest": release.subject.digest,
        "newDigest": changed.subject.digest,
        "differs": {name: [old[name], new[name]] for name in old if old[name] != new[name]},
        "voters": sorted(release.voters),
    }
    story.tell("ReleaseVoided", data, why=why)
    plan = plan_of(unit, changed)
    if changed.origin != release.origin:
        results = _results(unit, changed, plan)
        story.tell("GatesJudged", {"results": [result.to_document() for result in results]})
    story.tell("LevelOpened", {"level": 1, "name": plan.levels[0].name})
    return story


def _results(unit: UnitOfWork, changed: Release, plan: Plan) -> tuple[GateResult, ...]:
    """Return the gate results of the candidate that takes a release over.

    Before any vote counts they are judged again, as those of every release.
    """
    results = unit.results_of(changed.origin)
    document, _ = unit.registered("pipeline", changed.subject.pipeline_digest)
    expected = {build(gate).key for gate in document["spec"]["gates"]}
    absent = sorted(expected - {result.key for result in results})
    if absent and plan.environment.gates:
        raise Refused(
            f"run {changed.origin} cannot take {changed.id} over: {', '.join(absent)} "
            "has not been judged, and empty never passes",
            next_step="Wait until the gates of that run are through.",
        )
    return results


def _tell_voters(unit: UnitOfWork, before: Release, after: Release, stands_still: str) -> None:
    """Notify everybody who voted, and the requester if nobody can approve it as it is."""
    people = sorted(before.voters | ({after.requester} if stands_still else set()))
    text = (
        f"{after.id}: the subject changed from {short(before.subject.digest)} to "
        f"{short(after.subject.digest)}, so every answer is void and round {after.round} is open "
        f"({after.why})."
        + (f" As it is nobody can approve it: {stands_still}" if stands_still else "")
        + (f" Told: {', '.join(people)}." if people else "")
    )
    suffix = f"void-{after.round}"
    unit.post_all(outbox_messages.aloud(after.id, suffix, about="void", text=text, people=people))


@dataclass(frozen=True, slots=True)
class Stale:
    """What became of open releases under other rules: those that moved, and why others did not.

    *underway*: those being promoted, to be asked for again; *failed*: release -> what went wrong.
    """

    moved: list[str] = field(default_factory=list)
    underway: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def void_stale(
    store: Store, policy: Mapping[str, Any], pipelines: Iterable[Mapping[str, Any]]
) -> Stale:
    """Void, or end, the open releases whose policy or pipeline is not the one in force.

    A pipeline that is not among *pipelines* was removed or refused: its release goes on under the
    one it was measured under, and its requester is told so.
    """
    in_force = {document["metadata"]["name"]: digest_json(document) for document in pipelines}
    policy_digest, stale = digest_json(policy), Stale()
    with store.begin() as unit:
        waiting = unit.find(states=VOIDABLE, limit=100_000)
        left = [release for release in waiting if release.subject.model not in in_force]
        unit.post_all([letter for release in left for letter in _without_pipeline(release)])
        unit.commit()
    for release in waiting:
        subject = release.subject
        pipeline = in_force.get(subject.model, subject.pipeline_digest)
        if (subject.policy_digest, subject.pipeline_digest) == (policy_digest, pipeline):
            continue
        rules = {"policy_digest": policy_digest, "pipeline_digest": pipeline}
        try:
            _void_one(store, release, rules, stale)
        except Unreachable:
            raise
        except (AirlockError, LookupError, TypeError, ValueError) as error:
            message = error.message if isinstance(error, AirlockError) else repr(error)
            log.error("%s cannot be voided under the rules in force: %s", release.id, message)
            stale.failed[release.id] = message
    return stale


def _without_pipeline(release: Release) -> list[outbox_messages.Letter]:
    """Return the one-time messages of a release whose pipeline is no longer in force."""
    text = (
        f"{release.id}: the pipeline {release.subject.model} is not in force any more: it was "
        "removed or refused, or nobody knows its owner. This release goes on under the one it was "
        f"measured under; what promotes it is a task of that pipeline's DAG. Told: "
        f"{release.requester}."
    )
    suffix = f"no-pipeline-{release.round}"
    return outbox_messages.aloud(
        release.id, suffix, about="void", text=text, people=[release.requester]
    )


def _void_one(store: Store, release: Release, rules: Mapping[str, str], stale: Stale) -> None:
    try:
        with store.begin() as unit:
            differs = differing(unit, release.subject, rules)
        why = f"other rules were registered while this release was open: {differs}"
        after = void(store, release.id, Actor.system("decider"), why, **rules)
    except Underway:  # asked again when it has ended
        stale.underway.append(release.id)
        return
    if (after.round, after.state.is_open) != (release.round, True):
        stale.moved.append(after.id)
