"""What people see beyond votes: an emergency and its review, findings, whose seat they fill.

For the page, the CLI and REST alike. It reads; whether somebody may do something is decided again
when it is done.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.delegation import ROLE
from airlock.domain.emergency import Broken, may_break, may_review
from airlock.domain.people import Actor, holders
from airlock.domain.policy import Plan, Rulebook
from airlock.domain.release import Release
from airlock.domain.rules import Holders
from airlock.domain.voting import mandates
from airlock.ports import Facts, Store, UnitOfWork
from airlock.services.planning import rulebook_of
from airlock.services.rows import Rows


def emergency(
    unit: UnitOfWork, release: Release, plan: Plan, actor: Actor | None, known: Facts
) -> dict[str, Any] | None:
    """Return the emergency of a release, or that one is possible; None if the policy has none."""
    glass = rulebook_of(unit, release).break_glass
    every = unit.broken(model=release.subject.model) if known.broken else ()
    broken = [one for one in every if one.release == release.id]
    if glass is None and not broken:
        return None
    unreviewed = [one for one in every if not one.reviewed_at]
    last, at = broken[-1] if broken else None, stamp(known.now)
    able = holders(known.people)
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
        "blockedBy": sorted({one.release for one in unreviewed} - {release.id}),
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


def findings(unit: UnitOfWork, release: Release, known: Facts) -> list[dict[str, Any]]:
    """Return what the approvals of a release want mended."""
    now = stamp(known.now)
    found = unit.findings(release=release.id) if known.raised else ()
    said = unit.resolve_texts(one.text for one in found)
    return [
        {**asdict(one), "text": said.get(one.text, one.text), "overdue": one.overdue(now)}
        for one in found
    ]


def seats(release: Release, plan: Plan, actor: Actor | None, able: Holders) -> list[dict[str, str]]:
    """Return in which capacities somebody could answer now: `behind` is empty for an own role."""
    if actor is None:
        return []
    mine = (one for one in mandates(release, plan, able) if one.person == actor.id)
    return [{"capacity": one.capacity.value, "behind": one.behind} for one in mine]


def known_people(store: Store) -> list[dict[str, str]]:
    """Return everybody active, by name."""
    with store.begin() as unit:
        active = [one for one in unit.people() if one.active]
    return [{"id": one.id, "name": one.name} for one in sorted(active, key=lambda one: one.id)]


def standing_in(rulebook: Rulebook) -> list[dict[str, str]]:
    """Return who stands in for whom once a level was escalated, as the policy in force says."""
    return [
        {"for": below.removeprefix(ROLE), "superior": above}
        for below, above in sorted(rulebook.superiors.items())
    ]


def delegation_rows(
    store: Store,
    *,
    given: str = "",
    taken: str = "",
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
            giver=given, taker=taken, without=without, after=after, limit=limit
        )
        said = unit.resolve_texts(one.reason for one in page.items)
    rows = [
        {
            **asdict(one),
            "reason": said.get(one.reason, one.reason),
            "inForce": one.holds(now),
            "over": one.end <= now,
        }
        for one in page.items
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
        said = unit.resolve_texts(one.text for one in page.items)
    rows = [
        {**asdict(one), "text": said.get(one.text, one.text), "overdue": one.overdue(now)}
        for one in page.items
    ]
    return Rows(rows, page.next)


def open_findings(store: Store) -> int:
    """Return how many findings are open."""
    with store.begin() as unit:
        return unit.count_findings()
