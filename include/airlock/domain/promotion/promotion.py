"""From an approved release to a moved alias, and back from it: what both have in common.

Rules:
* Approval is a state. The grant is made when an attempt begins, after every vote was counted again
  with the rights people have now; it lives two minutes at most.
* The attempt has the release to itself until its grant ends (`Lease`), and nothing ends the release
  meanwhile. Afterwards the guard of the registry says whether the grant was spent: then the
  promotion is finished, else the grant is revoked there and the release is APPROVED again.
* `PromotionStarted` comes before the alias moves, `ReleasePromoted` after it was read back.
* Taking a release back is the requester's right until it is being promoted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airlock.domain.approval.advice import after_sweep, run_anew
from airlock.domain.approval.approval_conditions import Conditions
from airlock.domain.approval.matching import missing
from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Decision, Release, State, Story
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.timers import Late
from airlock.domain.approval.voting import check_reason, counted
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import Conflict, Forbidden, Refused, Unreachable
from airlock.domain.people.actors import Actor
from airlock.domain.promotion.grant import LONGEST, Grant


class NotApproved(Refused):
    """There is nothing that would allow this promotion."""


class Underway(Conflict):
    """An attempt has the release to itself; what it asks for can be asked for again afterwards."""


@dataclass(frozen=True, slots=True)
class Move:
    """One way an alias moves: the purpose of its grants, and the words of its events."""

    purpose: str
    started: str
    refused: str
    ended: str
    completed: str
    state: State
    doing: str


PROMOTION = Move(
    "promotion",
    "PromotionStarted",
    "PromotionRefused",
    "PromotionEnded",
    "ReleasePromoted",
    State.PROMOTED,
    "promoted",
)
ROLLBACK = Move(
    "rollback",
    "RollbackStarted",
    "RollbackRefused",
    "RollbackEnded",
    "ReleaseRolledBack",
    State.ROLLED_BACK,
    "rolled back",
)


def move_of(release: Release) -> Move:
    """Return what would be done with a release now: promoting it, or going back from it."""
    leaving = release.rollback is not None or release.state is State.ROLLED_BACK
    return ROLLBACK if leaving else PROMOTION


def check_idle(release: Release, now: str) -> None:
    """Refuse to touch a release that an attempt has to itself.

    Raises:
        Underway: naming the attempt and until when.
    """
    lease = release.lease
    if lease is None:
        return
    doing = move_of(release).doing
    if now < lease.until:
        raise Underway(
            f"release {release.id} is being {doing} by {lease.attempt} until {lease.until}",
            next_step="Ask again then; if the alias has not moved by then, the release is as "
            "it was before.",
        )
    raise Underway(
        f"release {release.id} was being {doing} by {lease.attempt} until {lease.until}, and "
        "whether its grant was spent is not known yet",
        next_step="Ask again in some seconds: the delivery process asks the guard of MLflow. "
        "`airlock status` shows whether both run.",
    )


def ends_at(now: datetime, limits: Iterable[str | None]) -> datetime:
    """Return when a grant given now ends: in two minutes, or at the first of *limits*."""
    ends = (moment(limit) for limit in limits if limit)
    return min([now + LONGEST, *ends])


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


def check_approved(release: Release, plan: Plan) -> None:
    """Refuse unless the release is approved, whatever became of its votes since.

    Raises:
        NotApproved: naming its state.
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
            next_step=_missing(release),
        )


def check_promotable(release: Release, plan: Plan, holders: Holders) -> None:
    """Refuse unless the release is approved and its votes still count today.

    Raises:
        NotApproved: naming the level and what it lacks.
    """
    check_approved(release, plan)
    if release.emergency is not None:
        return  # two people answer for it, for a few hours; somebody reviews it afterwards
    check_votes(release, plan, holders)


def _missing(release: Release) -> str:
    if release.state is not State.AWAITING_APPROVAL:
        return run_anew(release)
    return (
        "Get the missing approvals on the Releases page; marking a task in Airflow approves "
        "nothing."
    )


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
                next_step=f"A voter lost the role since. {run_anew(release)}",
            )


