"""Looking for changes behind Airlock's back in the model registry, and saying so (the decider).

Rules:
* `look` compares every alias and every spent grant; `weigh` hashes the bytes of what serves, those
  longest not hashed first, suspicious ones before all, for as long as it is given.
* The registry is read first and Airlock's tables after it, twice, and only what both looks found
  counts: a promotion that ends in between is no finding.
* A finding is told once, with old and new value and the attempts refused before: an event in the
  stream `registry`, and a notice to the run of the release it is about. It stays open until a later
  look no longer finds it, which is an event too. Whoever looks holds the stream meanwhile.
* Where the registry's database asks for permits, each one there has to be that of a grant given
  here: a permit moves an alias without any signature.
* Not being able to look is never "fine": `Unreachable` each time, a finding from the third on.
* It changes no release. Setting an alias back is asked of the guard, if the operator wants it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json
from airlock.domain.drift import (
    Drift,
    Kind,
    Permit,
    Served,
    Spent,
    answer,
    blind,
    compare,
    compare_permits,
    compare_spent,
    unhashed,
)
from airlock.domain.drift import weigh as weighed
from airlock.domain.errors import AirlockError, NotFound, Refused, Unreachable
from airlock.domain.grant import read_own
from airlock.domain.proposals import Kind as Proposed
from airlock.ports import Permits, Proposals, Store, StoredGrant, UnitOfWork, Watch
from airlock.services import drift_log
from airlock.services.replays.grants import ISSUED

#: So many rounds in a row without an answer raise the alarm.
PATIENCE = 3
#: What a comparison of aliases and grants can find.
_HASHED = (Kind.BYTES, Kind.UNHASHED)
_LOOKED_AT = frozenset(Kind) - frozenset(_HASHED)
_MAY_BE_SET_BACK = (Kind.MOVED, Kind.GONE)


@dataclass(frozen=True, slots=True)
class Round:
    """What a round compared and what it found; `new` of that was told now."""

    lines: int = 0
    unprotected: int = 0
    aliases: int = 0
    grants: int = 0
    hashed: int = 0
    found: tuple[Drift, ...] = ()
    new: tuple[Drift, ...] = ()
    mended: int = 0
    set_back: int = 0


@dataclass
class Detector:
    """Compares one registry with one Airlock. *revert*: have moved aliases set back.

    *permits*: the registry's database, where that asks for permits.
    """

    store: Store
    watch: Watch
    revert: bool = False
    permits: Permits | None = None
    clock: Callable[[], float] = time.monotonic
    missed: int = 0
    _hashed: dict[tuple[str, str], float] = field(default_factory=dict)
    _failed: dict[tuple[str, str], int] = field(default_factory=dict)
    _rushed: set[str] = field(default_factory=set)

    def look(self) -> Round:
        """Compare aliases, locations and spent grants.

        Raises:
            Unreachable: if they could not be compared; from the third time on that is a finding.
        """
        try:
            first, confirmed = self._compare(), frozenset[str]()
            if first.found:
                again = self._compare()
                confirmed = frozenset(one.id for one in again.found)
            drifts = tuple(one for one in first.found if one.id in confirmed)
            attempts = self._attempts(drifts)
        except AirlockError as error:
            self._miss(error)
            raise Unreachable(error.message, next_step=error.next_step) from error
        self.missed = 0
        new, mended = drift_log.tell(
            self.store, drifts, lambda one: one["kind"] in _LOOKED_AT, attempts
        )
        done = sum(self._set_back(one) for one in drifts) if self.revert else 0
        return replace(first, found=drifts, new=new, mended=mended, set_back=done)

    def weigh(self, seconds: float | None = None) -> Round:
        """Hash what serves, at least one version and for at most about *seconds*.

        Raises:
            Unreachable: if the files of a version could not be hashed, after the others were.
        """
        with self.store.begin() as unit:
            lines = served(unit)
            suspects = {one["model"] for one in drift_log.opened(unit).values()}
        begun, drifts, done, failed = self.clock(), list[Drift](), set[str](), list[AirlockError]()
        for line in self._in_turn(lines, suspects):
            if done and seconds is not None and self.clock() - begun >= seconds:
                break
            self._rushed |= {line.model} & suspects
            try:
                found = self._hash(line)
            except AirlockError as error:
                failed.append(error)
                found = self._unhashed(line, error)
            else:
                done.add(line.release)
            drifts += [found] if found else []
        serving = {line.release for line in lines}
        new, mended = drift_log.tell(
            self.store, drifts, lambda one: _is_over(one, done, serving), self._attempts(drifts)
        )
        if failed:
            raise Unreachable(failed[0].message, next_step=failed[0].next_step)
        return Round(len(lines), hashed=len(done), found=tuple(drifts), new=new, mended=mended)

    def _in_turn(self, lines: Iterable[Served], suspects: set[str]) -> list[Served]:
        """Return what became suspicious since it was hashed, then who has waited longest."""
        self._rushed &= suspects
        return sorted(
            lines,
            key=lambda one: (
                one.model not in suspects - self._rushed,
                self._hashed.get((one.model, one.version), float("-inf")),
            ),
        )

    def _hash(self, line: Served) -> Drift | None:
        key = (line.model, line.version)
        self._hashed[key] = self.clock()
        found = weighed(line, self.watch.digest(*key))
        self._failed.pop(key, None)
        return found

    def _unhashed(self, line: Served, error: AirlockError) -> Drift | None:
        """Return a finding if files cannot be hashed again and again, though MLflow answers."""
        key = (line.model, line.version)
        self._failed[key] = self._failed.get(key, 0) + 1
        again = self._failed[key] >= PATIENCE and not self.missed
        return unhashed(line, error.message) if again else None

    def _compare(self) -> Round:
        seen = self.watch.sightings()
        protected, there = self.watch.ledger()
        permits = self.permits.all() if self.permits else ()
        with self.store.begin() as unit:
            given = _given(unit, permits)
            lines = served(unit)
            names = {one.grant for one in there} | {one.grant for one in seen if one.grant}
            ours = _ours(unit, names)
        found = compare(lines, seen, protected, ours) + compare_spent(there, ours)
        found += compare_permits(permits, given)
        wrong = {(one.model, one.alias) for one in found}
        right = {(one.model, one.alias, one.version) for one in seen}
        guarded = [line for line in lines if line.alias in protected]
        for line in guarded:
            key = (line.model, line.alias)
            if key not in wrong and (*key, line.version) in right:  # or it is just being moved
                differs = answer(line, self.watch.resolve_alias(line.model, line.alias))
                found += [differs] if differs else []
        return Round(
            len(lines), len(lines) - len(guarded), len(seen), len(there), found=tuple(found)
        )

    def _attempts(self, drifts: Iterable[Drift]) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """Return what was refused before about the models of findings not told yet."""
        with self.store.begin() as unit:
            known = drift_log.opened(unit)
        found = {}
        for model in {one.model for one in drifts if one.model and one.id not in known}:
            try:
                found[model] = self.watch.attempts(model)
            except AirlockError:
                continue  # a hint is missing, no reason to keep quiet
        return found

    def _miss(self, error: AirlockError) -> None:
        self.missed += 1
        if self.missed >= PATIENCE:
            drift_log.tell(self.store, [blind(error.message)], lambda _: False, {})

    def _set_back(self, drift: Drift) -> int:
        if drift.kind not in _MAY_BE_SET_BACK or drift.old is None:
            return 0
        try:
            self.watch.set_back(drift.model, drift.alias, drift.old)
        except Refused as refusal:
            drift_log.tell_set_back(self.store, drift, refusal.message)
        except AirlockError:
            return 0  # tried again in the next round
        else:
            drift_log.tell_set_back(self.store, drift)
            return 1
        return 0


def served(unit: UnitOfWork) -> tuple[Served, ...]:
    """Return what Airlock released into every line.

    Raises:
        NotFound: if the grant a line was moved by is gone.
    """
    found = []
    for line in unit.lines():
        release = unit.get(str(line.release))
        stored = unit.grant_of(release.id)
        if stored is None:
            raise NotFound(f"release {release.id} serves, but its grant is gone")
        grant = read_own(stored.envelope)
        found.append(
            Served(
                model=line.model,
                alias=grant.alias,
                environment=line.environment,
                version=str(line.version),
                release=release.id,
                location=grant.location,
                digest=grant.artifact_digest,
                sequence=line.epoch,
            )
        )
    return tuple(found)


def ask(
    store: Store, proposals: Proposals, origin: str, seconds: float = 30.0, pause: float = 0.5
) -> None:
    """Ask the deciding process whether it looks, as somebody who may not; wait for the answer.

    Raises:
        Unreachable: if nobody has answered in time, or nobody could look.
        Refused: naming what is open.
    """
    asked = proposals.submit(Proposed.DETECT, origin, {})
    key = str(asked["key"])
    until = time.monotonic() + seconds
    while True:
        with store.begin() as unit:
            if unit.delivered([key]):
                break
        if time.monotonic() >= until:
            raise Unreachable(
                f"nobody has said in {seconds:g} seconds that the model registry was compared",
                next_step="See `airlock status` whether the delivery process and MLflow run.",
            )
        time.sleep(pause)
    found = proposals.submit(Proposed.DETECT, origin, {"key": key})["open"]
    if found:
        told = "; ".join(map(str, found))
        raise Refused(
            f"{len(found)} in the model registry are not as released: {told}",
            next_step="`airlock detect list` shows them; find out who did it.",
        )


def _ours(unit: UnitOfWork, names: Iterable[str]) -> dict[str, Spent]:
    """Return which of these grants are Airlock's: being spent, spent, or spent and not finished."""
    known, now = unit.grants_named(set(names)), stamp(unit.now())
    leased = {one.lease.grant: one.lease.until for one in unit.leased() if one.lease}
    found = {}
    for name, stored in known.items():
        if stored.revoked_at is None:
            found[name] = Spent.JUST_NOW if leased.get(name, "") > now else Spent.BEFORE
    return found


