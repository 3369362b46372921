"""Lending one's vote, and the findings of conditional approvals (the decider does this).

Everything is an event with its reason: delegations in the stream `access`, findings in that of
their release.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from airlock.domain.audit import Event
from airlock.domain.clock import stamp
from airlock.domain.conditions import Finding, check_closing
from airlock.domain.delegation import Delegation
from airlock.domain.delegation import delegate as new_delegation
from airlock.domain.errors import AirlockError, Conflict, Forbidden
from airlock.domain.people import Actor, holders
from airlock.domain.policy import VOTE, Rulebook
from airlock.domain.release import Story
from airlock.domain.voting import check_reason
from airlock.ports import Store
from airlock.services.deciding import refusal_event

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
) -> Delegation:
    """Let *taker* answer for *actor* for a while.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    with store.begin() as unit:
        try:
            check_reason(reason)
            new = new_delegation(
                id=f"del-{secrets.token_hex(5)}",
                giver=actor.id,
                taker=taker,
                start=start,
                end=end,
                reason=reason,
                now=unit.now(),
                holders=holders(unit.people()),
                voting=rulebook.voting_roles,
                barred=BARRED,
            )
        except AirlockError as refusal:
            unit.log("access", refusal_event(actor, "delegate", refusal.message))
            unit.commit()
            raise
        unit.put_delegation(new)
        unit.log("access", _event("Delegated", actor, new, reason))
        unit.commit()
        return new


def revoke(store: Store, actor: Actor, delegation_id: str) -> Delegation:
    """End a delegation early; its giver or its taker may.

    Raises:
        Forbidden: if the actor is neither.
        Conflict: if it was ended before.
    """
    with store.begin() as unit:
        known = unit.delegation(delegation_id)
        if actor.id not in (known.giver, known.taker):
            raise Forbidden(f"delegation {known.id} is between {known.giver} and {known.taker}")
        if known.revoked_at is not None:
            raise Conflict(f"delegation {known.id} ended at {known.revoked_at}")
        unit.revoke_delegation(known.id, stamp(unit.now()))
        unit.log("access", _event("DelegationEnded", actor, known, ""))
        unit.commit()
        return unit_after(store, known.id)


def unit_after(store: Store, delegation_id: str) -> Delegation:
    """Return a delegation as it is now."""
    with store.begin() as unit:
        found = unit.delegation(delegation_id)
        return replace(found, reason=unit.said([found.reason]).get(found.reason, found.reason))


def delegations(store: Store, person: str = "") -> list[dict[str, Any]]:
    """Return delegations as JSON data: all, or those of one person."""
    with store.begin() as unit:
        now = stamp(unit.now())
        found = unit.delegations(person=person)
        said = unit.said(one.reason for one in found)
    return [
        {**asdict(one), "reason": said.get(one.reason, one.reason), "inForce": one.holds(now)}
        for one in found
    ]


def findings(store: Store, model: str = "") -> list[dict[str, Any]]:
    """Return findings as JSON data, the most urgent first."""
    with store.begin() as unit:
        now = stamp(unit.now())
        found = unit.findings(model)
        said = unit.said(one.text for one in found)
    return [
        {**asdict(one), "text": said.get(one.text, one.text), "overdue": one.overdue(now)}
        for one in found
    ]


def close_finding(
    store: Store, rulebook: Rulebook, actor: Actor, finding_id: str, note: str
) -> Finding:
    """Close a finding as somebody other than its owner.

    Raises:
        Refused: (one of its kinds) with the rule that said no.
    """
    with store.begin() as unit:
        release = unit.lock(unit.finding(finding_id).release)
        known = unit.finding(finding_id)  # afresh, after the lock
        check_closing(known, actor.id, VOTE in rulebook.permissions(actor.roles))
        check_reason(note)
        at = stamp(unit.now())
        story = Story(release, actor, at, release.subject.policy_digest)
        story.tell("FindingClosed", {"finding": known.id, "owner": known.owner}, why=note)
        unit.close_finding(known.id, actor.id, at)
        unit.record(story)
        unit.commit()
        return replace(known, text=unit.said([known.text]).get(known.text, known.text))


def _event(what: str, actor: Actor, one: Delegation, why: str) -> Event:
    return Event(
        what=what,
        who=actor.id,
        roles=tuple(sorted(actor.roles)),
        channel=actor.channel.value,
        resource=f"delegation/{one.id}",
        old=None,
        new=None,
        why=why,
        policy="",
        data={"giver": one.giver, "taker": one.taker, "start": one.start, "end": one.end},
    )
