"""What other rules mean for a release that is open: docs/reference/rule-changes.md has the table.

Rules:
* A release ends if the rules in force have no place for it any more: its environment is gone or
  asks nobody, its pipeline is for another environment, or it is riskier than it was opened as.
* Every other one goes on, from level 1, with every answer void. If it can get no approval as it is
  (rules that came after its run and ask for less, too few people), those concerned are told now and
  what to do, not by the refusal of their answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airlock.domain.approval.release import Release, Subject
from airlock.domain.approval.release_request import check_satisfiable
from airlock.domain.errors import Invalid, Refused
from airlock.domain.people.actors import holders
from airlock.domain.people.separation_of_duties import is_unknown
from airlock.ports import UnitOfWork
from airlock.services.approvals.requirements import check_of_pipeline, checked_plan, rulebook_of

#: Keys named where rules differ.
_MOST_KEYS = 5


def ended_by(unit: UnitOfWork, before: Release, after: Release) -> str:
    """Return why a release ends if its subject becomes that of *after*; empty if it does not.

    Raises:
        Refused: if the rules of *after* are not registered.
    """
    subject = after.subject
    document, _ = unit.registered("pipeline", subject.pipeline_digest)
    rulebook = rulebook_of(unit, after)
    try:
        check_of_pipeline(subject, document)
        plan = rulebook.plan(subject.environment, after.tier)
    except (Refused, Invalid) as error:
        return error.message
    if not plan.environment.people and asks_people(unit, before):
        return f"{subject.environment} asks nobody any more, and gates alone did not release it"
    tier = rulebook.tier(document["spec"]["risk"])
    if plan.environment.people and after.tier.rank < tier.rank:
        return f"it was opened as {after.tier}, and is {tier} under the rules in force"
    return ""


def asks_people(unit: UnitOfWork, release: Release) -> bool:
    """Say whether a release needs votes under its own rules."""
    return rulebook_of(unit, release).environment(release.subject.environment).people


def standstill(unit: UnitOfWork, release: Release) -> str:
    """Return why nobody can approve a release as it is, and what to do; empty if they can."""
    try:
        plan = checked_plan(unit, release)
        plan.check_authors()
        barred = {release.requester, *plan.excluded}
        check_satisfiable(plan.levels, holders(unit.people()), barred)
    except (Refused, Invalid) as error:
        return f"{error.message}. {error.next_step}".rstrip()
    return ""


def differing(unit: UnitOfWork, before: Subject, after: Mapping[str, str]) -> str:
    """Return the keys of the rules that differ, and note an uncommitted policy.

    *after*: `policy_digest` and `pipeline_digest` of the rules in force.
    """
    differences: list[str] = []
    for kind in ("policy", "pipeline"):
        old, new = getattr(before, f"{kind}_digest"), after[f"{kind}_digest"]
        if old != new:
            documents = [unit.registered(kind, digest)[0] for digest in (old, new)]
            name = kind if kind == "policy" else f"{kind} {before.model}"
            differences += [f"{name}: {path}" for path in _paths(documents[0], documents[1])]
    more = f" and {len(differences) - _MOST_KEYS} more" if len(differences) > _MOST_KEYS else ""
    changer = unit.changed_by("policy", after["policy_digest"])
    state = f" ({changer})" if before.policy_digest != after["policy_digest"] else ""
    return ", ".join(differences[:_MOST_KEYS]) + more + (state if is_unknown(changer) else "")


def _paths(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """Return the places where two documents differ, the deepest that name it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                yield from _paths(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            if before != after:
                yield from _paths(before, after, f"{at}[{index}]")
    else:
        yield at
