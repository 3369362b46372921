"""Breaking the glass and reviewing it afterwards (the decider does this).

The transaction is that of a vote: lock, rights, event, messages, together or not at all.
"""

from __future__ import annotations

from airlock.domain.approval import break_glass as rules
from airlock.domain.approval.break_glass import REVIEW, Broken
from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.clock import moment, stamp
from airlock.domain.digest import short
from airlock.domain.errors import AirlockError, Conflict, NotFound
from airlock.domain.people.actors import Actor, current, holders
from airlock.ports import Signer, Store, UnitOfWork
from airlock.services import outbox_messages
from airlock.services.approvals import review_reminders
from airlock.services.approvals.decide import record, record_refusal
from airlock.services.approvals.requirements import (
    check_not_rejected,
    checked_plan,
    plan_of,
    rulebook_of,
)
from airlock.services.idempotency import Once


def break_glass(
    store: Store,
    signer: Signer,
    release_id: str,
    actor: Actor,
    reason: str,
    incident: str,
    *,
    reviewed: str = "",
    key: str = "",
) -> Release:
    """Agree, as one of the people the policy names, to release without the levels.

    *reviewed*: the digest of the subject the actor saw; the same *key* does it once.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    arguments = {"release": release_id, "reason": reason, "incident": incident, "seen": reviewed}
    once = Once.of("break-glass", actor, key, **arguments)
    with store.begin() as unit:
        release = unit.lock(release_id)
        if once.answered(unit) is not None:
            return unit.get(release_id)
        try:
            _check_seen(release, reviewed)
            plan = checked_plan(unit, release)
            story = _story(unit, release, plan, actor, reason, incident)
        except AirlockError as refusal:
            record_refusal(unit, release, actor, refusal, "BreakGlassRefused")
            raise
        decided = record(unit, story, plan)
        _tell_skipped(unit, decided, plan)
        once.keep(unit, decided.state.value)
        unit.commit()
        return decided


def _story(
    unit: UnitOfWork, release: Release, plan: Plan, actor: Actor, reason: str, incident: str
) -> Story:
    story = rules.break_glass(
        release,
        plan,
        rulebook_of(unit, release).break_glass,
        actor,
        reason,
        incident,
        holders(unit.people()),
        unit.broken(model=release.subject.model),
        stamp(unit.now()),
    )
    if story.release is not None and story.release.state is State.APPROVED:
        check_not_rejected(unit, release)
        broken = _broken(story.release, story.at)
        unit.put_broken(broken)
        review_reminders.arm(unit, broken, story.at)
    return story


def _check_seen(release: Release, reviewed: str) -> None:
    """Refuse an emergency for another subject than the one the actor saw."""
    if reviewed and reviewed != release.subject.digest:
        raise Conflict(
            f"you looked at {short(reviewed)}, but release {release.id} is in round "
            f"{release.round} with {short(release.subject.digest)}",
            next_step="Open the release again, look at what changed, then decide.",
        )


def _broken(release: Release, at: str) -> Broken:
    emergency = release.emergency
    if emergency is None:
        raise ValueError("there is no emergency to keep")
    return Broken(
        release=release.id,
        round=release.round,
        model=release.subject.model,
        incident=emergency.incident,
        people=emergency.people,
        broken_at=at,
        review_due=stamp(moment(at) + REVIEW),
    )


def _tell_skipped(unit: UnitOfWork, release: Release, plan: Plan) -> None:
    if release.state is not State.APPROVED or release.emergency is None:
        return
    people = list(rules.skipped(release, plan, holders(unit.people())))
    names = ", ".join(people) or "nobody"
    text = (
        f"{release.id}: {release.why}. Skipped, and told: {names}. Somebody who was not involved "
        f"reviews it within {REVIEW.days * 24} hours."
    )
    suffix = f"glass-{release.round}"
    unit.post_all(
        outbox_messages.aloud(release.id, suffix, about="glass", text=text, people=people)
    )


def review(store: Store, release_id: str, actor: Actor, note: str, key: str = "") -> Broken:
    """Record that an uninvolved person has looked at a broken glass; the same *key* does it once.

    Raises:
        Refused: (one of its kinds) if there is nothing to review or not by this person.
    """
    once = Once.of("review", actor, key, release=release_id, note=note)
    with store.begin() as unit:
        release = unit.lock(release_id)
        broken = unit.broken(release=release_id)
        if not broken:
            raise NotFound(f"no glass was broken for release {release_id}")
        if once.answered(unit) is not None:
            return broken[-1]
        plan, glass = plan_of(unit, release), rulebook_of(unit, release).break_glass
        at, now = stamp(unit.now()), current(actor, unit.people())
        try:
            story = rules.review(release, plan, glass, broken[-1], now, note, at)
        except AirlockError as refusal:
            record_refusal(unit, release, actor, refusal, "ReviewRefused")
            raise
        unit.review_broken(broken[-1], actor.id, at)
        unit.record(story)
        unit.post_all(outbox_messages.redrawn(release_id, at))
        once.keep(unit, actor.id)
        reviewed = unit.broken(release=release_id)[-1]
        unit.commit()
        return reviewed
