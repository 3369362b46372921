"""Lending one's vote, and the findings of conditional approvals (the decider does this).

Everything is an event with its reason: delegations in the stream `access`, findings in that of
their release.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from airlock.domain.audit import Event
from airlock.domain.clock import stamp
from airlock.domain.conditions import Finding, check_closing
from airlock.domain.delegation import Delegation
from airlock.domain.delegation import delegate as new_delegation
from airlock.domain.errors import AirlockError, Conflict, Forbidden
from airlock.domain.people import Actor, claims, current, holders
from airlock.domain.policy import VOTE, Rulebook
from airlock.domain.release import Story
from airlock.domain.voting import check_reason
from airlock.ports import Store, UnitOfWork
from airlock.services.deciding import refusal_event
from airlock.services.once import Once

#: Roles that never vote, not even for somebody else.
BARRED = frozenset({"admin"})


def delegate(
    store: Store,
    rulebook: Rulebook,
    actor: Actor,
    taker: str,
    start: datetime,
    end: datetime,
    reason: str,
    key: str = "",
) -> Delegation:
    """Let *taker* answer for *actor* for a while; the same *key* does it once.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    times = {"start": stamp(start), "end": stamp(end)}
    once = Once.of("delegate", actor, key, taker=taker, reason=reason, **times)
    with store.begin() as unit:
        known = once.answered(unit)
        if known is not None:
            return _said(unit, unit.delegation(known))
        try:
            check_reason(reason)
            new = _made(unit, rulebook, actor.id, taker, start, end, reason)
        except AirlockError as refusal:
            unit.log("access", refusal_event(actor, "delegate", refusal.message))
            unit.commit()
            raise
        unit.put_delegation(new)
        unit.log("access", _event("Delegated", actor, new, reason))
        once.keep(unit, new.id)
        unit.commit()
        return new


def _made(
    unit: UnitOfWork,
    rulebook: Rulebook,
    giver: str,
    taker: str,
    start: datetime,
    end: datetime,
    reason: str,
) -> Delegation:
    people = unit.people()
    return new_delegation(
        id=f"del-{secrets.token_hex(5)}",
        giver=giver,
        taker=taker,
        start=start,
        end=end,
        reason=reason,
        now=unit.now(),
        holders=holders(people),
        voting=rulebook.voting_roles,
        barred=BARRED,
        claims=claims(people),
    )


def revoke(store: Store, actor: Actor, delegation_id: str, key: str = "") -> Delegation:
    """End a delegation early; its giver or its taker may. The same *key* does it once.

    Raises:
        Forbidden: if the actor is neither; the attempt is in the log.
        Conflict: if it was ended before; this attempt too.
    """
    once = Once.of("revoke", actor, key, delegation=delegation_id)
    with store.begin() as unit:
        known = unit.delegation(delegation_id)
        if once.answered(unit) is not None:
            return _said(unit, known)
        try:
            _check_ending(known, actor)
        except AirlockError as refusal:
            unit.log("access", refusal_event(actor, "delegate", refusal.message))
            unit.commit()
            raise
        at = stamp(unit.now())
        unit.revoke_delegation(known.id, at)
        unit.log("access", _event("DelegationEnded", actor, replace(known, revoked_at=at), ""))
        ended = _said(unit, unit.delegation(known.id))
        once.keep(unit, ended.id)
        unit.commit()
        return ended


def _check_ending(known: Delegation, actor: Actor) -> None:
    if actor.id not in (known.giver, known.taker):
        raise Forbidden(f"delegation {known.id} is between {known.giver} and {known.taker}")
    if known.revoked_at is not None:
        raise Conflict(f"delegation {known.id} ended at {known.revoked_at}")


def _said(unit: UnitOfWork, one: Delegation) -> Delegation:
    """Return a delegation with its reason in place of the commitment to it."""
    return replace(one, reason=unit.resolve_texts([one.reason]).get(one.reason, one.reason))


def close_finding(
    store: Store, rulebook: Rulebook, actor: Actor, finding_id: str, note: str, key: str = ""
) -> Finding:
    """Close a finding as somebody other than its owner; the same *key* does it once.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    once = Once.of("close", actor, key, finding=finding_id, note=note)
    with store.begin() as unit:
        release = unit.lock(unit.finding(finding_id).release)
        known = unit.finding(finding_id)  # afresh, after the lock
        if once.answered(unit) is not None:
            return _worded(unit, known)
        try:
            now = current(actor, unit.people())
            check_closing(known, actor.id, rulebook.allows(now, VOTE))
            check_reason(note)
        except AirlockError as refusal:
            unit.log("access", refusal_event(actor, f"finding/{known.id}", refusal.message))
            unit.commit()
            raise
        at = stamp(unit.now())
        story = Story(release, actor, at, release.subject.policy_digest)
        story.tell("FindingClosed", {"finding": known.id, "owner": known.owner}, why=note)
        unit.close_finding(known.id, actor.id, at)
        unit.record(story)
        once.keep(unit, known.id)
        closed = _worded(unit, unit.finding(known.id))
        unit.commit()
        return closed


def _worded(unit: UnitOfWork, one: Finding) -> Finding:
    return replace(one, text=unit.resolve_texts([one.text]).get(one.text, one.text))


def _event(what: str, actor: Actor, one: Delegation, why: str) -> Event:
    times = {"start": one.start, "end": one.end, "madeAt": one.made_at, "revokedAt": one.revoked_at}
    data = {"giver": one.giver, "taker": one.taker, **times}
    return Event.by(actor, what, f"delegation/{one.id}", data, why)
