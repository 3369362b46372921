"""Spending a grant and moving the alias (the worker does this).

1. Download the artifact and compute its digest, outside any transaction.
2. Lock; check state, votes, signature, digest, location, current target; spend; `PromotionStarted`.
3. Move the alias in the registry and read it back.
4. Lock again; write the line and `ReleasePromoted`.

Killed anywhere and tried again, it ends in exactly one promotion: a spent grant may be resumed by
the attempt that spent it (by another after `LEASE`), the alias write is idempotent, and only one
transaction finds the release still APPROVED. At least once, fenced by the line's epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from airlock.domain.clock import stamp
from airlock.domain.conditions import EVERYBODY, Reach, enforce
from airlock.domain.digest import short
from airlock.domain.emergency import check_emergency
from airlock.domain.errors import AirlockError, Conflict, Refused
from airlock.domain.grant import Grant, check, opened
from airlock.domain.people import Actor, holders
from airlock.domain.promoting import LEASE, approvals, check_promotable, finish, start
from airlock.domain.release import Release, State, Story
from airlock.ports import Keyring, Line, Registry, Store, StoredGrant, UnitOfWork
from airlock.services import rolling_back, telling
from airlock.services.planning import checked_plan, rulebook_of


class Changed(Refused):
    """The files are not those that were approved."""

    def __init__(self, message: str, found: str, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.found = found


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did. `replayed` says that this attempt had already done it."""

    release_id: str
    model: str
    alias: str
    before: str | None
    after: str
    grant_id: str
    sequence: int
    replayed: bool = False


def promote(
    store: Store,
    keyring: Keyring,
    registry: Registry,
    release_id: str,
    attempt: str,
    actor: Actor,
    reach: Reach = EVERYBODY,
) -> Promotion:
    """Promote an approved release; the same *attempt* may be repeated.

    Where a rollback of a promoted release was allowed, that is what is done.
    *reach*: the share of the traffic and the segments that will be served; an approval with a
    condition allows no more than it says.

    Raises:
        Refused: with the rule that said no; the attempt is in the log.
        Unreachable: if the registry did not answer; nothing is lost, try again.
    """
    with store.begin() as unit:
        release = unit.get(release_id)
        going_back = unit.grant_of(release_id, "rollback") is not None
    if going_back:
        return rollback(store, keyring, registry, release_id, attempt, actor)
    subject = release.subject
    location, digest = "", ""
    if release.state is State.APPROVED:
        location = registry.location(subject.model, subject.version)
        digest = registry.artifact_digest(subject.model, subject.version)
    spent = _spend(store, keyring, release_id, attempt, actor, (location, digest), reach)
    if isinstance(spent, Promotion):
        return spent
    grant, envelope = spent
    registry.set_alias(grant.model, grant.alias, grant.version, envelope)
    return _finish(store, registry, grant, attempt, actor)


def rollback(
    store: Store,
    keyring: Keyring,
    registry: Registry,
    release_id: str,
    attempt: str,
    actor: Actor,
) -> Promotion:
    """Go back from a release to the older version its rollback grant names.

    Raises:
        Refused: with the rule that said no; the attempt is in the log.
        Unreachable: if the registry did not answer; nothing is lost, try again.
    """
    grant, replayed = rolling_back.rollback(store, keyring, registry, release_id, attempt, actor)
    return _promotion(grant, replayed=replayed)


def _spend(
    store: Store,
    keyring: Keyring,
    release_id: str,
    attempt: str,
    actor: Actor,
    found: tuple[str, str],
    reach: Reach,
) -> tuple[Grant, str] | Promotion:
    with store.begin() as unit:
        release = unit.lock(release_id)
        try:
            if release.state is State.PROMOTED:
                return _already_promoted(unit, keyring, release, attempt)
            grant, stored = _valid_grant(unit, keyring, release, found, reach)
            resumed = stored.spent_by == attempt
            unit.spend(grant.id, attempt, LEASE)
        except AirlockError as refusal:
            _record_refusal(unit, release, actor, attempt, refusal)
            raise
        if not resumed:
            unit.record(start(release, grant, actor, attempt, stamp(unit.now())))
        unit.commit()
        return grant, stored.envelope


