"""From an approved release to a moved alias.

Rules:
* A grant is made once, by the decider, when the release becomes APPROVED.
* Before it is spent every vote is counted again with the rights people have now.
* Spending and `PromotionStarted` come before the alias moves, `ReleasePromoted` after it was
  read back. A promotion killed in between is resumed by the attempt that spent the grant.
* Taking a release back is the requester's right until it is promoted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airlock.domain.clock import moment
from airlock.domain.conditions import Conditions
from airlock.domain.errors import Conflict, Forbidden, Refused, Unreachable
from airlock.domain.grant import Grant
from airlock.domain.matching import missing
from airlock.domain.people import Actor
from airlock.domain.policy import Plan
from airlock.domain.release import Decision, Release, State, Story
from airlock.domain.rules import Holders
from airlock.domain.voting import check_reason, counted

#: So long a promotion that was begun belongs to the attempt that began it; then another may
#: take over, as after the death of the first.
LEASE = timedelta(minutes=10)


class NotApproved(Refused):
    """There is nothing that would allow this promotion."""


def make_grant(
    release: Release,
    plan: Plan,
    *,
    grant_id: str,
    expected_current: str | None,
    sequence: int,
    now: datetime,
    hours: int,
) -> Grant:
    """Return the grant an approved release earns."""
    if release.state is not State.APPROVED:
        raise NotApproved(f"release {release.id} is {release.state}, not APPROVED: no grant")
    expires = now + timedelta(hours=hours)
    if release.emergency is not None:
        expires = min(expires, moment(release.emergency.until))
    return grant_for(
        release,
        plan,
        grant_id=grant_id,
        expected_current=expected_current,
        sequence=sequence,
        issued_at=now,
        expires_at=expires,
    )


def grant_for(release: Release, plan: Plan, *, grant_id: str, **claims: Any) -> Grant:
    """Return a grant bound to exactly what *release* is about; *claims* are the rest of it."""
    subject = release.subject
    return Grant(
        id=grant_id,
        release=release.id,
        model=subject.model,
        version=subject.version,
        alias=plan.environment.alias,
        environment=subject.environment,
        artifact_digest=subject.artifact_digest,
        location=release.location,
        subject_digest=subject.digest,
        policy_digest=subject.policy_digest,
        round=release.round,
        **claims,
    )


def check_promotable(release: Release, plan: Plan, holders: Holders) -> None:
    """Refuse unless the release is approved and its votes still count today.

    Raises:
        NotApproved: naming the level and what it lacks.
    """
    if release.state is State.REQUESTED:
        raise Unreachable(
            f"release {release.id} is not settled yet by the deciding process",
            next_step="Try again in a moment; `airlock status` shows whether it runs.",
        )
    if release.state is not State.APPROVED:
        raise NotApproved(
            f"release {release.id} is {release.state}"
            + (f" at level {release.level} of {len(plan.levels)}" if release.level else "")
            + ": it has no grant, so nothing may be promoted",
            next_step="Get the missing approvals on the Releases page; "
            "marking a task in Airflow approves nothing.",
        )
    if release.emergency is not None:
        return  # two people answer for it, for a few hours; somebody reviews it afterwards
    check_votes(release, plan, holders)


def check_votes(release: Release, plan: Plan, holders: Holders) -> None:
    """Refuse unless the votes of every level still count today.

    Raises:
        NotApproved: naming the level and what it lacks.
    """
    for number, level in enumerate(plan.levels, 1):
        approved, able = counted(release.votes_at(number), plan, holders)
        lacking = missing(level.rules, approved - {release.requester}, able, ())
        if lacking:
            item = lacking[0]
            raise NotApproved(
                f"release {release.id} no longer has the votes of level {number} ({level.name}): "
                f"it lacks {item.rule.sentence(item.count)} among those who may still vote",
                next_step="A voter lost the role since. While this release is open a new run opens "
                f"none: withdraw it as {release.requester} (`airlock release withdraw "
                f'{release.id} --as {release.requester} --reason "..."`), then run the pipeline '
                "again.",
            )


def approvals(release: Release) -> list[tuple[str, Conditions]]:
    """Return who approved this round under which conditions."""
    return [
        (vote.person, vote.conditions)
        for vote in release.votes
        if vote.round == release.round and vote.decision is Decision.APPROVE and vote.conditions
    ]


def start(release: Release, grant: Grant, actor: Actor, attempt: str, at: str) -> Story:
    """Return the event recorded before the alias moves."""
    story = Story(release, actor, at, release.subject.policy_digest)
    data = {"grant": grant.id, "attempt": attempt, "before": grant.expected_current}
    story.tell("PromotionStarted", data)
    return story


def finish(release: Release, grant: Grant, actor: Actor, attempt: str, at: str) -> Story:
    """Return the event recorded after the alias was moved and read back."""
    story = Story(release, actor, at, release.subject.policy_digest)
    data = {
        "grant": grant.id,
        "attempt": attempt,
        "alias": grant.alias,
        "before": grant.expected_current,
        "after": grant.version,
        "sequence": grant.sequence,
    }
    story.tell("ReleasePromoted", data, resource=f"model/{grant.model}@{grant.alias}")
    return story


def withdraw(release: Release, actor: Actor, reason: str, at: str) -> Story:
    """Return the events of the requester taking the release back."""
    if actor.id != release.requester:
        raise Forbidden(
            f"release {release.id} was requested by {release.requester}; {actor.id} cannot "
            "withdraw it",
            next_step="An approver who disagrees rejects it at an open level.",
        )
    check_reason(reason)
    _check_open(release)
    story = Story(release, actor, at, release.subject.policy_digest)
    story.tell("ReleaseWithdrawn", {}, why=f"withdrawn by {actor.id}: {reason}")
    return story


def supersede(release: Release, actor: Actor, by: str, at: str) -> Story:
    """Return the events of a newer candidate taking this release's place."""
    _check_open(release)
    story = Story(release, actor, at, release.subject.policy_digest)
    story.tell("ReleaseSuperseded", {"by": by}, why=f"superseded by the candidate of {by}")
    return story


def _check_open(release: Release) -> None:
    if not release.state.is_open:
        raise Conflict(
            f"release {release.id} is {release.state}: nothing can be taken back",
            next_step="Look at the release; it has already ended.",
        )
