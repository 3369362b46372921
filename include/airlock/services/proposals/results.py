"""A gate's result: the decider judges the stored evidence itself, and keeps its own judgement.

What the task adds is its signature, which is kept only over exactly this result of this run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.digest import digest_bytes, digest_json
from airlock.domain.errors import Conflict, Invalid
from airlock.domain.evidence.attestation import check_bound
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.evidence.proposals import RunEvent, run_stream
from airlock.domain.gates import Gate, GateResult, options_digest, run_gate
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Channel
from airlock.gates import BY_NAME, build
from airlock.ports import Store, UnitOfWork
from airlock.services.pipeline.collect_and_judge import check_same
from airlock.services.proposals import evidence, runs
from airlock.services.proposals.handling import Claim, Finish, Sources

_DECIDER = Actor.system("decider", Channel.DAG)


def submit(store: Store, _sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Keep new evidence and the gate's result on it; once there is a release, nothing is kept."""
    items, gate = evidence.items_of(claim.body), _gate(claim)
    verdict = claim.body.text("verdict", 20)
    envelope = claim.body.optional("attestation", 65_536)
    with store.begin() as unit:
        runs.require_run(unit, claim.origin)
        events = evidence.put(unit, claim.origin, items)
        result, artifact = _judge(unit, claim.origin, gate)
        if result.verdict.value != verdict:
            raise Conflict(
                f"run {claim.origin} says {result.key} is {verdict}, judged from its evidence it "
                f"is {result.verdict}: {result.message}",
                next_step="Clear the gate's task; somebody has changed the evidence meanwhile.",
            )
        if envelope:
            check_bound(result, envelope, artifact, options_digest(gate), claim.origin)
        if unit.by_origin(claim.origin) is None:
            events += _store_result(unit, claim.origin, result, envelope)
        unit.log_all(run_stream(claim.origin), events)
        answer = {"verdict": result.verdict.value}
        finish(unit, answer)
        return answer


def _gate(claim: Claim) -> Gate:
    document = claim.body.mapping("gate")
    if document.get("gate") not in BY_NAME:
        raise Invalid(f"there is no gate {str(document.get('gate'))[:60]!r}")
    try:
        gate = build(document)
        key = gate.key
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"the gate {document['gate']} cannot be made: {error}") from error
    if not isinstance(key, str) or len(key) > 200:
        raise Invalid(f"the gate {document['gate']} has no key of at most 200 characters")
    return gate


def _judge(unit: UnitOfWork, origin: str, gate: Gate) -> tuple[GateResult, str]:
    candidate = unit.candidate(origin)
    if candidate is not None:
        document, _ = unit.registered("pipeline", candidate.pipeline_digest)
        if unit.by_origin(origin) is None:
            check_same(Recipe(document), gate)
    about = candidate.artifact_digest if candidate else ""
    facts = {
        kind: item
        for kind, item in unit.evidence_of(origin).items()
        if about and item.artifact_digest == about
    }
    return run_gate(gate, facts), about


def _store_result(unit: UnitOfWork, origin: str, result: GateResult, envelope: str) -> list[Event]:
    stored = {entry.key: entry for entry in unit.results_of(origin)}.get(result.key)
    if stored == result and unit.attestations_of(origin).get(result.key, "") == envelope:
        return []
    unit.put_result(origin, result, envelope)
    data = {
        "origin": origin,
        "key": result.key,
        "verdict": result.verdict.value,
        "evidence": sorted(result.evidence),
        "document": digest_json(result.to_document()),
        "attestation": digest_bytes(envelope.encode()),
    }
    return [Event.by(_DECIDER, RunEvent.RESULT, origin, data)]
