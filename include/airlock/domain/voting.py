"""Answering at a level.

Rules, checked in this order (the first one broken is the reason given):
* The release awaits approval, in the round and for the subject digest the voter saw.
* A reason is given: 3 to 2,000 printable characters.
* The requester never votes, whatever roles the person holds.
* One person, one vote, over all levels.
* The level answered is the level that is open; nobody votes ahead.
* The voter holds, directly and now, a role a rule of this level asks for.
* A vote that would leave a later level without the people it needs is refused now, when
  somebody else can still answer here.
* One reject ends the release. An approval completes the level when all its rules are met.

Refusals are errors with a `rule` code; the service records them before it raises them.
"""

from __future__ import annotations

from dataclasses import dataclass

from airlock.domain.digest import short
from airlock.domain.errors import Conflict, Forbidden, Invalid, Refused
from airlock.domain.opening import is_satisfiable
from airlock.domain.people import Actor
from airlock.domain.policy import Plan
from airlock.domain.release import Decision, Release, State, Story
from airlock.domain.rules import Holders, Missing, missing

REASON_MIN, REASON_MAX = 3, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """An answer and what its voter was looking at."""

    decision: Decision
    reason: str
    level: int
    round: int
    subject_digest: str


def lacking(release: Release, plan: Plan, holders: Holders) -> tuple[Missing, ...]:
    """Return what the open level still lacks, and who could give it."""
    if release.state is not State.AWAITING_APPROVAL:
        return ()
    level = plan.levels[release.level - 1]
    voted = {vote.person for vote in release.votes_at(release.level)}
    pool = set(holders) - release.voters - {release.requester}
    return missing(level.rules, voted, holders, pool)


def may_answer(release: Release, plan: Plan, holders: Holders) -> tuple[str, ...]:
    """Return everybody who could fill a seat of the open level right now."""
    return tuple(
        sorted({who for item in lacking(release, plan, holders) for who in item.candidates})
    )


def cast(
    release: Release, plan: Plan, ballot: Ballot, actor: Actor, holders: Holders, at: str
) -> Story:
    """Return the events that follow from one answer.

    Raises:
        Refused: (one of its kinds) naming the rule broken and what to do.
    """
    _check_seen(release, ballot)
    check_reason(ballot.reason)
    _check_person(release, ballot, actor)
    _check_role(release, plan, actor, holders)
    story = Story(release, actor, at, release.subject.policy_digest)
    story.tell(
        "VoteCast",
        {
            "level": release.level,
            "name": plan.levels[release.level - 1].name,
            "decision": ballot.decision.value,
            "round": release.round,
            "subjectDigest": ballot.subject_digest,
        },
        why=ballot.reason,
    )
    if ballot.decision is Decision.REJECT:
        why = f"rejected at level {release.level} by {actor.id}: {ballot.reason}"
        story.tell("ReleaseRejected", {"level": release.level, "by": actor.id}, why=why)
        return story
    _check_not_stranding(release, plan, actor, holders)
    _advance(story, plan, holders)
    return story


def _advance(story: Story, plan: Plan, holders: Holders) -> None:
    release = story.release
    if release is None or lacking(release, plan, holders):
        return
    story.tell("LevelCompleted", {"level": release.level})
    if release.level < len(plan.levels):
        name = plan.levels[release.level].name
        story.tell("LevelOpened", {"level": release.level + 1, "name": name})
    else:
        story.tell("ReleaseApproved", {}, why="every rule of every level is met")


def _check_seen(release: Release, ballot: Ballot) -> None:
    if release.state is not State.AWAITING_APPROVAL:
        raise Conflict(
            f"release {release.id} is {release.state}, so nobody can answer any more"
            + (f": {release.why}" if release.why else ""),
            next_step="Nothing is left to do here.",
        )
    if (ballot.round, ballot.subject_digest) != (release.round, release.subject.digest):
        raise Conflict(
            f"you answered round {ballot.round} of {short(ballot.subject_digest)}, but release "
            f"{release.id} is in round {release.round} with {short(release.subject.digest)}",
            next_step="Open the release again, look at what changed, then answer.",
        )


def check_reason(reason: str) -> None:
    """Refuse a reason that is empty, endless or not plain text.

    Raises:
        Invalid: naming what is wrong with it.
    """
    text = reason.strip()
    if not REASON_MIN <= len(text) <= REASON_MAX:
        raise Invalid(
            f"a reason of {REASON_MIN} to {REASON_MAX} characters is required, found {len(text)}",
            next_step="Say in a sentence why; it becomes part of the record.",
        )
    if any(not (c.isprintable() or c in "\n\t") for c in text):
        raise Invalid("the reason has control characters", next_step="Write it as plain text.")


def _check_person(release: Release, ballot: Ballot, actor: Actor) -> None:
    if actor.id == release.requester:
        raise Forbidden(
            f"{actor.id} requested release {release.id}: nobody judges own work",
            next_step="Ask one of the people named at this level.",
        )
    if actor.id in release.voters:
        raise Conflict(
            f"{actor.id} has already answered release {release.id}: one person, one vote",
            next_step="Another person has to answer.",
        )
    if ballot.level != release.level:
        raise Conflict(
            f"level {ballot.level} is not open: release {release.id} is at level {release.level}",
            next_step="Levels are answered strictly in order.",
        )


def _check_role(release: Release, plan: Plan, actor: Actor, holders: Holders) -> None:
    level = plan.levels[release.level - 1]
    held = holders.get(actor.id, frozenset())
    if not any(rule.fits(actor.id, held) for rule in level.rules):
        roles = ", ".join(sorted(held)) or "no role"
        able = ", ".join(may_answer(release, plan, holders)) or "nobody"
        raise Forbidden(
            f"level {release.level} ({level.name}) needs {level.sentence()}; "
            f"{actor.id} holds {roles}",
            next_step=f"May answer now: {able}.",
        )


def _check_not_stranding(release: Release, plan: Plan, actor: Actor, holders: Holders) -> None:
    used = set(release.voters)
    if is_satisfiable(release, plan, holders, used) and not is_satisfiable(
        release, plan, holders, used | {actor.id}
    ):
        raise Refused(
            f"{actor.id} is needed at a later level of release {release.id}: nobody else could "
            "answer there",
            next_step="Let somebody else answer at this level.",
        )
