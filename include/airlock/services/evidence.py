"""Collect, then judge: keeping evidence and judging it with a gate (the worker does this)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.gates import Evidence, Gate, GateResult, run_gate
from airlock.ports import Store


def submit(
    store: Store, origin: str, kind: str, artifact_digest: str, facts: Mapping[str, Any]
) -> str:
    """Keep facts as evidence of a run and return their digest."""
    evidence = Evidence(kind, artifact_digest, facts)
    with store.begin() as unit:
        unit.put_evidence(origin, evidence)
        unit.commit()
    return evidence.digest


def judge(store: Store, origin: str, gate: Gate) -> GateResult:
    """Judge a run's evidence with *gate* and keep the result.

    Evidence about another artifact than the run's candidate does not count.
    """
    with store.begin() as unit:
        candidate = unit.candidate(origin)
        about = candidate.artifact_digest if candidate else ""
        evidence = {
            kind: item
            for kind, item in unit.evidence_of(origin).items()
            if about and item.artifact_digest == about
        }
        result = run_gate(gate, evidence)
        unit.put_result(origin, result)
        unit.commit()
        return result