def _valid_grant(
    unit: UnitOfWork, keyring: Keyring, release: Release, found: tuple[str, str], reach: Reach
) -> tuple[Grant, StoredGrant]:
    plan = checked_plan(unit, release)
    able, now = holders(unit.people()), stamp(unit.now())
    check_promotable(release, plan, able)
    check_emergency(release, rulebook_of(unit, release).break_glass, able, now)
    enforce(approvals(release), reach, now)
    stored = unit.grant_of(release.id)
    if stored is None:
        raise Refused(f"release {release.id} is APPROVED but has no grant")
    grant = opened(stored.envelope, keyring)
    subject = release.subject
    location, digest = found
    if digest != subject.artifact_digest:
        raise Changed(
            f"the files of {subject.model} version {subject.version} are {short(digest)} now, but "
            f"{short(subject.artifact_digest)} was approved: somebody changed them",
            digest,
            next_step="Find out who changed the artifact, then run the pipeline again.",
        )
    line = unit.line(subject.model, subject.environment, lock=True)
    expected = {
        "release": release.id,
        "model": subject.model,
        "version": subject.version,
        "alias": plan.environment.alias,
        "environment": subject.environment,
        "artifact_digest": digest,
        "location": location,
        "subject_digest": subject.digest,
        "expected_current": line.version,
        "sequence": line.epoch + 1,
        "round": release.round,
        "rolls_back": "",
    }
    check(grant, expected, unit.now())
    return grant, stored


def _finish(
    store: Store, registry: Registry, grant: Grant, attempt: str, actor: Actor
) -> Promotion:
    now_at = registry.alias(grant.model, grant.alias)
    if now_at != grant.version:
        raise Conflict(
            f"alias {grant.alias} of {grant.model} was set to {grant.version} but reads back as "
            f"{now_at}: somebody else moved it",
            next_step="Try again; if it repeats, find out who else writes this alias.",
        )
    with store.begin() as unit:
        release = unit.lock(grant.release)
        if release.state is State.APPROVED:
            unit.line(grant.model, grant.environment, lock=True)
            line = Line(
                grant.model, grant.environment, grant.sequence, grant.version, grant.release
            )
            unit.put_line(line)
            unit.record(finish(release, grant, actor, attempt, stamp(unit.now())))
            unit.post_all(telling.noted(release.id, "PROMOTED"))
            unit.commit()
    return _promotion(grant, replayed=release.state is State.PROMOTED)


def _already_promoted(
    unit: UnitOfWork, keyring: Keyring, release: Release, attempt: str
) -> Promotion:
    stored = unit.grant_of(release.id)
    if stored is None or stored.spent_by != attempt:
        raise Conflict(
            f"release {release.id} is already promoted: a grant is spent once",
            next_step="Nothing is left to do; to serve another version open another release.",
        )
    return _promotion(opened(stored.envelope, keyring), replayed=True)


def _promotion(grant: Grant, *, replayed: bool) -> Promotion:
    return Promotion(
        grant.release,
        grant.model,
        grant.alias,
        grant.expected_current,
        grant.version,
        grant.id,
        grant.sequence,
        replayed,
    )


def _record_refusal(
    unit: UnitOfWork, release: Release, actor: Actor, attempt: str, refusal: AirlockError
) -> None:
    story = Story(release, actor, stamp(unit.now()), release.subject.policy_digest)
    data = {"rule": type(refusal).__name__, "attempt": attempt}
    story.tell("PromotionRefused", data, why=refusal.message)
    unit.record(story)
    if isinstance(refusal, Changed) and refusal.found:  # voiding is the decider's
        payload = {"release": release.id, "artifact": refusal.found, "why": refusal.message}
        unit.post("void", f"{release.id}/void/{release.round}-{refusal.found}", payload)
    unit.commit()
