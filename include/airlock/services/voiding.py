"""Voiding: the subject changed, so nobody has approved what is there now (the decider does this).

Rules:
* Any part of the subject counts: the bytes, the data, the code, the pipeline, the policy.
* All votes are void. The next round opens at level 1, with the new digest.
* Old and new digest and what differs are in the log; everybody who had voted is told.
* A candidate that takes a release over brings the results of its gates: they are in the log again,
  and one whose gates have not all been judged takes nothing over.
* A promotion that is under way is not overtaken: its grant lives two minutes at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json, short
from airlock.domain.errors import Refused
from airlock.domain.gates import GateResult
from airlock.domain.people import Actor
from airlock.domain.policy import Plan
from airlock.domain.promoting import Underway, check_idle
from airlock.domain.release import Release, State, Story, Subject
from airlock.gates import build
from airlock.ports import Store, UnitOfWork
from airlock.services import telling, timing
from airlock.services.planning import check_not_rejected, plan_of

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
        if release.state not in VOIDABLE or not plan_of(unit, release).environment.people:
            return release
        changed = _changed(unit, release, origin, digests)
        if changed == release:
            return release
        if changed.subject.artifact_digest != release.subject.artifact_digest:
            check_not_rejected(unit, release, changed.subject)
        check_idle(release, stamp(unit.now()))
        voided = unit.record(_story(unit, release, changed, actor, why))
        timing.arm(unit, voided, plan_of(unit, voided), stamp(unit.now()))
        telling.tell(unit, voided)
        _tell_voters(unit, release, voided)
        unit.commit()
        return voided


def _changed(
    unit: UnitOfWork, release: Release, origin: str, digests: Mapping[str, str]
) -> Release:
    """Return the release as it would be with the new subject, nothing else changed."""
    if not origin:
        return replace(release, subject=replace(release.subject, **digests))
    candidate = unit.candidate(origin)
    taken = unit.by_origin(origin)
    if candidate is None or (taken is not None and taken.id != release.id):
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
        story.tell("GatesJudged", {"results": [one.to_document() for one in results]})
    story.tell("LevelOpened", {"level": 1, "name": plan.levels[0].name})
    return story


def _results(unit: UnitOfWork, changed: Release, plan: Plan) -> tuple[GateResult, ...]:
    """Return what the gates said of the candidate that takes a release over.

    Before any vote counts they are judged again, as those of every release.
    """
    results = unit.results_of(changed.origin)
    document, _ = unit.registered("pipeline", changed.subject.pipeline_digest)
    expected = {build(gate).key for gate in document["spec"]["gates"]}
    absent = sorted(expected - {one.key for one in results})
    if absent and plan.environment.gates:
        raise Refused(
            f"run {changed.origin} cannot take {changed.id} over: {', '.join(absent)} "
            "has not been judged, and empty never passes",
            next_step="Wait until the gates of that run are through.",
        )
    return results


def _tell_voters(unit: UnitOfWork, before: Release, after: Release) -> None:
    people = sorted(before.voters)
    text = (
        f"{after.id}: the subject changed from {short(before.subject.digest)} to "
        f"{short(after.subject.digest)}, so every answer is void and round {after.round} is open "
        f"({after.why})" + (f". Told: {', '.join(people)}." if people else ".")
    )
    what = f"void-{after.round}"
    unit.post_all(telling.aloud(after.id, what, about="void", text=text, people=people))


def void_stale(
    store: Store, policy: Mapping[str, Any], pipelines: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Void the open releases whose policy or pipeline is not the one in force; return their ids."""
    in_force = {one["metadata"]["name"]: digest_json(one) for one in pipelines}
    policy_digest = digest_json(policy)
    with store.begin() as unit:
        waiting = unit.find(states=VOIDABLE, limit=100_000)
    voided = []
    for release in waiting:
        subject = release.subject
        pipeline = in_force.get(subject.model, subject.pipeline_digest)
        if (subject.policy_digest, subject.pipeline_digest) == (policy_digest, pipeline):
            continue
        try:
            after = void(
                store,
                release.id,
                Actor.system("decider"),
                "other rules were registered while this release was open",
                policy_digest=policy_digest,
                pipeline_digest=pipeline,
            )
        except Underway:  # asked again when it has ended
            continue
        voided += [after.id] if after.round > release.round else []
    return voided
