"""Waiving what a soft gate found, and opening a release that only such gates blocked.

The transaction is that of a vote: lock, rights, event, then whatever follows from it. The decider
judges the gates itself; if nothing blocks any more, a BLOCKED release is opened as a request would
have opened it, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.release_request import blocking, check_satisfiable
from airlock.domain.approval.waiver_approval import WAIVABLE, able_to_waive
from airlock.domain.approval.waiver_approval import waive as waive_story
from airlock.domain.approval.waivers import Scene, waived
from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError, Conflict
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.people.actors import Actor, holders
from airlock.gates import build
from airlock.ports import Facts, Signer, Store, UnitOfWork
from airlock.services import outbox_messages
from airlock.services.approvals.decide import record, record_refusal
from airlock.services.approvals.requirements import (
    check_not_rejected,
    checked_plan,
    judge_gates,
    plan_of,
    scene_of,
)
from airlock.services.idempotency import Once


def waive(
    store: Store,
    signer: Signer,
    release_id: str,
    gate: str,
    reason: str,
    until: datetime,
    actor: Actor,
    *,
    reviewed: str = "",
    key: str = "",
) -> Release:
    """Waive one gate of one release until a day; open the release if nothing blocks it then.

    *gate*: the key of the result; *reviewed*: the digest of the subject the actor saw; the same
    *key* does it once.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    arguments = {"release": release_id, "gate": gate, "reason": reason, "until": stamp(until)}
    once = Once.of("waive", actor, key, **arguments, seen=reviewed)
    with store.begin() as unit:
        release = unit.lock(release_id)
        if once.answered(unit) is not None:
            return unit.get(release_id)
        try:
            facts = unit.facts(release)
            plan = plan_of(unit, release, facts)
            document, _ = unit.registered("pipeline", release.subject.pipeline_digest)
            story = waive_story(
                release,
                plan,
                judge_gates(release, document, facts, plan),
                scene_of(release, document, facts, plan),
                actor,
                holders(facts.people),
                gate=gate,
                reason=reason,
                until=until,
                reviewed=reviewed,
            )
            _go_on(unit, story, document, facts, plan)
        except AirlockError as refusal:
            record_refusal(unit, release, actor, refusal, "WaiverRefused")
            raise
        decided = _keep(unit, story, plan)
        once.keep(unit, decided.state.value)
        unit.commit()
        return decided


def _keep(unit: UnitOfWork, story: Story, plan: Plan) -> Release:
    moved = story.release is not None and story.release.state is not (
        story.before.state if story.before else None
    )
    if moved:
        return record(unit, story, plan)
    release = unit.record(story)
    unit.post_all(outbox_messages.redrawn(release.id, story.at))
    return release


def _go_on(
    unit: UnitOfWork, story: Story, document: Mapping[str, Any], facts: Facts, plan: Plan
) -> None:
    """Open a blocked release if nothing blocks it any more.

    Raises:
        Refused: if something else than the gates is in the way.
    """
    release = story.release
    if release is None or release.state is not State.BLOCKED:
        return
    results = judge_gates(release, document, facts, plan)
    if blocking(results, [result.key for result in results], plan):
        return
    checked_plan(unit, release, facts)
    check_not_rejected(unit, release)
    _check_line(unit, release)
    story.tell("GatesJudged", {"results": [result.to_document() for result in results]})
    if not plan.environment.people:
        story.tell("ReleaseApproved", {}, why=f"{plan.environment.name} needs no approval")
        return
    barred = {release.requester, *plan.excluded}
    check_satisfiable(plan.levels, holders(facts.people), barred)
    story.tell("LevelOpened", {"level": 1, "name": plan.levels[0].name})


def _check_line(unit: UnitOfWork, release: Release) -> None:
    """Refuse to open a release another one has overtaken meanwhile."""
    subject = release.subject
    place = f"{subject.model} in {subject.environment}"
    occupying = unit.occupying(subject.model, subject.environment)
    if occupying is not None:
        raise Conflict(
            f"release {occupying.id} (version {occupying.subject.version}) of {place} is "
            f"{occupying.state}: one release of a line is open at a time",
            next_step="Finish or withdraw that release first.",
        )
    serving = unit.line(subject.model, subject.environment).release
    if serving and unit.get(serving).opened_at > release.opened_at:
        raise Conflict(
            f"{place} has moved on to release {serving} since: this candidate was not measured "
            "against it",
            next_step="Run the pipeline again.",
        )


def gates_and_waivers(
    unit: UnitOfWork, release: Release, facts: Facts, plan: Plan, actor: Actor | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Return the gates as they count now, every waiver, and the keys *actor* could waive."""
    document, _ = unit.registered("pipeline", release.subject.pipeline_digest)
    scene = _settled(release, scene_of(release, document, facts, plan))
    results = waived(unit.results_of(release.origin), release.waivers, scene)
    limits = {gate.key: gate.limit for gate in map(build, Recipe(document).gates)}
    gates = [
        {
            **result.to_document(),
            "enforcement": plan.enforcement(result.gate).value,
            "limit": limits.get(result.key, ""),
        }
        for result in results
    ]
    about = {waiver for result in results for waiver in scene.covering(result, release.waivers)}
    waivers = [
        {
            "gate": waiver.gate,
            "by": waiver.person,
            "why": waiver.reason,
            "at": waiver.at,
            "until": waiver.until,
            "void": scene.why_not(waiver) or ("" if waiver in about else _OTHER),
        }
        for waiver in release.waivers
    ]
    able = actor is not None and actor.id in able_to_waive(release, plan, holders(facts.people))
    open_to = able and release.state in WAIVABLE
    waivable = [
        gate["key"]
        for gate in gates
        if open_to and gate["enforcement"] == "soft" and gate["verdict"] in ("FAILED", "ERRORED")
    ]
    return gates, waivers, waivable


def _settled(release: Release, scene: Scene) -> Scene:
    """Return the scene of a release that is over as its last waiver saw it."""
    if release.state in (*WAIVABLE, State.APPROVED, State.PROMOTING) or not release.waivers:
        return scene
    able = frozenset(waiver.person for waiver in release.waivers)
    return replace(scene, at=release.waivers[-1].at, able=able)


#: Why a waiver of an earlier round counts no more.
_OTHER = "it was about other evidence, options or bytes"
