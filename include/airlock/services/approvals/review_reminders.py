"""The alarm about a broken glass nobody has reviewed (the decider does this).

24 hours after it was broken, and every 24 hours from then on until it is reviewed, the alarm says
so: an event in the log of the release, and a notice for those who broke the glass, those who may
review it, and the auditors. The wall clock counts, whatever clock the policy has for its levels.
"""

from __future__ import annotations

from airlock.domain.approval.break_glass import Broken
from airlock.domain.approval.policy import EXPORT
from airlock.domain.approval.release import Release
from airlock.domain.approval.timers import Kind, Timer, review_timer
from airlock.domain.people.actors import holders
from airlock.ports import Store, UnitOfWork
from airlock.services import outbox_messages
from airlock.services.approvals.requirements import rulebook_of


def arm(unit: UnitOfWork, broken: Broken, at: str) -> None:
    """Make the next alarm about a broken glass; one that was made before is left as it is."""
    unit.put_timers([review_timer(broken, at)])


def arm_missing(store: Store) -> None:
    """Give every unreviewed emergency its alarm, those broken before there were any included."""
    with store.begin() as unit:
        waiting = [use for use in unit.broken() if use.reviewed_at is None]
        if not waiting:
            return
        for use in waiting:
            arm(unit, use, use.broken_at)
        unit.commit()


def unreviewed(unit: UnitOfWork, release: Release) -> tuple[Broken, ...]:
    """Return the broken glasses of a release that nobody has reviewed."""
    return tuple(use for use in unit.broken(release=release.id) if use.reviewed_at is None)


def rung(
    unit: UnitOfWork, release: Release, timers: list[tuple[Timer, bool]], at: str
) -> list[outbox_messages.Letter]:
    """Make the next alarm for each that was raised, and return the notices of those raised."""
    raised = {timer.round: timer for timer, acted in timers if acted and timer.kind is Kind.REVIEW}
    if not raised:
        return []
    letters: list[outbox_messages.Letter] = []
    for broken in unreviewed(unit, release):
        if broken.round in raised:
            arm(unit, broken, at)
            letters += _letters(unit, release, broken, raised[broken.round].number)
    return letters


def _letters(
    unit: UnitOfWork, release: Release, broken: Broken, number: int
) -> list[outbox_messages.Letter]:
    people = _recipients(unit, release, broken)
    text = (
        f"{release.id}: the emergency {broken.incident} was to be reviewed before "
        f"{broken.review_due}, and nobody has. Broken by "
        f"{' and '.join(broken.people)}. Told: {', '.join(people)}."
    )
    suffix = f"review-{broken.round}-{number}"
    return outbox_messages.aloud(release.id, suffix, about="alarm", text=text, people=people)


def _recipients(unit: UnitOfWork, release: Release, broken: Broken) -> list[str]:
    """Return the recipients: whoever broke the glass, the reviewers, the auditors."""
    rulebook = rulebook_of(unit, release)
    glass = rulebook.break_glass
    reviewers = glass.reviewers if glass else frozenset[str]()
    return sorted(
        person
        for person, roles in holders(unit.people()).items()
        if person in broken.people
        or roles & reviewers
        or EXPORT in rulebook.permissions(frozenset(roles))
    )
