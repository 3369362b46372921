"""Going back to an older version whose approval still stands.

The decider allows it (`allow`), on request of an operator; the worker does it (`rollback`), in
the steps of a promotion: check the bytes, spend the grant, move the alias, read it back, write.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass

from airlock.domain import rollback as rules
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json, short
from airlock.domain.errors import AirlockError, Conflict, Forbidden, Refused
from airlock.domain.grant import Grant, check, opened, seal
from airlock.domain.people import Actor, current, holders
from airlock.domain.promoting import LEASE
from airlock.domain.release import Release, State, Story
from airlock.domain.voting import check_reason
from airlock.ports import Keyring, Line, Registry, Signer, Store, UnitOfWork
from airlock.services import telling
from airlock.services.deciding import announce, record_refusal
from airlock.services.once import Once
from airlock.services.planning import checked_plan, plan_of, rulebook_of

PERMISSION = "release:promote"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A grant that was given: its id and number, and what it goes back to."""

    id: str
    release: str
    version: str
    sequence: int


def allow(
    store: Store,
    signer: Signer,
    release_id: str,
    actor: Actor,
    reason: str,
    target: str = "",
    key: str = "",
) -> Allowed:
    """Give a grant to go back from *release_id* to *target*, or to the newest one that stands.

    The same *key* gives one grant.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    once = Once.of("rollback", actor, key, release=release_id, reason=reason, target=target)
    with store.begin() as unit:
        leaving = unit.lock(release_id)
        known = once.answered(unit)
        if known is not None:
            return Allowed(**json.loads(known))
        try:
            grant, envelope = _allowed(unit, signer, leaving, actor, reason, target)
        except AirlockError as refusal:
            record_refusal(unit, leaving, actor, refusal, "RollbackRefused")
            raise
        unit.put_grant(grant, envelope)
        announce(unit, leaving.id, grant.id, "rollback")
        unit.record(
            rules.allowed(leaving, grant, actor, reason, digest_json(envelope), grant.issued_at)
        )
        allowed = Allowed(grant.id, grant.release, grant.version, grant.sequence)
        once.keep(unit, json.dumps(asdict(allowed)))
        unit.commit()
        return allowed


def _allowed(
    unit: UnitOfWork, signer: Signer, leaving: Release, actor: Actor, reason: str, target: str
) -> tuple[Grant, str]:
    now = current(actor, unit.people())
    if not rulebook_of(unit, leaving).allows(now, PERMISSION):
        raise Forbidden(f"{actor.id} has no role with {PERMISSION}, which a rollback needs")
    check_reason(reason)
    subject = leaving.subject
    line = unit.line(subject.model, subject.environment)
    rules.check_leaving(leaving, line.release)
    known = unit.grant_of(leaving.id, "rollback")
    if known is not None and known.spent_at is not None:
        raise Conflict(f"release {leaving.id} is being rolled back already")
    chosen = _standing(unit, leaving, target)
    grant = rules.make_rollback(
        leaving,
        chosen,
        plan_of(unit, chosen),
        f"grant-{secrets.token_hex(8)}",
        line.epoch + 1,
        unit.now(),
    )
    return grant, seal(grant, signer.key_id, signer.sign)


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
    for one in older:
        try:
            plan = checked_plan(unit, one)
            able = holders(unit.people())
            rules.check_target(one, leaving, plan, able, stamp(unit.now()))
        except AirlockError as refusal:
            why.append(refusal.message)
            continue
        return one
    raise Refused(
        f"there is no version of {subject.model} to go back to whose approval still stands"
        + (f": {'; '.join(why)}" if why else ""),
        next_step="Release another version, or break the glass if it is an emergency.",
    )


def _sequence(unit: UnitOfWork, release: Release) -> str:
    stored = unit.grant_of(release.id)
    return stamp(stored.spent_at) if stored and stored.spent_at else ""


def rollback(
    store: Store,
    keyring: Keyring,
    registry: Registry,
    release_id: str,
    attempt: str,
    actor: Actor,
) -> tuple[Grant, bool]:
    """Do a rollback that was allowed; return its grant, and whether this attempt had done it.

    Raises:
        Refused: with the rule that said no; the attempt is in the log.
        Unreachable: if the registry did not answer; nothing is lost, try again.
    """
    with store.begin() as unit:
        grant, envelope = _grant(unit, keyring, unit.get(release_id))
    found = {
        "artifact_digest": registry.artifact_digest(grant.model, grant.version),
        "location": registry.location(grant.model, grant.version),
    }
    with store.begin() as unit:
        leaving = unit.lock(release_id)
        if leaving.state is State.ROLLED_BACK:
            return _replayed(unit, leaving, grant, attempt), True
        try:
            _check(unit, leaving, grant, found)
            unit.spend(grant.id, attempt, LEASE)
        except AirlockError as refusal:
            _refused(unit, leaving, actor, attempt, refusal)
            raise
        at = stamp(unit.now())
        unit.record(rules.told("RollbackStarted", leaving, grant, actor, attempt, at))
        unit.commit()
    registry.set_alias(grant.model, grant.alias, grant.version, envelope)
    if registry.alias(grant.model, grant.alias) != grant.version:
        raise Conflict(f"alias {grant.alias} of {grant.model} was moved by somebody else")
    return grant, _finish(store, grant, attempt, actor)


def _grant(unit: UnitOfWork, keyring: Keyring, leaving: Release) -> tuple[Grant, str]:
    stored = unit.grant_of(leaving.id, "rollback")
    if stored is None:
        raise Refused(
            f"nobody has allowed release {leaving.id} to be rolled back",
            next_step="An operator asks for it: `airlock release rollback`.",
        )
    return opened(stored.envelope, keyring), stored.envelope


def _check(unit: UnitOfWork, leaving: Release, grant: Grant, found: dict[str, str]) -> None:
    subject = leaving.subject
    line = unit.line(subject.model, subject.environment, lock=True)
    rules.check_leaving(leaving, line.release)
    target = unit.get(grant.release)
    plan = checked_plan(unit, target)
    rules.check_target(target, leaving, plan, holders(unit.people()), stamp(unit.now()))
    if found["artifact_digest"] != target.subject.artifact_digest:
        raise Refused(
            f"the files of {grant.model} version {grant.version} are "
            f"{short(found['artifact_digest'])} now, not what was approved"
        )
    expected = {
        **found,
        "rolls_back": leaving.id,
        "subject_digest": target.subject.digest,
        "version": target.subject.version,
        "alias": plan.environment.alias,
        "environment": subject.environment,
        "expected_current": line.version,
        "sequence": line.epoch + 1,
    }
    check(grant, expected, unit.now())


def _finish(store: Store, grant: Grant, attempt: str, actor: Actor) -> bool:
    with store.begin() as unit:
        leaving = unit.lock(grant.rolls_back)
        if leaving.state is not State.PROMOTED:
            return True
        unit.line(grant.model, grant.environment, lock=True)
        place = (grant.model, grant.environment, grant.sequence, grant.version, grant.release)
        unit.put_line(Line(*place))
        at = stamp(unit.now())
        unit.record(rules.told("ReleaseRolledBack", leaving, grant, actor, attempt, at))
        unit.post_all(telling.noted(leaving.id, "ROLLED_BACK"))
        unit.commit()
        return False


def _replayed(unit: UnitOfWork, leaving: Release, grant: Grant, attempt: str) -> Grant:
    stored = unit.grant_of(leaving.id, "rollback")
    if stored is None or stored.spent_by != attempt:
        raise Conflict(f"release {leaving.id} is rolled back already: a grant is spent once")
    return grant


def _refused(
    unit: UnitOfWork, leaving: Release, actor: Actor, attempt: str, refusal: AirlockError
) -> None:
    story = Story(leaving, actor, stamp(unit.now()), leaving.subject.policy_digest)
    data = {"rule": type(refusal).__name__, "attempt": attempt}
    story.tell("RollbackRefused", data, why=refusal.message)
    unit.record(story)
    unit.commit()
