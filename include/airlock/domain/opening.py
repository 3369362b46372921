"""Opening a release: are the gates there and open, and can the policy be met at all?

Rules:
* Every gate the pipeline and the policy ask for has a result, and every result opens. A missing
  one blocks, and so does an empty list: empty never passes.
* A policy that today's active people cannot meet, with the requester left out, is refused here,
  naming the level and the rule, and not discovered by the last approver.
* A blocked release is recorded: people can see what was measured and why it stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from airlock.domain.errors import Refused
from airlock.domain.gates import GateResult
from airlock.domain.people import Actor
from airlock.domain.policy import Level, Plan
from airlock.domain.release import Release, Story, Subject
from airlock.domain.rules import Holders, missing, unfilled


class Unsatisfiable(Refused):
    """Nobody could ever complete this release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is asked for. `origin` is the DAG run: one run opens at most one release."""

    id: str
    origin: str
    subject: Subject
    location: str
    requester: str
    attempt_of: str = ""


def open_release(
    draft: Draft,
    plan: Plan,
    results: Sequence[GateResult],
    expected: Collection[str],
    holders: Holders,
    actor: Actor,
    at: str,
) -> Story:
    """Return the events that open, or block, the release.

    Raises:
        Unsatisfiable: if the levels cannot all be completed by distinct active people.
    """
    story = Story(None, actor, at, draft.subject.policy_digest)
    data = {**asdict(draft), "tier": plan.tier.value, "subjectDigest": draft.subject.digest}
    story.tell("ReleaseRequested", data)
    story.tell("GatesJudged", {"results": [result.to_document() for result in results]})
    why = blocking(results, expected) if plan.environment.gates else ""
    if why:
        story.tell("ReleaseBlocked", {}, why=why)
        return story
    if not plan.environment.people:
        return story  # only the decider may approve, here too
    check_satisfiable(plan.levels, holders, excluded={draft.requester})
    story.tell("LevelOpened", {"level": 1, "name": plan.levels[0].name})
    return story


def blocking(results: Sequence[GateResult], expected: Collection[str]) -> str:
    """Return why the gates block, or an empty string if all of them open."""
    if not expected or not results:
        return "no gates were judged: empty never passes"
    judged = {result.key for result in results}
    absent = sorted(set(expected) - judged)
    closed = [f"{r.key}: {r.verdict} ({r.message})" for r in results if not r.verdict.opens]
    problems = [f"{key}: no result" for key in absent] + closed
    return "; ".join(problems)


def check_satisfiable(levels: Sequence[Level], holders: Holders, excluded: set[str]) -> None:
    """Refuse a plan that no set of distinct, active, not excluded people could complete."""
    able = {person: roles for person, roles in holders.items() if person not in excluded}
    rules = [rule for level in levels for rule in level.rules]
    if not unfilled(rules, able, able):
        return
    lacking = [
        f"level {number} ({level.name}) lacks {item.rule.sentence(item.count)}"
        for number, level in enumerate(levels, 1)
        for item in missing(level.rules, able, able, able)
    ] or ["the people there are would each have to answer at two levels"]
    raise Unsatisfiable(
        f"this release could never be approved: {'; '.join(lacking)} "
        f"(not counting {', '.join(sorted(excluded))}, who may not judge own work)",
        next_step="Give the missing role to more people, or have somebody else request it.",
    )


def is_satisfiable(release: Release, plan: Plan, holders: Holders, used: set[str]) -> bool:
    """Say whether the levels after the open one can still be completed without *used*."""
    rest = [rule for level in plan.levels[release.level :] for rule in level.rules]
    able = set(holders) - used - {release.requester}
    return not unfilled(rest, able, holders)
