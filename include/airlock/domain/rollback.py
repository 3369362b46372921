"""Going back to an older version.

Rules:
* What serves now is left; the target is a version of the same line that was promoted before and
  has not been rolled back itself.
* The target's approval still stands: its votes count with the rights of today, its conditions
  hold, its gates still open. Then nobody has to approve again. What was released by breaking the
  glass was never approved, so nothing goes back to it.
* It takes a grant all the same, with a new sequence number: the line only ever moves on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airlock.domain.clock import stamp
from airlock.domain.conditions import EVERYBODY, enforce
from airlock.domain.errors import Conflict, Refused
from airlock.domain.grant import Grant
from airlock.domain.people import Actor
from airlock.domain.policy import Plan
from airlock.domain.promoting import approvals, check_votes, grant_for
from airlock.domain.release import Release, State, Story
from airlock.domain.rules import Holders

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


def make_rollback(
    leaving: Release, target: Release, plan: Plan, grant_id: str, sequence: int, now: datetime
) -> Grant:
    """Return the grant that moves the alias back to *target*."""
    return grant_for(
        target,
        plan,
        grant_id=grant_id,
        expected_current=leaving.subject.version,
        sequence=sequence,
        issued_at=now,
        expires_at=now + VALID,
        rolls_back=leaving.id,
    )


def allowed(
    leaving: Release, grant: Grant, actor: Actor, reason: str, envelope_digest: str, now: datetime
) -> Story:
    """Return the event of a rollback being allowed."""
    story = Story(leaving, actor, stamp(now), leaving.subject.policy_digest)
    data = {
        "grant": grant.id,
        "to": grant.release,
        "version": grant.version,
        "sequence": grant.sequence,
        "envelopeDigest": envelope_digest,
    }
    story.tell("RollbackGranted", data, why=reason)
    return story


def told(what: str, leaving: Release, grant: Grant, actor: Actor, attempt: str, at: str) -> Story:
    """Return the event of a rollback being started or done."""
    story = Story(leaving, actor, at, leaving.subject.policy_digest)
    data = {
        "grant": grant.id,
        "attempt": attempt,
        "alias": grant.alias,
        "to": grant.release,
        "before": grant.expected_current,
        "after": grant.version,
        "sequence": grant.sequence,
    }
    why = f"rolled back to version {grant.version}" if what == "ReleaseRolledBack" else ""
    story.tell(what, data, why=why, resource=f"model/{grant.model}@{grant.alias}")
    return story