def _given(unit: UnitOfWork, permits: Iterable[Permit]) -> dict[str, Permit]:
    """Return the permits as the grants say they have to be, for those the log tells of.

    A permit that can move nothing any more needs its grant alone: `audit verify` compares that with
    the log.
    """
    there = {one.grant: one for one in permits}
    found = {}
    for name, stored in unit.grants_named(set(there)).items():
        grant = read_own(stored.envelope)
        if there[name].ended or _is_told(unit, grant.rolls_back or grant.release, stored):
            found[name] = Permit(
                grant=name,
                model=grant.model,
                alias=grant.alias,
                version=grant.version,
                sequence=grant.sequence,
            )
    return found


def _is_told(unit: UnitOfWork, release_id: str, stored: StoredGrant) -> bool:
    """Say whether the log of a release tells that this very grant was given."""
    digest = digest_json(stored.envelope)
    told = (entry.content for entry in unit.entries(release_id))
    return any(
        one["what"] in ISSUED and one["data"].get("envelopeDigest") == digest for one in told
    )


def _is_over(finding: Mapping[str, Any], done: set[str], serving: set[str]) -> bool:
    """Say whether a finding about bytes may have ended: hashed again, or it serves no more."""
    release = finding["release"]
    return finding["kind"] in _HASHED and (release in done or release not in serving)
