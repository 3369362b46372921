"""Trying a gate on a registered version: collect and judge as its task would, and keep nothing.

What the steps of the run have measured (evaluation, comparison, data) is taken as it was stored;
what the gate collects for itself is collected anew.
"""

from __future__ import annotations

from dataclasses import replace

from airlock.domain.errors import AirlockError, Unreachable
from airlock.domain.gates import UNCOLLECTED, Evidence, Gate, GateResult, run_gate
from airlock.gates import written
from airlock.ports import Store
from airlock.services.pipeline.collect_and_judge import case_of
from airlock.services.pipeline.training_runtime import Bench


def attempt(store: Store, bench: Bench, origin: str, gate: Gate) -> GateResult:
    """Collect what *gate* needs about the candidate of a run, and judge it.

    Raises:
        Refused: if the run has no candidate.
        Unreachable: if something needed was away.
    """
    with store.begin() as unit:
        case = replace(case_of(unit, origin), options=written(gate))
        stored = unit.evidence_of(origin)
    about = case.candidate.artifact_digest
    evidence = {kind: entry for kind, entry in stored.items() if entry.artifact_digest == about}
    for kind in gate.needs:
        if kind not in bench.collects:
            continue
        try:
            facts = bench.look(kind, case)
        except Unreachable:
            raise
        except AirlockError as error:
            facts = {UNCOLLECTED: " ".join(f"{error.message}. {error.next_step}".split())}
        evidence[kind] = Evidence(kind, about, facts)
    return run_gate(gate, evidence)
