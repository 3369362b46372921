"""Breaking the glass: a release in an emergency, without its levels.

Rules:
* Two people of the roles the policy names agree, each with a reason, both for one incident. A
  policy without `breakGlass` has no way round the levels at all.
* The gates stay shut for everybody: what they block is not released in an emergency either.
* Nobody judges own work: who is excluded from the votes is excluded here. A no stays final.
* Four hours at most, from the first of the two: the second has to follow and the promotion has
  to be done within them.
* Everybody who was skipped is told, and somebody who was not involved reviews it within 24 hours.
* Until that is done the glass cannot be broken for this model again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from airlock.domain.approval.advice import after_sweep, run_anew
from airlock.domain.approval.policy import Glass, Plan
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.voting import check_reason, why_excluded
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import Conflict, Forbidden, Invalid, Refused
from airlock.domain.people.actors import Actor

#: Within this time an uninvolved person reviews what was done.
REVIEW = timedelta(hours=24)
#: An id, not a story: it stays in the log when texts are erased.
_INCIDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,99}")


class Unreviewed(Refused):
    """The glass was broken for this model before, and nobody has reviewed that yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One broken glass, and its review."""

    release: str
    round: int
    model: str
    incident: str
    people: tuple[str, ...]
    broken_at: str
    review_due: str
    reviewed_by: str | None = None
    reviewed_at: str | None = None


def break_glass(
    release: Release,
    plan: Plan,
    glass: Glass | None,
    actor: Actor,
    reason: str,
    incident: str,
    holders: Holders,
    before: Iterable[Broken],
    at: str,
) -> Story:
    """Return the events of one person breaking the glass, or joining the one who has.

    Raises:
        Refused: (one of its kinds) naming the rule broken.
    """
    allowed = _check(release, plan, glass, actor, holders)
    plan.check_authors(run_anew(release))
    check_reason(reason)
    _check_incident(incident)
    unreviewed = [use.release for use in before if use.reviewed_at is None]
    if unreviewed:
        raise Unreviewed(
            f"the glass was broken for {release.subject.model} before and nobody has reviewed "
            "that yet",
            next_step="Somebody uninvolved reviews it: `airlock release review "
            f'{unreviewed[0]} --as REVIEWER --reason "..."`; then try again.',
        )
    story = Story(release, actor, at, release.subject.policy_digest)
    emergency = release.emergency
    if emergency is None or at >= emergency.until or emergency.incident != incident:
        until = stamp(moment(at) + timedelta(hours=allowed.hours))
        story.tell("GlassBroken", {"incident": incident, "until": until}, why=reason)
        return story
    if actor.id in emergency.people:
        raise Conflict(
            f"{actor.id} has already broken the glass for {incident}: "
            f"{allowed.people} different people are needed",
            next_step=f"Another holder of {' or '.join(sorted(allowed.roles))} has to agree.",
        )
    story.tell("GlassConfirmed", {"incident": incident, "until": emergency.until}, why=reason)
    if story.release and story.release.emergency:
        people = story.release.emergency.people
        if len(people) >= allowed.people and _still(people, allowed, holders):
            why = f"glass broken for {incident} by {' and '.join(people)}"
            story.tell("ReleaseApproved", {"emergency": True}, why=why)
    return story


def _check(
    release: Release, plan: Plan, glass: Glass | None, actor: Actor, holders: Holders
) -> Glass:
    if glass is None:
        raise Forbidden(
            "the policy in force has no breakGlass: there is no way round the levels",
            next_step="Get the approvals, or roll back to a version still approved.",
        )
    if release.state is not State.AWAITING_APPROVAL:
        raise Conflict(f"release {release.id} is {release.state}: there is no glass to break")
    why = why_excluded(release, plan, actor.id)
    if why:
        raise Forbidden(f"{actor.id} {why} (release {release.id}): nobody judges own work")
    if not glass.roles & holders.get(actor.id, frozenset()):
        roles = ", ".join(sorted(holders.get(actor.id, frozenset()))) or actor.holds
        raise Forbidden(
            f"breaking the glass needs {' or '.join(sorted(glass.roles))}; {actor.id} holds {roles}"
        )
    return glass


def _check_incident(incident: str) -> None:
    if not _INCIDENT.fullmatch(incident):
        raise Invalid(
            "an incident id of 1 to 100 letters, digits and ._:/#- is required, such as INC-4711",
            next_step="Open the incident first; it says why the levels were skipped.",
        )


def may_break(
    release: Release, plan: Plan, glass: Glass | None, actor: Actor, holders: Holders, at: str
) -> bool:
    """Say whether this person could break the glass now, or join the one who has."""
    emergency = release.emergency
    joined = emergency is not None and actor.id in emergency.people and at < emergency.until
    try:
        _check(release, plan, glass, actor, holders)
    except Refused:
        return False
    return not joined


def may_review(
    release: Release, plan: Plan, glass: Glass | None, use: Broken, actor: Actor
) -> bool:
    """Return whether this person could review a broken glass now."""
    reviewers = glass.reviewers if glass else frozenset[str]()
    able = bool(reviewers & actor.roles) and actor.id not in _involved(release, plan, use)
    return able and use.reviewed_at is None


def _involved(release: Release, plan: Plan, use: Broken) -> set[str]:
    return {*use.people, *plan.excluded, *release.voters, release.requester}


def _still(people: tuple[str, ...], glass: Glass, holders: Holders) -> bool:
    return all(glass.roles & holders.get(person, frozenset()) for person in people)


def check_emergency(release: Release, glass: Glass | None, holders: Holders, now: str) -> None:
    """Refuse a promotion whose emergency is over or whose people may no longer act.

    Raises:
        Refused: naming what no longer holds.
    """
    emergency = release.emergency
    if emergency is None:
        return
    if glass is None or now >= emergency.until:
        raise Refused(
            f"the glass broken for {emergency.incident} allowed a promotion until "
            f"{emergency.until}, it is {now}",
            next_step=after_sweep() if now >= emergency.until else run_anew(release),
        )
    if len(set(emergency.people)) < glass.people or not _still(emergency.people, glass, holders):
        raise Refused(
            f"not everybody of {', '.join(emergency.people)} may break the glass any more",
            next_step=run_anew(release),
        )


def skipped(release: Release, plan: Plan, holders: Holders) -> tuple[str, ...]:
    """Return everybody whose approval was not asked for."""
    emergency = release.emergency
    acted = set(emergency.people) if emergency else set()
    rules = [rule for level in plan.levels for rule in level.rules]
    return tuple(
        person
        for person, roles in sorted(holders.items())
        if person not in acted | release.voters and any(rule.fits(person, roles) for rule in rules)
    )


def review(
    release: Release, plan: Plan, glass: Glass | None, use: Broken, actor: Actor, note: str, at: str
) -> Story:
    """Return the event of an uninvolved person reviewing a broken glass.

    Raises:
        Refused: (one of its kinds) if this person was involved or may not review.
    """
    if use.reviewed_at is not None:
        raise Conflict(f"the emergency {use.incident} was reviewed by {use.reviewed_by}")
    if actor.id in _involved(release, plan, use):
        raise Forbidden(
            f"{actor.id} was involved in release {release.id}: somebody else reviews it"
        )
    reviewers = glass.reviewers if glass else frozenset[str]()
    if not reviewers & actor.roles:
        raise Forbidden(f"a review needs {' or '.join(sorted(reviewers))}; {actor.id} is neither")
    check_reason(note)
    story = Story(release, actor, at, release.subject.policy_digest)
    story.tell("GlassReviewed", {"incident": use.incident, "late": at > use.review_due}, why=note)
    return story
