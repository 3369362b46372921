"""What a gate asked for when it last said no in this line, beside what it asks for now.

A threshold may be changed: the pipeline is registered before the run, and whoever changed it judges
nothing. But whoever approves is shown that the candidate passes what the last one failed.

Rules:
* The newest earlier release of the same model and environment in which a gate did not pass counts,
  gate by gate, whatever has passed since.
* Every option that differs is shown, in whichever direction; so is a gate that is gone, and one the
  policy weighs otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release
from airlock.gates import build
from airlock.ports import UnitOfWork
from airlock.services.approvals.requirements import rulebook_of

#: Earlier releases of the model looked at.
LOOKED_AT = 20


def changed(unit: UnitOfWork, release: Release, plan: Plan) -> list[dict[str, Any]]:
    """Return the options that changed, per gate, since the gate last refused."""
    now, keys = _gates(unit, release), set[str]()
    changes: list[dict[str, Any]] = []
    for earlier in unit.find(model=release.subject.model, limit=LOOKED_AT):
        if not _is_earlier(earlier, release):
            continue
        closed = [result for result in unit.results_of(earlier.origin) if not result.verdict.opens]
        fresh = [result for result in closed if result.key not in keys]
        if not fresh:
            continue
        then, before = _gates(unit, earlier), _plan(unit, earlier)
        for result in fresh:
            keys.add(result.key)
            weights = (before.enforcement(result.gate), plan.enforcement(result.gate))
            rows = [*_options(then.get(result.key, {}), now.get(result.key))]
            if len(set(weights)) > 1:
                rows.append(("weight", weights[0].value, weights[1].value))
            where = {"gate": result.key, "release": earlier.id, "verdict": result.verdict.value}
            changes += [
                {**where, "option": name, "then": old, "now": new} for name, old, new in rows
            ]
    return changes


def _is_earlier(earlier: Release, release: Release) -> bool:
    same_line = earlier.subject.environment == release.subject.environment
    older = earlier.opened_at < release.opened_at
    return same_line and older and earlier.id != release.id


def _gates(unit: UnitOfWork, release: Release) -> dict[str, Mapping[str, Any]]:
    document, _ = unit.registered("pipeline", release.subject.pipeline_digest)
    return {build(gate).key: gate for gate in document["spec"]["gates"]}


def _plan(unit: UnitOfWork, release: Release) -> Plan:
    return rulebook_of(unit, release).plan(release.subject.environment, release.tier)


def _options(
    then: Mapping[str, Any], now: Mapping[str, Any] | None
) -> Iterator[tuple[str, Any, Any]]:
    if now is None:
        yield "the gate itself", "asked for", "gone"
        return
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            yield name, then.get(name), now.get(name)
