"""Promoting and rolling back: the task's side, and the decider's.

    task                      decider                                  guard of the registry
    promotions.begin ------>  lock; check everything again; take the
                              release with a lease; grant; commit
                              permit ------------------------------->  (where its database asks)
                 <----------  envelope
    set the alias with the envelope --------------------------------->  spends it, moves the alias
    promotions.finish ----->  look: spent? alias there? ------------->  ledger, alias
                              line, PROMOTED; commit

Killed anywhere and tried again, it ends in exactly one promotion. The same attempt gets the same
grant while that lives. An attempt that ended, or whose time is over, is settled by asking the guard
to revoke its grant: either that answers that the grant was spent, and the promotion is finished, or
it can never be spent any more, and the release is as it was before. Without the guard's answer
nothing goes on. At least once, fenced by the line's epoch.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airlock.domain.approval.advice import run_anew
from airlock.domain.approval.approval_conditions import EVERYBODY, Reach, enforce
from airlock.domain.approval.break_glass import check_emergency
from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Lease, Release, State, Story
from airlock.domain.approval.timers import Late
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json, short
from airlock.domain.errors import AirlockError, Conflict, Invalid, Refused, Unreachable
from airlock.domain.people.actors import holders
from airlock.domain.promotion.grant import Grant, Standing, opened, read_own, seal
from airlock.domain.promotion.promotion import (
    PROMOTION,
    ROLLBACK,
    Move,
    approvals,
    check_approved,
    check_idle,
    check_promotable,
    check_unexpired,
    decider,
    end,
    ends_at,
    finish,
    grant_for,
    move_of,
    start,
)
from airlock.ports import (
    Keyring,
    Line,
    Permits,
    Promotion,
    PromotionPermit,
    PromotionRequest,
    Promotions,
    Registry,
    Signer,
    Store,
    UnitOfWork,
    Watch,
)
from airlock.services import outbox_messages
from airlock.services.approvals.deadlines import approved_at
from airlock.services.approvals.requirements import (
    check_not_rejected,
    checked_plan,
    plan_of,
    rulebook_of,
)
from airlock.services.promotion import rollback

_LONGEST_ATTEMPT = 600


def promote(
    promotions: Promotions,
    registry: Registry,
    release_id: str,
    attempt: str,
    reach: Reach = EVERYBODY,
) -> Promotion:
    """Promote an approved release, or go back from one, as a task; *attempt* may be repeated.

    *reach*: the share of the traffic and the segments that will be served; an approval with a
    condition allows no more than it says.

    Raises:
        Refused: with the rule that said no; the attempt is in the log.
        Unreachable: if decider or registry did not answer; nothing is lost, try again.
    """
    begun = promotions.begin(PromotionRequest(release=release_id, attempt=attempt, reach=reach))
    if isinstance(begun, Promotion):
        return begun
    refusal: Refused | None = None
    try:
        registry.set_alias(begun.model, begun.alias, begun.version, begun.envelope)
    except Refused as error:
        refusal = error  # perhaps the answer to a move that was made: the decider looks
    try:
        return promotions.finish(release_id, attempt)
    except Refused as ended:
        if refusal is None:
            raise
        raise refusal from ended


@dataclass(frozen=True, slots=True)
class Checked:
    """What an attempt may do: the release to serve, its plan, and until when at the latest."""

    release: Release
    plan: Plan
    limits: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Promoter:
    """The decider, as tasks ask it (`airlock.ports.Promotions`).

    *watch*: the registry and its guard; *permits*: its database, where that asks for permits.
    """

    store: Store
    signer: Signer
    keyring: Keyring
    watch: Watch
    permits: Permits | None = None

    def begin(self, request: PromotionRequest) -> PromotionPermit | Promotion:
        """Take the release for an attempt; see `airlock.ports.Promotions`."""
        if not 0 < len(request.attempt) <= _LONGEST_ATTEMPT:
            raise Invalid(f"an attempt has a name of 1 to {_LONGEST_ATTEMPT} characters")
        begun = self._begin(request)
        if begun is None:  # an earlier attempt was not settled
            self.settle(request.release)
            begun = self._begin(request)
        if begun is None:
            raise Unreachable(f"release {request.release} was taken by somebody else just now")
        if isinstance(begun, Promotion):
            return begun
        grant, envelope = begun
        if self.permits is not None:
            self.permits.write(grant)
        return PromotionPermit(
            release=request.release,
            attempt=request.attempt,
            grant=grant.id,
            envelope=envelope,
            model=grant.model,
            alias=grant.alias,
            version=grant.version,
            until=stamp(grant.expires_at),
        )

    def finish(self, release_id: str, attempt: str) -> Promotion:
        """Record what an attempt has done; see `airlock.ports.Promotions`."""
        with self.store.begin() as unit:
            release = unit.get(release_id)
            lease = release.lease
            if lease is None or lease.attempt != attempt:
                return _completed_promotion(unit, self.keyring, release, attempt)
        return self._settle(release, lease, "the attempt ended, and the alias had not moved")

    def settle(self, release_id: str) -> Promotion | None:
        """Settle an attempt whose time is over; None if there was none, or it moved nothing.

        Raises:
            Unreachable: if the guard did not say whether its grant was spent; nothing has changed.
            Conflict: if its grant was spent, but the alias points at something else.
        """
        with self.store.begin() as unit:
            release, now = unit.get(release_id), stamp(unit.now())
            lease = release.lease or _left_over(unit, release)
        if lease is None or now < lease.until:
            return None
        try:
            return self._settle(release, lease, f"its time was over at {lease.until}")
        except Ended:
            return None

    def settle_all(self) -> int:
        """Settle every attempt whose time is over; return how many there were.

        Raises:
            Unreachable, Conflict: of the last one that could not be settled, after all others.
        """
        with self.store.begin() as unit:
            now = stamp(unit.now())
            over = [
                release.id
                for release in unit.leased()
                if release.lease and release.lease.until <= now
            ]
        failed: AirlockError | None = None
        for release_id in over:
            try:
                self.settle(release_id)
            except AirlockError as error:
                failed = error
        if failed is not None:
            raise failed
        return len(over)

    # -- beginning ---------------------------------------------------------------------------

    def _begin(self, request: PromotionRequest) -> tuple[Grant, str] | Promotion | None:
        """Return a grant and its envelope, what was done before, or None if it is to be settled."""
        with self.store.begin() as unit:
            release = unit.lock(request.release)
            move, now = move_of(release), stamp(unit.now())
            lease = release.lease or _left_over(unit, release)
            if lease is not None and lease.until <= now:
                return None
            try:
                if lease is not None and lease.attempt == request.attempt:
                    return _stored_grant(unit, self.keyring, move, release.id, lease.grant)
                check_idle(release, now)
                if release.state is move.state:
                    return _completed_promotion(unit, self.keyring, release, request.attempt)
                return self._grant(unit, release, request)
            except AirlockError as refusal:
                _record_refusal(unit, release, request.attempt, refusal)
                raise

    def _grant(
        self, unit: UnitOfWork, release: Release, request: PromotionRequest
    ) -> tuple[Grant, str]:
        """Check everything again, and take the release."""
        subject = release.subject
        line = unit.line(subject.model, subject.environment, lock=True)
        checked = _CHECKS[move_of(release).purpose](unit, release, request.reach, line)
        _check_line(unit, release, line)
        now = unit.now()
        grant = grant_for(
            checked.release,
            checked.plan,
            grant_id=f"grant-{secrets.token_hex(8)}",
            expected_current=line.version,
            sequence=line.epoch + 1,
            issued_at=now,
            expires_at=ends_at(now, checked.limits),
            rolls_back="" if checked.release.id == release.id else release.id,
        )
        envelope = seal(grant, self.signer.key_id, self.signer.sign)
        unit.put_grant(grant, envelope)
        signed = (self.signer.key_id, digest_json(envelope))
        unit.record(start(release, grant, request.attempt, signed, stamp(now)))
        unit.commit()
        return grant, envelope

    # -- settling ----------------------------------------------------------------------------

    def _settle(self, release: Release, lease: Lease, why: str) -> Promotion:
        """Finish an attempt if its grant was spent; else revoke the grant and end the attempt.

        Raises:
            Ended: if the attempt moved nothing.
        """
        with self.store.begin() as unit:
            move = move_of(release)
            grant, envelope = _stored_grant(unit, self.keyring, move, release.id, lease.grant)
        if self._spent(grant, envelope):
            there = self.watch.resolve_alias(grant.model, grant.alias)
            if there != grant.version:
                raise Conflict(
                    f"alias {grant.alias} of {grant.model} was set to {grant.version} but reads "
                    f"back as {there or 'nothing'}: somebody else moved it",
                    next_step="Find out who else writes this alias, and set it back; then the "
                    "promotion is finished by itself.",
                )
            return self._finish(release.id, lease, grant)
        changed_digest = "" if grant.rolls_back else self._changed(grant)
        self._end(release.id, lease, grant, why, changed_digest)
        raise Ended(
            f"{lease.attempt} did not move {grant.alias} of {grant.model} to version "
            f"{grant.version}: {why}",
            next_step="Its grant is revoked. Try again: a new attempt gets a new one.",
        )

    def _spent(self, grant: Grant, envelope: str) -> bool:
        """Say whether a grant was spent; if it was not, it never will be.

        The permit goes first: from then on the registry's database itself moves nothing by it.
        """
        if self.watch.standing(grant.id) is Standing.SPENT:
            return True
        if self.permits is not None and self.permits.revoke(grant) is Standing.SPENT:
            return True
        return self.watch.revoke(grant.id, envelope) is Standing.SPENT

    def _changed(self, grant: Grant) -> str:
        """Return the digest of the files if they are not those that were approved."""
        try:
            digest = self.watch.digest(grant.model, grant.version)
        except AirlockError:
            return ""  # a hint is missing; the guard refuses changed files by itself
        return digest if digest is not None and digest != grant.artifact_digest else ""

    def _finish(self, release_id: str, lease: Lease, grant: Grant) -> Promotion:
        with self.store.begin() as unit:
            release = unit.lock(release_id)
            move = move_of(release)
            if _lease_of(unit, release) == lease:
                subject = release.subject
                unit.line(subject.model, subject.environment, lock=True)
                place = (grant.model, grant.environment, grant.sequence, grant.version)
                unit.put_line(Line(*place, grant.release))
                at = _spend(unit, grant.id, lease.attempt)
                moved = unit.record(finish(release, grant, lease.attempt, at, stamp(unit.now())))
                unit.post_all(outbox_messages.noted(release.id, move.state.value))
                unit.cancel_timers(moved)
                unit.commit()
                return _promotion(grant, replayed=False)
            return _completed_promotion(unit, self.keyring, release, lease.attempt)

    def _end(
        self, release_id: str, lease: Lease, grant: Grant, why: str, changed_digest: str
    ) -> None:
        with self.store.begin() as unit:
            release = unit.lock(release_id)
            if _lease_of(unit, release) != lease:
                return
            at = unit.revoke(grant.id)
            if release.lease is not None:
                unit.record(end(release, grant, lease.attempt, why, at, stamp(unit.now())))
            if changed_digest:
                reason = (
                    f"the files of {grant.model} version {grant.version} are "
                    f"{short(changed_digest)} now, "
                    f"but {short(grant.artifact_digest)} was approved: somebody changed them"
                )
                payload = {"release": release.id, "artifact": changed_digest, "why": reason}
                unit.post("void", f"{release.id}/void/{release.round}-{changed_digest}", payload)
            unit.commit()


class Ended(Refused):
    """An attempt is over and has moved nothing."""


def _promotable(unit: UnitOfWork, release: Release, reach: Reach, line: Line) -> Checked:
    """Check what a promotion needs: approval, votes of today, gates, emergency, conditions."""
    if not release.state.is_open:  # its votes and gates are of no use any more
        check_approved(release, plan_of(unit, release))
    plan = checked_plan(unit, release)
    able, now = holders(unit.people()), stamp(unit.now())
    check_promotable(release, plan, able)
    check_emergency(release, rulebook_of(unit, release).break_glass, able, now)
    if release.emergency is None:
        check_unexpired(release, plan, approved_at(unit, release), now)
    enforce(approvals(release), reach, now, run_anew(release))
    check_not_rejected(unit, release)
    until = release.emergency.until if release.emergency else None
    return Checked(release, plan, (until, *_ends(release)))


def _leavable(unit: UnitOfWork, release: Release, _reach: Reach, line: Line) -> Checked:
    """Check what a rollback needs: a permission, and a target whose approval stands."""
    target, plan, until = rollback.check(unit, release, line)
    return Checked(target, plan, (until, *_ends(target)))


#: What is checked before a grant is made, by its purpose.
_CHECKS: Mapping[str, Callable[[UnitOfWork, Release, Reach, Line], Checked]] = {
    PROMOTION.purpose: _promotable,
    ROLLBACK.purpose: _leavable,
}


def _ends(release: Release) -> tuple[str | None, ...]:
    return tuple(conditions.expires_at for _, conditions in approvals(release))


def _check_line(unit: UnitOfWork, release: Release, line: Line) -> None:
    """Refuse while another release of the line is moved: what serves, or the one that is open."""
    others = [unit.occupying(line.model, line.environment)]
    if line.release is not None and line.release != release.id:
        others.append(unit.get(line.release))
    for other in others:
        if other is not None and other.id != release.id:
            check_idle(other, stamp(unit.now()))


def _left_over(unit: UnitOfWork, release: Release) -> Lease | None:
    """Return the attempt that was begun before ADR 0040 and never finished, as one that is over."""
    move = move_of(release)
    if release.state not in (State.APPROVED, State.PROMOTED) or release.state is move.state:
        return None
    stored = unit.grant_of(release.id, move.purpose)
    if stored is None or stored.spent_at is None or stored.spent_by is None:
        return None
    if move is PROMOTION and read_own(stored.envelope).round != release.round:
        return None
    return Lease(attempt=stored.spent_by, grant=stored.grant_id, until=stamp(stored.spent_at))


def _lease_of(unit: UnitOfWork, release: Release) -> Lease | None:
    return release.lease or _left_over(unit, release)


def _spend(unit: UnitOfWork, grant_id: str, attempt: str) -> str:
    """Note that a grant was spent; return when that was noted."""
    stored = unit.grants_named({grant_id})[grant_id]
    if stored.spent_at is not None:  # before ADR 0040 it was noted when the attempt began
        return stamp(stored.spent_at)
    return unit.spend(grant_id, attempt)


def _stored_grant(
    unit: UnitOfWork, keyring: Keyring, move: Move, release_id: str, grant_id: str
) -> tuple[Grant, str]:
    stored = unit.grant_of(release_id, move.purpose)
    if stored is None or stored.grant_id != grant_id:
        raise Conflict(
            f"release {release_id} has the grant {grant_id}, but it is not kept",
            next_step="`airlock audit verify` says what is wrong with the tables.",
        )
    return opened(stored.envelope, keyring), stored.envelope


def _completed_promotion(
    unit: UnitOfWork, keyring: Keyring, release: Release, attempt: str
) -> Promotion:
    """Return the promotion an attempt has completed before.

    Raises:
        Conflict: if another one has done it, or nothing was done.
    """
    move = ROLLBACK if release.state is State.ROLLED_BACK else PROMOTION
    stored = unit.grant_of(release.id, move.purpose)
    if release.state is not move.state or stored is None or stored.spent_at is None:
        raise Conflict(
            f"{attempt} does not have release {release.id}, which is {release.state}",
            next_step="Try again: a new attempt gets a grant of its own.",
        )
    if stored.spent_by != attempt:
        raise Conflict(
            f"release {release.id} is already {move.doing}: a grant is spent once",
            next_step="Nothing is left to do; to serve another version open another release.",
        )
    return _promotion(opened(stored.envelope, keyring), replayed=True)


def _promotion(grant: Grant, *, replayed: bool) -> Promotion:
    return Promotion(
        release_id=grant.release,
        model=grant.model,
        alias=grant.alias,
        before=grant.expected_current,
        after=grant.version,
        grant_id=grant.id,
        sequence=grant.sequence,
        replayed=replayed,
    )


def _record_refusal(
    unit: UnitOfWork, release: Release, attempt: str, refusal: AirlockError
) -> None:
    story = Story(release, decider(), stamp(unit.now()), release.subject.policy_digest)
    data = {"rule": type(refusal).__name__, "attempt": attempt}
    story.tell(move_of(release).refused, data, why=refusal.message)
    unit.record(story)
    if release.state is State.APPROVED:
        unit.post_all(_stuck_letters(release, refusal))
    unit.commit()


def _stuck_letters(release: Release, refusal: AirlockError) -> list[outbox_messages.Letter]:
    """Return the one-time messages to the requester of an approval that cannot be promoted.

    What somebody else's attempt, a peer or the next sweep settles needs nobody.
    """
    if not isinstance(refusal, Refused) or isinstance(refusal, Conflict | Late):
        return []
    text = f"{release.id} is approved and cannot be promoted: {refusal.message}. "
    suffix, people = f"stuck-{release.round}-{type(refusal).__name__}", [release.requester]
    text = f"{text}{refusal.next_step} Told: {release.requester}."
    return outbox_messages.aloud(release.id, suffix, about="void", text=text, people=people)
