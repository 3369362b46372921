"""Collect, then judge: what a gate needs is collected, kept and judged (the worker does this).

Rules:
* A gate collects what it needs and a bench can collect, each time it is run; the newest counts.
  Once the release is open, nothing is collected any more.
* What cannot be collected is kept as evidence that says why. The gate is then ERRORED, and the
  decider, judging again, reads the same.
* What was only unreachable is raised, so that the task is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.domain.gates import UNCOLLECTED, Evidence, Gate, GateResult, run_gate
from airlock.domain.recipe import Recipe
from airlock.ports import Store
from airlock.services.bench import Bench, Case


def submit(
    store: Store, origin: str, kind: str, artifact_digest: str, facts: Mapping[str, Any]
) -> str:
    """Keep facts as evidence of a run and return their digest."""
    evidence = Evidence(kind, artifact_digest, facts)
    with store.begin() as unit:
        unit.put_evidence(origin, evidence)
        unit.commit()
    return evidence.digest


def examine(store: Store, bench: Bench, origin: str, gate: Gate) -> GateResult:
    """Collect what *gate* needs about a run's candidate, then judge it.

    Raises:
        Refused: if the run has no candidate.
        Unreachable: if something needed was away.
    """
    case = _case(store, origin)
    for kind in gate.needs:
        if case is not None and kind in bench.collects:
            try:
                facts = bench.collect(kind, case)
            except Unreachable:
                raise
            except AirlockError as error:
                facts = {UNCOLLECTED: " ".join(f"{error.message}. {error.next_step}".split())}
            submit(store, origin, kind, case.candidate.artifact_digest, facts)
    return judge(store, origin, gate)


def _case(store: Store, origin: str) -> Case | None:
    """Return what is to be looked at; None once the run's release is open."""
    with store.begin() as unit:
        if unit.by_origin(origin) is not None:
            return None
        candidate = unit.candidate(origin)
        if candidate is None:
            raise Refused(
                f"run {origin} has no candidate to collect evidence about",
                next_step="Look at the task that registers it, register_candidate.",
            )
        document, _ = unit.registered("pipeline", candidate.pipeline_digest)
        line = unit.line(candidate.model, candidate.environment)
        champion = unit.get(line.release).subject if line.release else None
        about = unit.evidence_of(origin).items()
    return Case(
        recipe=Recipe(document),
        candidate=candidate,
        champion=champion,
        facts={
            k: one.facts for k, one in about if one.artifact_digest == candidate.artifact_digest
        },
    )


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
