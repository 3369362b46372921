"""Opening a release: are the gates there and open, and can the policy be met at all?

Rules:
* Every gate the pipeline and the policy ask for has a result, and every result opens that the
  policy weighs `soft` or `hard`. A missing one blocks whatever it weighs, and so does a list in
  which nothing could block: empty never passes.
* A policy that today's active people cannot meet, with everybody left out who may not judge own
  work, is refused here, naming the level and the rule, and not discovered by the last approver.
  Delegates and stand-ins add nobody: the seat stays that of the person behind them.
* A blocked release is recorded: people can see what was measured and why it stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from airlock.domain.approval.matching import Group, missing, seatable
from airlock.domain.approval.policy import Level, Plan
from airlock.domain.approval.release import Release, Story, Subject
from airlock.domain.approval.rules import Holders
from airlock.domain.errors import Refused
from airlock.domain.evidence.enforcement import Enforcement
from airlock.domain.gates import GateResult
from airlock.domain.people.actors import Actor


class Unsatisfiable(Refused):
    """Nobody could ever complete this release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is asked for. `origin` is the DAG run: one run opens at most one release.

    *attempt_of*: the rejected release it follows; *why*: what the requester says about that.
    """

    id: str
    origin: str
    subject: Subject
    location: str
    requester: str
    attempt_of: str = ""
    why: str = ""


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
    if plan.excluded:
        data["excluded"] = dict(plan.excluded)
    if plan.unknown:
        data["unknownAuthors"] = list(plan.unknown)
    words = data.pop("why")
    why = f"asked again after {draft.attempt_of} was rejected: {words}" if draft.attempt_of else ""
    story.tell("ReleaseRequested", data, why=why, author=draft.requester)
    story.tell("GatesJudged", {"results": [result.to_document() for result in results]})
    why = blocking(results, expected, plan) if plan.environment.gates else ""
    if why:
        story.tell("ReleaseBlocked", {}, why=why)
        return story
    if not plan.environment.people:
        return story  # only the decider may approve, here too
    check_satisfiable(plan.levels, holders, excluded={draft.requester, *plan.excluded})
    story.tell("LevelOpened", {"level": 1, "name": plan.levels[0].name})
    return story


def blocking(results: Sequence[GateResult], expected: Collection[str], plan: Plan) -> str:
    """Return why the gates block, or an empty string if all of them open that can block."""
    if not expected or not results:
        return "no gates were judged: empty never passes"
    weighing = [r for r in results if plan.enforcement(r.gate) is not Enforcement.ADVISORY]
    absent = sorted(set(expected) - {result.key for result in results})
    if not weighing and not absent:
        return "every gate is only advisory, so nothing could block: empty never passes"
    closed = [f"{r.key}: {r.verdict} ({r.message})" for r in weighing if not r.verdict.opens]
    problems = [f"{key}: no result" for key in absent] + closed
    return "; ".join(problems)


def check_satisfiable(levels: Sequence[Level], holders: Holders, excluded: set[str]) -> None:
    """Refuse a plan that no set of distinct, active, not excluded people could complete."""
    able = {person: roles for person, roles in holders.items() if person not in excluded}
    if seatable([(level.rules, able) for level in levels], able):
        return
    lacking = [
        f"level {number} ({level.name}) lacks {item.rule.sentence(item.count)}"
        for number, level in enumerate(levels, 1)
        for item in missing(level.rules, able, able, able)
    ] or [f"{_tight(levels, able)}: the people there are would each have to answer at two levels"]
    raise Unsatisfiable(
        f"this release could never be approved: {'; '.join(lacking)} "
        f"(not counting {', '.join(sorted(excluded))}, who may not judge own work)",
        next_step="Give the missing role to more people, or have somebody else request it.",
    )


def _tight(levels: Sequence[Level], able: Holders) -> str:
    """Name the first level that cannot be met together with those before it."""
    for number in range(1, len(levels) + 1):
        if not seatable([(level.rules, able) for level in levels[:number]], able):
            return f"level {number} ({levels[number - 1].name}) lacks people of its own"
    return "a level lacks people of its own"


def is_satisfiable(
    release: Release,
    plan: Plan,
    holders: Holders,
    seated: Collection[str],
    used: Collection[str],
    able: Holders,
) -> bool:
    """Say whether the open level and all after it can still be completed.

    *seated* sit at the open level already, *used* may sit nowhere else; *able* says with which
    roles those seated count.
    """
    fresh = set(holders) - set(used) - {release.requester, *plan.excluded}
    now, *rest = plan.levels[release.level - 1 :]
    groups: list[Group] = [(now.rules, fresh | set(seated))]
    return seatable([*groups, *((level.rules, fresh) for level in rest)], able)
