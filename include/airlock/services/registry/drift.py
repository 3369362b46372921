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
from airlock.domain.errors import AirlockError, NotFound, Refused, Unreachable
from airlock.domain.evidence.proposals import Kind as Proposed
from airlock.domain.promotion.grant import read_own
from airlock.domain.registry_drift import (
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
from airlock.domain.registry_drift import weigh as weighed
from airlock.ports import Permits, Proposals, Store, StoredGrant, UnitOfWork, Watch
from airlock.services.audit.replays.grants import ISSUED
from airlock.services.registry import drift_log

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
    drifts: tuple[Drift, ...] = ()
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
            if first.drifts:
                again = self._compare()
                confirmed = frozenset(drift.id for drift in again.drifts)
            drifts = tuple(drift for drift in first.drifts if drift.id in confirmed)
            attempts = self._attempts(drifts)
        except AirlockError as error:
            self._miss(error)
            raise Unreachable(error.message, next_step=error.next_step) from error
        self.missed = 0
        new, mended = drift_log.tell(
            self.store, drifts, lambda finding: finding["kind"] in _LOOKED_AT, attempts
        )
        reverted = sum(self._set_back(drift) for drift in drifts) if self.revert else 0
        return replace(first, drifts=drifts, new=new, mended=mended, set_back=reverted)

    def weigh(self, seconds: float | None = None) -> Round:
        """Hash what serves, at least one version and for at most about *seconds*.

        Raises:
            Unreachable: if the files of a version could not be hashed, after the others were.
        """
        with self.store.begin() as unit:
            lines = served(unit)
            suspects = {finding["model"] for finding in drift_log.opened(unit).values()}
        begun, drifts, hashed, failed = (
            self.clock(),
            list[Drift](),
            set[str](),
            list[AirlockError](),
        )
        for line in self._in_turn(lines, suspects):
            if hashed and seconds is not None and self.clock() - begun >= seconds:
                break
            self._rushed |= {line.model} & suspects
            try:
                drift = self._hash(line)
            except AirlockError as error:
                failed.append(error)
                drift = self._unhashed(line, error)
            else:
                hashed.add(line.release)
            drifts += [drift] if drift else []
        serving = {line.release for line in lines}
        new, mended = drift_log.tell(
            self.store,
            drifts,
            lambda finding: _is_over(finding, hashed, serving),
            self._attempts(drifts),
        )
        if failed:
            raise Unreachable(failed[0].message, next_step=failed[0].next_step)
        return Round(len(lines), hashed=len(hashed), drifts=tuple(drifts), new=new, mended=mended)

    def _in_turn(self, lines: Iterable[Served], suspects: set[str]) -> list[Served]:
        """Return the newly suspicious lines first, then those that have waited longest."""
        self._rushed &= suspects
        return sorted(
            lines,
            key=lambda line: (
                line.model not in suspects - self._rushed,
                self._hashed.get((line.model, line.version), float("-inf")),
            ),
        )

    def _hash(self, line: Served) -> Drift | None:
        key = (line.model, line.version)
        self._hashed[key] = self.clock()
        drift = weighed(line, self.watch.digest(*key))
        self._failed.pop(key, None)
        return drift

    def _unhashed(self, line: Served, error: AirlockError) -> Drift | None:
        """Return a finding if files cannot be hashed again and again, though MLflow answers."""
        key = (line.model, line.version)
        self._failed[key] = self._failed.get(key, 0) + 1
        again = self._failed[key] >= PATIENCE and not self.missed
        return unhashed(line, error.message) if again else None

    def _compare(self) -> Round:
        sightings = self.watch.sightings()
        protected, there = self.watch.ledger()
        permits = self.permits.all() if self.permits else ()
        with self.store.begin() as unit:
            issued = _issued_permits(unit, permits)
            lines = served(unit)
            names = {entry.grant for entry in there} | {
                sighting.grant for sighting in sightings if sighting.grant
            }
            ours = _ours(unit, names)
        drifts = compare(lines, sightings, protected, ours) + compare_spent(there, ours)
        drifts += compare_permits(permits, issued)
        wrong = {(drift.model, drift.alias) for drift in drifts}
        right = {(sighting.model, sighting.alias, sighting.version) for sighting in sightings}
        guarded = [line for line in lines if line.alias in protected]
        for line in guarded:
            key = (line.model, line.alias)
            if key not in wrong and (*key, line.version) in right:  # or it is just being moved
                differs = answer(line, self.watch.resolve_alias(line.model, line.alias))
                drifts += [differs] if differs else []
        return Round(
            len(lines), len(lines) - len(guarded), len(sightings), len(there), drifts=tuple(drifts)
        )

    def _attempts(self, drifts: Iterable[Drift]) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """Return the refused requests about the models of findings not reported yet."""
        with self.store.begin() as unit:
            reported = drift_log.opened(unit)
        attempts = {}
        for model in {drift.model for drift in drifts if drift.model and drift.id not in reported}:
            try:
                attempts[model] = self.watch.attempts(model)
            except AirlockError:
                continue  # a hint is missing, no reason to keep quiet
        return attempts

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
    """Return the release that serves in every line.

    Raises:
        NotFound: if the grant a line was moved by is gone.
    """
    serving = []
    for line in unit.lines():
        release = unit.get(str(line.release))
        stored = unit.grant_of(release.id)
        if stored is None:
            raise NotFound(f"release {release.id} serves, but its grant is gone")
        grant = read_own(stored.envelope)
        serving.append(
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
    return tuple(serving)


def ask(
    store: Store, proposals: Proposals, origin: str, seconds: float = 30.0, pause: float = 0.5
) -> None:
    """Ask the deciding process whether it looks, as somebody who may not; wait for the answer.

    Raises:
        Unreachable: if nobody has answered in time, or nobody could look.
        Refused: naming what is open.
    """
    response = proposals.submit(Proposed.DETECT, origin, {})
    key = str(response["key"])
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
    problems = proposals.submit(Proposed.DETECT, origin, {"key": key})["open"]
    if problems:
        details = "; ".join(map(str, problems))
        raise Refused(
            f"{len(problems)} in the model registry are not as released: {details}",
            next_step="`airlock detect list` shows them; find out who did it.",
        )


def _ours(unit: UnitOfWork, names: Iterable[str]) -> dict[str, Spent]:
    """Return the state of Airlock's own grants among *names*: being spent, or spent."""
    grants, now = unit.grants_named(set(names)), stamp(unit.now())
    leased = {
        release.lease.grant: release.lease.until for release in unit.leased() if release.lease
    }
    states = {}
    for name, stored in grants.items():
        if stored.revoked_at is None:
            states[name] = Spent.JUST_NOW if leased.get(name, "") > now else Spent.BEFORE
    return states


def _issued_permits(unit: UnitOfWork, permits: Iterable[Permit]) -> dict[str, Permit]:
    """Return the permits as the grants say they have to be, for those the log tells of.

    A permit that can move nothing any more needs its grant alone: `audit verify` compares that with
    the log.
    """
    there = {permit.grant: permit for permit in permits}
    issued = {}
    for name, stored in unit.grants_named(set(there)).items():
        grant = read_own(stored.envelope)
        if there[name].ended or _is_told(unit, grant.rolls_back or grant.release, stored):
            issued[name] = Permit(
                grant=name,
                model=grant.model,
                alias=grant.alias,
                version=grant.version,
                sequence=grant.sequence,
            )
    return issued


def _is_told(unit: UnitOfWork, release_id: str, stored: StoredGrant) -> bool:
    """Return whether the log of a release has the entry of this very grant."""
    digest = digest_json(stored.envelope)
    contents = (entry.content for entry in unit.entries(release_id))
    return any(
        content["what"] in ISSUED and content["data"].get("envelopeDigest") == digest
        for content in contents
    )


def _is_over(finding: Mapping[str, Any], hashed: set[str], serving: set[str]) -> bool:
    """Return whether a finding about bytes may have ended: hashed again, or not serving."""
    release = finding["release"]
    return finding["kind"] in _HASHED and (release in hashed or release not in serving)