def approvals(release: Release) -> list[tuple[str, Conditions]]:
    """Return who approved this round under which conditions."""
    return [
        (vote.person, vote.conditions)
        for vote in release.votes
        if vote.round == release.round and vote.decision is Decision.APPROVE and vote.conditions
    ]


def check_unexpired(release: Release, plan: Plan, approved_at: str, now: str) -> None:
    """Refuse an approval nobody used in time, whether or not a sweep has run.

    Raises:
        Late: naming the end.
    """
    over = stamp(moment(approved_at) + plan.timing.unused)
    if now >= over:
        raise Late(
            f"release {release.id} was approved at {approved_at} and was to be promoted before "
            f"{over}; it is {now}",
            next_step=after_sweep(),
        )


def start(release: Release, grant: Grant, attempt: str, signed: tuple[str, str], at: str) -> Story:
    """Return the events of an attempt that gets its grant.

    *signed*: the key that signed the grant, and the digest of its envelope.
    """
    move = ROLLBACK if grant.rolls_back else PROMOTION
    story = Story(release, decider(), at, release.subject.policy_digest)
    until = {"until": stamp(grant.expires_at)}
    story.tell(move.started, {**_data(grant, attempt), **until}, resource=_alias(grant))
    key, digest = signed
    issued = {"grant": grant.id, "key": key, "sequence": grant.sequence, "purpose": move.purpose}
    story.tell("GrantIssued", {**issued, "envelopeDigest": digest})
    return story


def end(release: Release, grant: Grant, attempt: str, why: str, revoked_at: str, at: str) -> Story:
    """Return the event of an attempt that is over and whose grant was revoked unspent."""
    move = ROLLBACK if grant.rolls_back else PROMOTION
    story = Story(release, decider(), at, release.subject.policy_digest)
    data = {"grant": grant.id, "attempt": attempt, "revokedAt": revoked_at}
    story.tell(move.ended, data, why=why)
    return story


def finish(release: Release, grant: Grant, attempt: str, spent_at: str, at: str) -> Story:
    """Return the event recorded after the alias was moved and read back."""
    move = ROLLBACK if grant.rolls_back else PROMOTION
    story = Story(release, decider(), at, release.subject.policy_digest)
    why = f"rolled back to version {grant.version}" if grant.rolls_back else ""
    data = {**_data(grant, attempt), "spentAt": spent_at}
    story.tell(move.completed, data, why=why, resource=_alias(grant))
    return story


def _data(grant: Grant, attempt: str) -> dict[str, Any]:
    back = {"to": grant.release} if grant.rolls_back else {}
    return {
        "grant": grant.id,
        "attempt": attempt,
        "alias": grant.alias,
        **back,
        "before": grant.expected_current,
        "after": grant.version,
        "sequence": grant.sequence,
    }


def _alias(grant: Grant) -> str:
    return f"model/{grant.model}@{grant.alias}"


def decider() -> Actor:
    """Return who gives grants and looks at the registry: never a person."""
    return Actor.system("decider")


def withdraw(release: Release, actor: Actor, reason: str, at: str) -> Story:
    """Return the events of the requester taking the release back."""
    if actor.id != release.requester:
        raise Forbidden(
            f"release {release.id} was requested by {release.requester}; {actor.id} cannot "
            "withdraw it",
            next_step=_instead_of_withdrawing(release),
        )
    check_reason(reason)
    check_idle(release, at)
    _check_open(release)
    story = Story(release, actor, at, release.subject.policy_digest)
    story.tell("ReleaseWithdrawn", {}, why=f"withdrawn by {actor.id}: {reason}")
    return story


def _instead_of_withdrawing(release: Release) -> str:
    if release.state is State.AWAITING_APPROVAL:
        return "An approver who disagrees rejects it at an open level."
    if release.state.is_open:
        return f"{release.requester} can; an approval nobody uses ends by itself."
    return "Look at the release; it has already ended."


def supersede(release: Release, actor: Actor, by: str, at: str) -> Story:
    """Return the events of a newer candidate taking this release's place."""
    check_idle(release, at)
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
