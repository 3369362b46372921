"""Answering at a level.

Rules, checked in this order (the first one broken is the reason given):
* An answer through Slack counts where the policy of the tier takes one.
* The release awaits approval, in the round and for the subject digest the voter saw.
* A reason is given: 3 to 2,000 printable characters. Only an approval carries conditions, and a
  finding's owner is somebody we know.
* Nobody judges own work: who is excluded never votes, in any capacity.
* One person, one vote, over all levels; who answers for somebody else answers for both.
* The level answered is the level that is open; nobody votes ahead.
* The voter has, now, a mandate a rule of this level asks for: a role held directly, a delegation
  in force, or, after escalation, the place of the superior.
* A vote that would leave the release without the people it still needs is refused now, when
  somebody else can answer here.
* One reject ends the release. An approval completes the level when all its rules are met.

Refusals are errors with a `rule` code; the service records them before it raises them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from airlock.domain.approval.advice import run_anew
from airlock.domain.approval.approval_conditions import UNCONDITIONAL, Conditions, check_conditions
from airlock.domain.approval.matching import Missing, missing
from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Decision, Release, State, Story, Vote
from airlock.domain.approval.release_request import is_satisfiable
from airlock.domain.approval.rules import Holders
from airlock.domain.digest import short
from airlock.domain.errors import Conflict, Forbidden, Invalid, Refused
from airlock.domain.people.actors import Actor, Channel
from airlock.domain.people.delegation import Capacity, Mandate, eligible, handed_over
from airlock.domain.people.separation_of_duties import REQUESTED

REASON_MIN, REASON_MAX = 3, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """An answer and what its voter was looking at. *behind*: for whom, if not for oneself."""

    decision: Decision
    reason: str
    level: int
    round: int
    subject_digest: str
    behind: str = ""
    conditions: Conditions = UNCONDITIONAL


def counted(
    votes: Iterable[Vote], plan: Plan, holders: Holders
) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """Return the people whose seats the approvals fill, and the roles that count for everybody.

    Only what is still right counts: everybody behind a vote is active and not excluded.
    """
    mandates = [vote.mandate for vote in votes if vote.decision is Decision.APPROVE]
    good = [mandate for mandate in mandates if mandate.counts(holders, plan.excluded)]
    lent = {mandate.principal: mandate.roles(holders) for mandate in good}
    return frozenset(mandate.principal for mandate in good), {**holders, **lent}


def mandates(release: Release, plan: Plan, holders: Holders) -> tuple[Mandate, ...]:
    """Return every unused mandate of the open level.

    Where nobody is left (deactivated, demoted, all have answered) the duty moves on: to a superior
    at once, else to the fallback role.
    """
    if release.state is not State.AWAITING_APPROVAL:
        return ()
    rules = plan.levels[release.level - 1].rules
    barred = {*plan.excluded, release.requester}

    def unused(candidates: tuple[Mandate, ...]) -> tuple[Mandate, ...]:
        return tuple(mandate for mandate in candidates if not mandate.people & release.voters)

    return (
        unused(eligible(rules, holders, plan.powers, barred, escalated=plan.escalated))
        or unused(eligible(rules, holders, plan.powers, barred, escalated=True))
        or unused(handed_over(rules, holders, plan.powers, barred))
    )


def lacking(release: Release, plan: Plan, holders: Holders) -> tuple[Missing, ...]:
    """Return the gaps of the open level, with the people who could fill them."""
    if release.state is not State.AWAITING_APPROVAL:
        return ()
    rules = plan.levels[release.level - 1].rules
    voted, able = counted(release.votes_at(release.level), plan, holders)
    open_to = mandates(release, plan, holders)
    for mandate in open_to:
        able[mandate.principal] = able.get(mandate.principal, frozenset()) | mandate.roles(holders)
    gaps = missing(
        rules, voted - {release.requester}, able, {mandate.principal for mandate in open_to}
    )
    if not gaps:
        return ()
    fitting = [mandate for mandate in open_to if not strands(release, plan, holders, mandate)]
    return tuple(_named(item, fitting) for item in gaps)


def _named(item: Missing, able: list[Mandate]) -> Missing:
    """Return the gap with the people who could act, in place of those whose seat it is."""
    actors = {mandate.person for mandate in able if mandate.principal in item.candidates}
    return Missing(item.rule, item.count, tuple(sorted(actors)))


def may_answer(release: Release, plan: Plan, holders: Holders) -> tuple[str, ...]:
    """Return everybody who could fill a seat of the open level right now."""
    return tuple(
        sorted({person for item in lacking(release, plan, holders) for person in item.candidates})
    )


def strands(release: Release, plan: Plan, holders: Holders, mandate: Mandate) -> bool:
    """Say whether this approval would leave the release without the people it still needs."""
    if not is_satisfiable(release, plan, holders, *_seated(release, plan, holders)):
        return False  # it is stuck already: this vote does no harm
    return not is_satisfiable(release, plan, holders, *_seated(release, plan, holders, mandate))


def _seated(
    release: Release, plan: Plan, holders: Holders, more: Mandate | None = None
) -> tuple[frozenset[str], frozenset[str], dict[str, frozenset[str]]]:
    """Return who sits at the open level, who is used up, and the roles that counts for."""
    seated, able = counted(release.votes_at(release.level), plan, holders)
    used = release.voters
    if more is not None:
        seated, used = seated | {more.principal}, used | more.people
        able[more.principal] = more.roles(holders)
    return seated, used, able


def cast(
    release: Release,
    plan: Plan,
    ballot: Ballot,
    actor: Actor,
    holders: Holders,
    at: str,
    active: Collection[str] | None = None,
) -> Story:
    """Return the events that follow from one answer.

    *active*: everybody active, who may answer or not; by default whoever may.

    Raises:
        Refused: (one of its kinds) naming the rule broken and what to do.
    """
    _check_channel(release, plan, actor)
    _check_seen(release, ballot)
    check_reason(ballot.reason)
    check_conditions(ballot.conditions, at)
    _check_tied(ballot, holders if active is None else active)
    _check_person(release, plan, ballot, actor)
    mandate = _mandate(release, plan, ballot, actor, holders)
    story = Story(release, actor, at, release.subject.policy_digest)
    data = {
        "level": release.level,
        "name": plan.levels[release.level - 1].name,
        "decision": ballot.decision.value,
        "round": release.round,
        "subjectDigest": ballot.subject_digest,
        **_more(mandate, ballot.conditions),
    }
    story.tell("VoteCast", data, why=ballot.reason)
    if ballot.decision is Decision.REJECT:
        why = f"rejected at level {release.level} by {actor.id}: {ballot.reason}"
        story.tell("ReleaseRejected", {"level": release.level, "by": actor.id}, why=why)
        return story
    plan.check_authors(run_anew(release))
    _check_not_stranding(release, plan, mandate, holders)
    _advance(story, plan, holders)
    return story


def _more(mandate: Mandate, conditions: Conditions) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if mandate.capacity is not Capacity.OWN:
        more |= {"capacity": mandate.capacity.value, "behind": mandate.behind}
    if conditions:
        more["conditions"] = conditions.to_document()
    return more


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


def _check_channel(release: Release, plan: Plan, actor: Actor) -> None:
    if actor.channel is Channel.SLACK and not plan.slack_may_answer:
        raise Forbidden(
            f"release {release.id} is of {plan.tier} risk, and its policy takes no answer to that "
            "tier from Slack",
            next_step="Open the release's page in Airflow, log in, and answer there.",
        )


def _check_seen(release: Release, ballot: Ballot) -> None:
    if release.state is not State.AWAITING_APPROVAL:
        raise Conflict(
            f"release {release.id} is {release.state}, so nobody can answer any more",
            next_step="Nothing is left to do here; the release itself says why.",
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


def _check_person(release: Release, plan: Plan, ballot: Ballot, actor: Actor) -> None:
    why = why_excluded(release, plan, actor.id)
    if why:
        raise Forbidden(
            f"{actor.id} {why} (release {release.id}): nobody judges own work",
            next_step="Ask one of the people named at this level.",
        )
    if actor.id in release.voters:
        raise Conflict(
            f"{actor.id} has already answered release {release.id}{_through(release, actor.id)}: "
            "one person, one vote",
            next_step="Another person has to answer.",
        )
    if ballot.level != release.level:
        raise Conflict(
            f"level {ballot.level} is not open: release {release.id} is at level {release.level}",
            next_step="Levels are answered strictly in order.",
        )


def why_excluded(release: Release, plan: Plan, person: str) -> str:
    """Return why a person may not judge this release, or an empty string."""
    return plan.excluded.get(person, "") or (REQUESTED if person == release.requester else "")


def _through(release: Release, person: str) -> str:
    votes = [v for v in release.votes if v.round == release.round and v.behind == person]
    return f" through {votes[0].person}" if votes else ""


def _check_tied(ballot: Ballot, active: Collection[str]) -> None:
    if ballot.conditions and ballot.decision is Decision.REJECT:
        raise Invalid(
            "a rejection ends the release, so it carries no conditions",
            next_step="Approve under these conditions, or reject without them.",
        )
    for demand in ballot.conditions.findings:
        if demand.owner not in active:
            raise Invalid(
                f"a finding's owner is somebody active whom Airlock knows, found {demand.owner!r}",
                next_step="Write the user name in Airflow of whoever mends it.",
            )


def _mandate(
    release: Release, plan: Plan, ballot: Ballot, actor: Actor, holders: Holders
) -> Mandate:
    """Return the mandate of the actor's vote: own if possible, else for somebody else."""
    for mandate in mandates(release, plan, holders):
        if mandate.person == actor.id and (not ballot.behind or mandate.behind == ballot.behind):
            return mandate
    level = plan.levels[release.level - 1]
    roles = ", ".join(sorted(holders.get(actor.id, frozenset()))) or actor.holds
    if actor.id not in holders and not actor.unconfirmed:
        roles += " and is not active and enrolled"
    able = ", ".join(may_answer(release, plan, holders)) or "nobody"
    wished = f" and may not answer for {ballot.behind}" if ballot.behind else ""
    raise Forbidden(
        f"level {release.level} ({level.name}) needs {level.sentence()}; "
        f"{actor.id} holds {roles}{wished}",
        next_step=f"May answer now: {able}.",
    )


def _check_not_stranding(release: Release, plan: Plan, mandate: Mandate, holders: Holders) -> None:
    if strands(release, plan, holders, mandate):
        raise Refused(
            f"{mandate.principal} is needed at a later level of release {release.id}: nobody "
            "else could answer there",
            next_step="Let somebody else answer at this level.",
        )
