"""What waits for one person: the releases whose open level that person can answer now.

The next to expire comes first. Whether somebody may answer depends on the policy, on who did the
work and on who has answered already, so it is computed release by release; those where nothing
that person holds can count are passed over before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.voting import may_answer
from airlock.domain.clock import stamp
from airlock.domain.people.actors import holders
from airlock.ports import UnitOfWork
from airlock.services.approvals.requirements import plan_of, rulebook_of

#: Releases read at once, and at most looked at for one page of an inbox.
BATCH, LOOKED_AT = 100, 5_000


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Releases that wait for somebody, each with what it has to pass.

    *next* leads on, empty at the end. A page may be short and lead on all the same: so many
    releases wait for others that looking went no further.
    """

    items: tuple[tuple[Release, Plan], ...]
    next: str = ""


def waiting_for(unit: UnitOfWork, person: str, *, after: str = "", limit: int = 50) -> InboxPage:
    """Return a page of what *person* can answer now, the next to expire first.

    Raises:
        Invalid: if *after* is no place where a page ended.
    """
    able = holders(unit.people())
    lenders = [d.giver for d in unit.delegations(at=stamp(unit.now())) if d.taker == person]
    items: list[tuple[Release, Plan]] = []
    for number, (release, place) in enumerate(_all_waiting(unit, after), 1):
        if _could_count(unit, release, person, lenders, able):
            plan = plan_of(unit, release)
            if person in may_answer(release, plan, able):
                items.append((release, plan))
        if len(items) >= limit or number >= LOOKED_AT:
            return InboxPage(tuple(items), place)
    return InboxPage(tuple(items))


def _all_waiting(unit: UnitOfWork, after: str) -> Iterator[tuple[Release, str]]:
    """Return every release that awaits approval, each with the place where the rest begins."""
    while True:
        page = unit.awaiting(after=after, limit=BATCH)
        yield from zip(page.releases, page.places, strict=True)
        if not page.next:
            return
        after = page.next


def _could_count(
    unit: UnitOfWork, release: Release, person: str, lenders: list[str], able: Holders
) -> bool:
    """Return whether a role held, lent or stood in for could count at this level."""
    book = rulebook_of(unit, release)
    roles = able.get(person, frozenset())
    if book.fallback in roles or {person, *roles} & set(book.superiors.values()):
        return True
    level = book.plan(release.subject.environment, release.tier).levels[release.level - 1]
    principals = (person, *lenders)
    return any(
        rule.fits(principal, able.get(principal, frozenset()))
        for rule in level.rules
        for principal in principals
    )
