"""The deciding transaction: everywhere the same, and here alone (the decider does this).

lock the release -> answer already given? -> deadline, state, digest, round, rights -> vote ->
match rules -> state and events -> timers, outbox -> commit.

A refused answer is recorded before it is raised: who tried what, and which rule said no.
Before any vote counts the gates are judged again from the stored evidence and the tier is
computed again from the registered pipeline, so a hostile worker gains nothing by lying.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace

from airlock.domain.approval.approval_conditions import Finding
from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.timers import check_in_time
from airlock.domain.approval.voting import Ballot, cast
from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError, Conflict
from airlock.domain.log.audit import Event, access_stream
from airlock.domain.people.actors import Actor, claims, holders
from airlock.domain.promotion.promotion import withdraw as withdraw_story
from airlock.ports import Facts, Signer, Store, UnitOfWork
from airlock.services import outbox_messages
from airlock.services.approvals import deadlines
from airlock.services.approvals.invalidation import void as void
from airlock.services.approvals.requirements import check_not_rejected
from airlock.services.approvals.requirements import checked_plan as checked_plan
from airlock.services.idempotency import Once


@dataclass(frozen=True, slots=True)
class Answer:
    """The release after an answer, and what its transaction had read; None if it was a repeat."""

    release: Release
    facts: Facts | None = None


def vote(
    store: Store,
    signer: Signer,
    release_id: str,
    ballot: Ballot,
    actor: Actor,
    key: str = "",
    beside: Event | None = None,
) -> Release:
    """Answer at the open level and return the release; see `answer`."""
    return answer(store, signer, release_id, ballot, actor, key, beside).release


def answer(
    store: Store,
    signer: Signer,
    release_id: str,
    ballot: Ballot,
    actor: Actor,
    key: str = "",
    beside: Event | None = None,
) -> Answer:
    """Answer at the open level. *key* makes a repeated request give the same answer.

    *beside*: how an answer that counts came in; it goes to the release's own `access_stream`.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    once = Once.of("vote", actor, key, release=release_id, **asdict(ballot))
    with store.begin() as unit:
        release = unit.lock(release_id)
        if once.answered(unit) is not None:
            return Answer(unit.get(release_id))  # with the texts, as the first answer had them
        try:
            facts = unit.facts(release)  # read after the lock, the clock and the rights too
            plan, now = checked_plan(unit, release, facts), stamp(facts.now)
            check_in_time(release, plan.timing, now)
            story = cast(
                release, plan, ballot, actor, holders(facts.people), now, claims(facts.people)
            )
            if story.release and story.release.state is State.APPROVED and facts.rejected:
                check_not_rejected(unit, release)
        except AirlockError as refusal:
            record_refusal(unit, release, actor, refusal, "VoteRefused", ballot)
            raise
        if story.release is None:
            raise Conflict(f"release {release_id} has gone")
        unit.insert_vote(release_id, story.release.votes[-1])
        decided = record(unit, story, plan)
        once.keep(unit, decided.state.value)
        if beside is not None:
            unit.log(access_stream(release_id), beside)
        unit.commit()
        return Answer(decided, _now_known(facts, decided))


def _now_known(facts: Facts, decided: Release) -> Facts:
    """Return the facts as they are after the answer: an approval may have raised findings."""
    return replace(facts, raised=facts.raised or decided.state is State.APPROVED)


def settle(store: Store, signer: Signer, release_id: str) -> Release:
    """Approve a release whose environment needs gates alone; arm the timers of any other."""
    actor = Actor.system("decider")
    with store.begin() as unit:
        release = unit.lock(release_id)
        if release.state is State.AWAITING_APPROVAL:  # the worker opened it and may arm nothing
            deadlines.arm(unit, release, deadlines.plan_of(unit, release), "")
            unit.commit()
        if release.state is not State.REQUESTED:
            return release
        plan = checked_plan(unit, release)
        if plan.environment.people:
            return release
        check_not_rejected(unit, release)
        story = Story(release, actor, stamp(unit.now()), release.subject.policy_digest)
        story.tell("ReleaseApproved", {}, why=f"{plan.environment.name} needs no approval")
        decided = record(unit, story, plan)
        unit.commit()
        return decided


def withdraw(store: Store, release_id: str, actor: Actor, reason: str, key: str = "") -> Release:
    """Take a release back, as its requester; *key* as for a vote."""
    once = Once.of("withdraw", actor, key, release=release_id, reason=reason)
    with store.begin() as unit:
        release = unit.lock(release_id)
        if once.answered(unit) is not None:
            return unit.get(release_id)
        try:
            story = withdraw_story(release, actor, reason, stamp(unit.now()))
        except AirlockError as refusal:
            record_refusal(unit, release, actor, refusal, "WithdrawalRefused", None)
            raise
        taken_back = unit.record(story)
        unit.cancel_timers(taken_back)
        outbox_messages.tell(unit, taken_back)
        once.keep(unit, taken_back.state.value)
        unit.commit()
        return taken_back


def record(unit: UnitOfWork, story: Story, plan: Plan) -> Release:
    """Write what was decided, with its timers and its messages."""
    if story.release is not None and story.release.state is State.APPROVED:
        _raise_findings(unit, story, story.release)
    release = unit.record(story)
    if any(event.type != "VoteCast" for event in story.events):
        deadlines.arm(unit, release, plan, story.at)
        outbox_messages.tell(unit, release)
    if story.before is not None and outbox_messages.place(story.before) == outbox_messages.place(
        release
    ):
        unit.post_all(outbox_messages.redrawn(release.id, story.at))  # one more vote to be seen
    return release


def _raise_findings(unit: UnitOfWork, story: Story, release: Release) -> None:
    """Store the findings that approvals of this round raise, each with an owner and a date."""
    for vote_cast in release.votes:
        if vote_cast.round != release.round:
            continue
        for demand in vote_cast.conditions.findings:
            finding = Finding(
                id=f"fin-{secrets.token_hex(5)}",
                release=release.id,
                model=release.subject.model,
                raised_by=vote_cast.person,
                **asdict(demand),
            )
            unit.put_finding(finding)
            data = {"finding": finding.id, "owner": finding.owner, "due": finding.due}
            story.tell("FindingRaised", data, why=finding.text)


def record_refusal(
    unit: UnitOfWork,
    release: Release,
    actor: Actor,
    refusal: AirlockError,
    event_type: str,
    ballot: Ballot | None = None,
) -> None:
    """Write who tried what and which rule said no; nothing else of the attempt is kept."""
    story = Story(release, actor, stamp(unit.now()), release.subject.policy_digest)
    attempt = {"decision": ballot.decision.value, "level": ballot.level} if ballot else {}
    story.tell(event_type, {"rule": type(refusal).__name__, **attempt}, why=refusal.message)
    unit.record(story)
    unit.commit()


def refusal_event(actor: Actor, permission: str, why: str) -> Event:
    """Return the event of somebody lacking a permission, for the `access` stream."""
    return Event.by(actor, "AccessRefused", permission, {"permission": permission}, why)
