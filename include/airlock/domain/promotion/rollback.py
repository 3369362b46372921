"""Going back to an older version.

Rules:
* What serves now is left; the target is a version of the same line that was promoted before and
  has not been rolled back itself.
* The target's approval still stands: its votes count with the rights of today, its conditions
  hold, its gates still open. Then nobody has to approve again. What was released by breaking the
  glass was never approved, so nothing goes back to it.
* It takes a grant all the same, made when it is done, with a new sequence number: the line only
  ever moves on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airlock.domain.approval.approval_conditions import EVERYBODY, enforce
from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, RollbackPermission, State, Story
from airlock.domain.approval.rules import Holders
from airlock.domain.clock import stamp
from airlock.domain.errors import Conflict, Refused
from airlock.domain.people.actors import Actor
from airlock.domain.promotion.promotion import approvals, check_idle, check_votes

#: How long a rollback may wait for being done.
VALID = timedelta(hours=1)


def check_leaving(release: Release, serving: str | None) -> None:
    """Refuse to roll back what does not serve.

    Raises:
        Conflict: naming what serves instead.
    """
    if release.state is not State.PROMOTED or serving != release.id:
        raise Conflict(
            f"release {release.id} is {release.state} and does not serve now "
            f"(serving: {serving or 'nothing'}), so there is nothing to roll back",
            next_step="Roll back the release that serves.",
        )


def check_target(target: Release, leaving: Release, plan: Plan, holders: Holders, now: str) -> None:
    """Refuse a target whose approval no longer stands.

    Raises:
        Refused: naming what is missing.
    """
    line = (leaving.subject.model, leaving.subject.environment)
    if (target.subject.model, target.subject.environment) != line or target.id == leaving.id:
        raise Refused(f"release {target.id} is not an older one of {line[0]} in {line[1]}")
    if target.state is not State.PROMOTED:
        raise Refused(f"release {target.id} is {target.state}: it never served, or was left")
    if target.emergency is not None:
        raise Refused(f"release {target.id} was never approved: the glass was broken for it")
    check_votes(target, plan, holders)
    enforce(approvals(target), EVERYBODY, now)


def allow(leaving: Release, target: Release, actor: Actor, reason: str, now: datetime) -> Story:
    """Return the event of a rollback being allowed; its grant is made when it is done."""
    check_idle(leaving, stamp(now))
    story = Story(leaving, actor, stamp(now), leaving.subject.policy_digest)
    data = {"to": target.id, "version": target.subject.version, "until": stamp(now + VALID)}
    story.tell("RollbackAllowed", data, why=reason)
    return story


def check_allowed(leaving: Release, now: str) -> RollbackPermission:
    """Return the permission to go back.

    Raises:
        Refused: if there is none, or it is over.
    """
    allowed = leaving.rollback
    if allowed is None:
        raise Refused(
            f"nobody has allowed release {leaving.id} to be rolled back",
            next_step="An operator asks for it: "
            f'`airlock release rollback {leaving.id} --as OPERATOR --reason "..."`.',
        )
    if now >= allowed.until:
        raise Refused(
            f"release {leaving.id} was allowed to be rolled back until {allowed.until}, it is "
            f"{now}",
            next_step="An operator allows it again: "
            f'`airlock release rollback {leaving.id} --as OPERATOR --reason "..."`.',
        )
    return allowed
