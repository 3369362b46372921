"""Evidence of a run: facts by kind, each about one artifact, frozen once there is a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airlock.domain.approval.advice import run_anew
from airlock.domain.errors import Conflict
from airlock.domain.evidence.proposals import RunEvent, run_stream
from airlock.domain.gates import Evidence
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Channel
from airlock.ports import Store, UnitOfWork
from airlock.services.proposals.body import Body
from airlock.services.proposals.handling import Claim, Finish, Sources

_DECIDER = Actor.system("decider", Channel.DAG)


def submit(store: Store, _sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Keep evidence for a run; return its digests."""
    from airlock.services.proposals.runs import require_run

    items = items_of(claim.body)
    with store.begin() as unit:
        require_run(unit, claim.origin)
        unit.log_all(run_stream(claim.origin), put(unit, claim.origin, items))
        answer = {"digests": [item.digest for item in items]}
        finish(unit, answer)
        return answer


def items_of(body: Body) -> list[Evidence]:
    """Return the evidence in a proposal. Raises Invalid."""
    return [
        Evidence(entry.word("kind"), entry.text("artifactDigest", 80), entry.mapping("facts"))
        for entry in body.bodies("evidence")
    ]


def put(unit: UnitOfWork, origin: str, items: Sequence[Evidence]) -> list[Event]:
    """Store new evidence, and return its events.

    Raises:
        Conflict: if a release was opened for this run, and this is not what it was measured with.
    """
    if not items:
        return []
    there = {kind: entry.digest for kind, entry in unit.evidence_of(origin).items()}
    new = [item for item in items if there.get(item.kind) != item.digest]
    release = unit.by_origin(origin) if new else None
    if release is not None:
        raise Conflict(
            f"release {release.id} was opened for run {origin}, so its evidence is "
            f"frozen: no other {new[0].kind} can be kept",
            next_step=f"What was measured for a release stays. {run_anew(release)}",
        )
    for item in new:
        unit.put_evidence(origin, item)
    return [_event(origin, item) for item in new]


def _event(origin: str, item: Evidence) -> Event:
    data = {"kind": item.kind, "digest": item.digest, "artifact": item.artifact_digest}
    return Event.by(_DECIDER, RunEvent.EVIDENCE, origin, {"origin": origin, **data})
