"""The deciding transaction: everywhere the same, and here alone (the decider does this).

lock the release -> answer already given? -> state, digest, round, rights -> vote -> match rules
-> state and events -> grant if approved -> outbox -> commit.

A refused answer is recorded before it is raised: who tried what, and which rule said no.
Before any vote counts the gates are judged again from the stored evidence and the tier is
computed again from the registered pipeline, so a hostile worker gains nothing by lying.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from airlock.domain.audit import Event
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json
from airlock.domain.errors import AirlockError, Conflict, Refused
from airlock.domain.gates import run_gate
from airlock.domain.grant import seal
from airlock.domain.opening import blocking
from airlock.domain.people import Actor, holders
from airlock.domain.policy import Plan, Rulebook, Tier
from airlock.domain.promoting import make_grant
from airlock.domain.promoting import withdraw as withdraw_story
from airlock.domain.release import Release, State, Story
from airlock.domain.voting import Ballot, cast
from airlock.gates import build
from airlock.ports import Signer, Store, UnitOfWork


def vote(
    store: Store, signer: Signer, release_id: str, ballot: Ballot, actor: Actor, key: str = ""
) -> Release:
    """Answer at the open level. *key* makes a repeated request give the same answer.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    request = digest_json({"release": release_id, "who": actor.id, **asdict(ballot)})
    replay_key = f"vote/{actor.id}/{key}" if key else ""
    with store.begin() as unit:
        release = unit.lock(release_id)
        if replay_key and _already(unit, replay_key, request):
            return release
        try:
            plan = checked_plan(unit, release)
            now = stamp(unit.now())
            story = cast(release, plan, ballot, actor, holders(unit.people()), now)
        except AirlockError as refusal:
            _record_refusal(unit, release, actor, refusal, "VoteRefused", ballot)
            raise
        if story.release is None:
            raise Conflict(f"release {release_id} has gone")
        unit.insert_vote(release_id, story.release.votes[-1])
        decided = _record(unit, signer, story, plan)
        if replay_key:
            unit.remember(replay_key, request, decided.state.value)
        unit.commit()
        return decided


def settle(store: Store, signer: Signer, release_id: str) -> Release:
    """Approve a release whose environment needs gates alone; others stay as they are."""
    actor = Actor.system("decider")
    with store.begin() as unit:
        release = unit.lock(release_id)
        if release.state is not State.REQUESTED:
            return release
        plan = checked_plan(unit, release)
        if plan.environment.people:
            return release
        story = Story(release, actor, stamp(unit.now()), release.subject.policy_digest)
        story.tell("ReleaseApproved", {}, why=f"{plan.environment.name} needs no approval")
        decided = _record(unit, signer, story, plan)
        unit.commit()
        return decided


def withdraw(store: Store, release_id: str, actor: Actor, reason: str) -> Release:
    """Take a release back, as its requester."""
    with store.begin() as unit:
        release = unit.lock(release_id)
        try:
            story = withdraw_story(release, actor, reason, stamp(unit.now()))
        except AirlockError as refusal:
            _record_refusal(unit, release, actor, refusal, "WithdrawalRefused", None)
            raise
        taken_back = unit.record(story)
        _tell(unit, taken_back)
        unit.commit()
        return taken_back


def checked_plan(unit: UnitOfWork, release: Release) -> Plan:
    """Return what the release has to pass, from registered documents only.

    Raises:
        Refused: if the tier or a gate verdict recorded is not what the evidence says.
    """
    subject = release.subject
    document, _ = unit.registered("pipeline", subject.pipeline_digest)
    rulebook = Rulebook.from_document(unit.registered("policy", subject.policy_digest)[0])
    tier = rulebook.tier(document["spec"]["risk"])
    if release.tier.rank < tier.rank:
        raise Refused(f"release {release.id} says {release.tier}, its declared facts say {tier}")
    plan = rulebook.plan(subject.environment, Tier(release.tier))
    if plan.environment.gates:
        _judge_again(unit, release, document)
    return plan


def _judge_again(unit: UnitOfWork, release: Release, document: Mapping[str, Any]) -> None:
    gates = [build(gate) for gate in document["spec"]["gates"]]
    evidence = {
        kind: item
        for kind, item in unit.evidence_of(release.origin).items()
        if item.artifact_digest == release.subject.artifact_digest
    }
    results = [run_gate(gate, evidence) for gate in gates]
    why = blocking(results, [gate.key for gate in gates])
    if why:
        raise Refused(
            f"release {release.id} cannot go on: judged again from its evidence, {why}",
            next_step="Somebody changed results or evidence after the release was opened. "
            "Withdraw it and run the pipeline again.",
        )


def _record(unit: UnitOfWork, signer: Signer, story: Story, plan: Plan) -> Release:
    if story.release is not None and story.release.state is State.APPROVED:
        _issue(unit, signer, story, plan)
    release = unit.record(story)
    if any(event.what != "VoteCast" for event in story.events):
        _tell(unit, release)
    return release


def _issue(unit: UnitOfWork, signer: Signer, story: Story, plan: Plan) -> None:
    release = story.release
    if release is None:
        return
    subject = release.subject
    rulebook = Rulebook.from_document(unit.registered("policy", subject.policy_digest)[0])
    line = unit.line(subject.model, subject.environment)
    grant = make_grant(
        release,
        plan,
        grant_id=f"grant-{secrets.token_hex(8)}",
        expected_current=line.version,
        sequence=line.epoch + 1,
        now=unit.now(),
        hours=rulebook.grant_hours,
    )
    envelope = seal(grant, signer.key_id, signer.sign)
    unit.put_grant(grant, envelope)
    data = {"grant": grant.id, "key": signer.key_id, "sequence": grant.sequence}
    story.tell("GrantIssued", {**data, "envelopeDigest": digest_json(envelope)})


def _tell(unit: UnitOfWork, release: Release) -> None:
    """Let Airflow know, once per place the release has reached."""
    place = f"{release.state.value}-{release.round}-{release.level}"
    unit.post("wake", f"{release.id}/wake/{place}", {"release": release.id})
    unit.post("note", f"{release.id}/note/{place}", {"release": release.id})


def _already(unit: UnitOfWork, key: str, request: str) -> bool:
    known = unit.recall(key)
    if known is None:
        return False
    if known[0] != request:
        raise Conflict(
            "this idempotency key was used for another answer",
            next_step="Use a new key for a new answer.",
        )
    return True


def _record_refusal(
    unit: UnitOfWork,
    release: Release,
    actor: Actor,
    refusal: AirlockError,
    what: str,
    ballot: Ballot | None,
) -> None:
    story = Story(release, actor, stamp(unit.now()), release.subject.policy_digest)
    asked = {"decision": ballot.decision.value, "level": ballot.level} if ballot else {}
    story.tell(what, {"rule": type(refusal).__name__, **asked}, why=refusal.message)
    unit.record(story)
    unit.commit()


def refusal_event(actor: Actor, permission: str, why: str) -> Event:
    """Return the event of somebody lacking a permission, for the `access` stream."""
    return Event(
        what="AccessRefused",
        who=actor.id,
        roles=tuple(sorted(actor.roles)),
        channel=actor.channel.value,
        resource=permission,
        old=None,
        new=None,
        why=why,
        policy="",
        data={"permission": permission},
    )
