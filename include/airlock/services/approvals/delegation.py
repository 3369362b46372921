"""Lending one's vote, and the findings of conditional approvals (the decider does this).

Everything is an event with its reason: delegations in the stream `access`, findings in that of
their release.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from airlock.domain.approval.approval_conditions import Finding, check_closing
from airlock.domain.approval.policy import VOTE, Rulebook
from airlock.domain.approval.release import Story
from airlock.domain.approval.voting import check_reason
from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError, Conflict, Forbidden
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, claims, current, holders
from airlock.domain.people.delegation import Delegation
from airlock.domain.people.delegation import delegate as new_delegation
from airlock.ports import Store, UnitOfWork
from airlock.services.approvals.decide import refusal_event
from airlock.services.idempotency import Once

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
        previous = once.answered(unit)
        if previous is not None:
            return _with_reason(unit, unit.delegation(previous))
        try:
            check_reason(reason)
            new = _new_delegation(unit, rulebook, actor.id, taker, start, end, reason)
        except AirlockError as refusal:
            unit.log("access", refusal_event(actor, "delegate", refusal.message))
            unit.commit()
            raise
        unit.put_delegation(new)
        unit.log("access", _event("Delegated", actor, new, reason))
        once.keep(unit, new.id)
        unit.commit()
        return new


def _new_delegation(
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
        delegation = unit.delegation(delegation_id)
        if once.answered(unit) is not None:
            return _with_reason(unit, delegation)
        try:
            _check_ending(delegation, actor)
        except AirlockError as refusal:
            unit.log("access", refusal_event(actor, "delegate", refusal.message))
            unit.commit()
            raise
        at = stamp(unit.now())
        unit.revoke_delegation(delegation.id, at)
        unit.log("access", _event("DelegationEnded", actor, replace(delegation, revoked_at=at), ""))
        ended = _with_reason(unit, unit.delegation(delegation.id))
        once.keep(unit, ended.id)
        unit.commit()
        return ended


def _check_ending(delegation: Delegation, actor: Actor) -> None:
    if actor.id not in (delegation.giver, delegation.taker):
        raise Forbidden(
            f"delegation {delegation.id} is between {delegation.giver} and {delegation.taker}"
        )
    if delegation.revoked_at is not None:
        raise Conflict(f"delegation {delegation.id} ended at {delegation.revoked_at}")


def _with_reason(unit: UnitOfWork, delegation: Delegation) -> Delegation:
    """Return a delegation with its reason in place of the commitment to it."""
    return replace(
        delegation,
        reason=unit.resolve_texts([delegation.reason]).get(delegation.reason, delegation.reason),
    )


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
        finding = unit.finding(finding_id)  # afresh, after the lock
        if once.answered(unit) is not None:
            return _worded(unit, finding)
        try:
            now = current(actor, unit.people())
            check_closing(finding, actor.id, rulebook.allows(now, VOTE))
            check_reason(note)
        except AirlockError as refusal:
            unit.log("access", refusal_event(actor, f"finding/{finding.id}", refusal.message))
            unit.commit()
            raise
        at = stamp(unit.now())
        story = Story(release, actor, at, release.subject.policy_digest)
        story.tell("FindingClosed", {"finding": finding.id, "owner": finding.owner}, why=note)
        unit.close_finding(finding.id, actor.id, at)
        unit.record(story)
        once.keep(unit, finding.id)
        closed = _worded(unit, unit.finding(finding.id))
        unit.commit()
        return closed


def _worded(unit: UnitOfWork, finding: Finding) -> Finding:
    return replace(finding, text=unit.resolve_texts([finding.text]).get(finding.text, finding.text))


def _event(event_type: str, actor: Actor, delegation: Delegation, why: str) -> Event:
    times = {
        "start": delegation.start,
        "end": delegation.end,
        "madeAt": delegation.made_at,
        "revokedAt": delegation.revoked_at,
    }
    data = {"giver": delegation.giver, "taker": delegation.taker, **times}
    return Event.by(actor, event_type, f"delegation/{delegation.id}", data, why)
