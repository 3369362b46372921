"""What people see beyond votes: an emergency and its review, findings, whose seat they fill.

For the page, the CLI and REST alike. It reads; whether somebody may do something is decided again
when it is done.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airlock.domain.approval.break_glass import Broken, may_break, may_review
from airlock.domain.approval.policy import Plan, Rulebook
from airlock.domain.approval.release import Release
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.voting import mandates
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Actor, holders
from airlock.domain.people.delegation import ROLE
from airlock.ports import Facts, Store, UnitOfWork
from airlock.services.approvals.requirements import rulebook_of
from airlock.services.rows import Rows


def emergency(
    unit: UnitOfWork, release: Release, plan: Plan, actor: Actor | None, facts: Facts
) -> dict[str, Any] | None:
    """Return the emergency of a release, or that one is possible; None if the policy has none."""
    glass = rulebook_of(unit, release).break_glass
    every = unit.broken(model=release.subject.model) if facts.broken else ()
    broken = [use for use in every if use.release == release.id]
    if glass is None and not broken:
        return None
    unreviewed = [use for use in every if not use.reviewed_at]
    last, at = broken[-1] if broken else None, stamp(facts.now)
    able = holders(facts.people)
    begun = release.emergency
    return {
        "incident": begun.incident if begun else last.incident if last else None,
        "people": list(begun.people if begun else last.people if last else ()),
        "until": begun.until if begun else None,
        "needs": f"{glass.people} x {' or '.join(sorted(glass.roles))}" if glass else "",
        "missing": max(0, glass.people - len(begun.people)) if glass and begun else None,
        "hours": glass.hours if glass else None,
        "brokenAt": last.broken_at if last else None,
        "review": _review(last, at) if last else None,
        "blockedBy": sorted({use.release for use in unreviewed} - {release.id}),
        "youMayBreak": actor is not None
        and not unreviewed
        and may_break(release, plan, glass, actor, able, at),
        "youMayReview": actor is not None
        and last is not None
        and may_review(release, plan, glass, last, actor),
    }


def _review(broken: Broken, at: str) -> dict[str, Any]:
    return {
        "due": broken.review_due,
        "overdue": broken.reviewed_at is None and at >= broken.review_due,
        "by": broken.reviewed_by,
        "at": broken.reviewed_at,
    }


def findings(unit: UnitOfWork, release: Release, facts: Facts) -> list[dict[str, Any]]:
    """Return the findings raised by the approvals of a release."""
    now = stamp(facts.now)
    raised = unit.findings(release=release.id) if facts.raised else ()
    texts = unit.resolve_texts(finding.text for finding in raised)
    return [
        {
            **asdict(finding),
            "text": texts.get(finding.text, finding.text),
            "overdue": finding.overdue(now),
        }
        for finding in raised
    ]


def seats(release: Release, plan: Plan, actor: Actor | None, able: Holders) -> list[dict[str, str]]:
    """Return the capacities in which *actor* could vote now; `behind` is empty for an own role."""
    if actor is None:
        return []
    own = (mandate for mandate in mandates(release, plan, able) if mandate.person == actor.id)
    return [{"capacity": mandate.capacity.value, "behind": mandate.behind} for mandate in own]


def known_people(store: Store) -> list[dict[str, str]]:
    """Return everybody active, by name."""
    with store.begin() as unit:
        active = [person for person in unit.people() if person.active]
    return [
        {"id": person.id, "name": person.name}
        for person in sorted(active, key=lambda person: person.id)
    ]


def standing_in(rulebook: Rulebook) -> list[dict[str, str]]:
    """Return who stands in for whom once a level was escalated, as the policy in force says."""
    return [
        {"for": below.removeprefix(ROLE), "superior": above}
        for below, above in sorted(rulebook.superiors.items())
    ]


def delegation_rows(
    store: Store,
    *,
    giver: str = "",
    taker: str = "",
    without: str = "",
    after: str = "",
    limit: int = 200,
) -> Rows:
    """Return a page of delegations, the one that begins last first; see `delegation_page`.

    Raises:
        Invalid: if *after* is no place where a page ended.
    """
    with store.begin() as unit:
        now = stamp(unit.now())
        page = unit.delegation_page(
            giver=giver, taker=taker, without=without, after=after, limit=limit
        )
        texts = unit.resolve_texts(delegation.reason for delegation in page.items)
    rows = [
        {
            **asdict(delegation),
            "reason": texts.get(delegation.reason, delegation.reason),
            "inForce": delegation.holds(now),
            "over": delegation.end <= now,
        }
        for delegation in page.items
    ]
    return Rows(rows, page.next)


def finding_rows(
    store: Store,
    *,
    model: str = "",
    closed: bool | None = None,
    after: str = "",
    limit: int = 200,
) -> Rows:
    """Return a page of findings, the most urgent first; *closed* ones alone: the last first.

    Raises:
        Invalid: if *after* is no place where a page ended.
    """
    with store.begin() as unit:
        now = stamp(unit.now())
        page = unit.finding_page(model=model, closed=closed, after=after, limit=limit)
        texts = unit.resolve_texts(finding.text for finding in page.items)
    rows = [
        {
            **asdict(finding),
            "text": texts.get(finding.text, finding.text),
            "overdue": finding.overdue(now),
        }
        for finding in page.items
    ]
    return Rows(rows, page.next)


def open_findings(store: Store) -> int:
    """Return how many findings are open."""
    with store.begin() as unit:
        return unit.count_findings()
