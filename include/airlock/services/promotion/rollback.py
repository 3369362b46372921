"""Going back to an older version whose approval still stands.

The decider allows it (`allow`), on request of an operator: a permission of an hour, no grant. A
task does it as it promotes (`airlock.services.promotion.promote`); what is checked then is here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.voting import check_reason
from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError, Forbidden, Refused
from airlock.domain.people.actors import Actor, current, holders
from airlock.domain.promotion import rollback as rules
from airlock.ports import Line, Store, UnitOfWork
from airlock.services.approvals.decide import record_refusal
from airlock.services.approvals.requirements import checked_plan, rulebook_of
from airlock.services.idempotency import Once

PERMISSION = "release:promote"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A rollback that was allowed: what it goes back to, and until when it is to be done."""

    release: str
    version: str
    until: str


def allow(
    store: Store, release_id: str, actor: Actor, reason: str, target: str = "", key: str = ""
) -> Allowed:
    """Allow to go back from *release_id* to *target*, or to the newest release that stands.

    The grant is made when a task does it. The same *key* allows it once.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    once = Once.of("rollback", actor, key, release=release_id, reason=reason, target=target)
    with store.begin() as unit:
        leaving = unit.lock(release_id)
        previous = once.answered(unit)
        if previous is not None:
            stored = json.loads(previous)  # what was answered before ADR 0040 had no end
            return Allowed(stored["release"], stored["version"], stored.get("until", ""))
        try:
            story = _story(unit, leaving, actor, reason, target)
        except AirlockError as refusal:
            record_refusal(unit, leaving, actor, refusal, "RollbackRefused")
            raise
        permission = unit.record(story).rollback
        if permission is None:
            raise ValueError("a rollback was allowed, but the release does not say so")
        allowed = Allowed(permission.target, permission.version, permission.until)
        once.keep(unit, json.dumps(asdict(allowed)))
        unit.commit()
        return allowed


def _story(unit: UnitOfWork, leaving: Release, actor: Actor, reason: str, target: str) -> Story:
    now = current(actor, unit.people())
    if not rulebook_of(unit, leaving).allows(now, PERMISSION):
        raise Forbidden(f"{actor.id} has no role with {PERMISSION}, which a rollback needs")
    check_reason(reason)
    subject = leaving.subject
    line = unit.line(subject.model, subject.environment)
    rules.check_leaving(leaving, line.release)
    return rules.allow(leaving, _standing(unit, leaving, target), actor, reason, unit.now())


def _standing(unit: UnitOfWork, leaving: Release, target: str) -> Release:
    """Return the release to go back to; of several the one promoted last."""
    subject, why = leaving.subject, []
    if target:
        older = [unit.get(target)]
    else:
        promoted = unit.find(states=[State.PROMOTED], model=subject.model, limit=1000)
        older = [r for r in promoted if r.subject.environment == subject.environment]
        older = sorted(
            (r for r in older if r.id != leaving.id), key=lambda r: _sequence(unit, r), reverse=True
        )
    for candidate in older:
        try:
            plan = checked_plan(unit, candidate)
            able = holders(unit.people())
            rules.check_target(candidate, leaving, plan, able, stamp(unit.now()))
        except AirlockError as refusal:
            why.append(refusal.message)
            continue
        return candidate
    raise Refused(
        f"there is no version of {subject.model} to go back to whose approval still stands"
        + (f": {'; '.join(why)}" if why else ""),
        next_step="Run the pipeline for another version; in an emergency two people promote it "
        "without the levels, if the policy has breakGlass.",
    )


def _sequence(unit: UnitOfWork, release: Release) -> str:
    stored = unit.grant_of(release.id)
    return stamp(stored.spent_at) if stored and stored.spent_at else ""


def check(unit: UnitOfWork, leaving: Release, line: Line) -> tuple[Release, Plan, str]:
    """Check that a rollback that was allowed may be done now.

    Returns where to, that release's plan, and until when it is allowed.

    Raises:
        Refused: with the rule that says no.
    """
    now = stamp(unit.now())
    rules.check_leaving(leaving, line.release)
    allowed = rules.check_allowed(leaving, now)
    target = unit.get(allowed.target)
    plan = checked_plan(unit, target)
    rules.check_target(target, leaving, plan, holders(unit.people()), now)
    return target, plan, allowed.until
