"""What one person sees in the chat as an inbox: what waits, what was decided, who answers for whom.

It reads; whether somebody may answer is decided again when the answer comes.
"""

from __future__ import annotations

from typing import Any

from airlock.domain.approval.release import Release
from airlock.domain.approval.timers import deadline
from airlock.domain.clock import stamp
from airlock.ports import Store, UnitOfWork
from airlock.services.notifications.views import page
from airlock.services.queries.inbox import waiting_for

#: As many of each as an inbox shows.
MOST = 20


def inbox(store: Store, person: str, public_url: str) -> dict[str, Any]:
    """Return the inbox of a person; *public_url* is where people reach Airflow."""
    with store.begin() as unit:
        return {
            "waiting": _waiting(unit, person, public_url),
            "decided": _decided(unit, person, public_url),
            "delegations": _delegations(unit, person),
            "page": page(public_url),
        }


def waiting(store: Store, person: str, public_url: str) -> list[dict[str, Any]]:
    """Return what waits for a person, the next to expire first."""
    with store.begin() as unit:
        return _waiting(unit, person, public_url)


def _waiting(unit: UnitOfWork, person: str, public_url: str) -> list[dict[str, Any]]:
    page = waiting_for(unit, person, limit=MOST)
    return [
        {**_item(release, public_url), "deadline": deadline(release, plan.timing)}
        for release, plan in page.items
    ]


def _item(release: Release, public_url: str) -> dict[str, Any]:
    return {
        "id": release.id,
        "model": release.subject.model,
        "version": release.subject.version,
        "environment": release.subject.environment,
        "tier": release.tier.value,
        "level": release.level,
        "page": page(public_url, release.id),
    }


def _decided(unit: UnitOfWork, person: str, public_url: str) -> list[dict[str, Any]]:
    decisions = [
        {**_item(release, public_url), "decision": vote.decision.value, "at": vote.at}
        for release in unit.voted_by(person, MOST)
        for vote in release.votes
        if vote.person == person
    ]
    return sorted(decisions, key=lambda decision: str(decision["at"]), reverse=True)[:MOST]


def _delegations(unit: UnitOfWork, person: str) -> list[dict[str, Any]]:
    now = stamp(unit.now())
    coming = [
        delegation
        for delegation in unit.delegations(person=person)
        if delegation.end > now and (delegation.revoked_at is None or delegation.revoked_at > now)
    ]
    texts = unit.resolve_texts(delegation.reason for delegation in coming)
    return [
        {
            "giver": delegation.giver,
            "taker": delegation.taker,
            "start": delegation.start,
            "end": delegation.end,
            "reason": texts.get(delegation.reason, delegation.reason),
        }
        for delegation in coming[:MOST]
    ]
