"""Collect, then judge: what a gate needs is collected, kept and judged (the worker does this).

Rules:
* A gate collects what it needs and a bench can collect, each time it is run; the newest counts.
  It is collected with the gate's own options. Where the pipeline has that gate with others, nothing
  is: the release is judged by the pipeline's, so both are named before anything is measured.
  Once the release is there, what was measured is frozen: nothing is collected any more, a gate
  judges again without keeping its result, and other evidence is refused.
* What cannot be collected is kept as evidence that says why. The gate is then ERRORED, and the
  decider, judging again, reads the same.
* What was only unreachable is raised, so that the task is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airlock.domain.approval.policy import Rulebook, Tier
from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.domain.evidence.attestation import attest
from airlock.domain.evidence.enforcement import Enforcement
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.evidence.proposals import Kind
from airlock.domain.gates import (
    UNCOLLECTED,
    Evidence,
    Gate,
    GateResult,
    options_digest,
    run_gate,
)
from airlock.gates import build, written
from airlock.ports import Proposals, Signer, Store, UnitOfWork
from airlock.services.pipeline.training_runtime import Bench, Case


def submit(
    proposals: Proposals, origin: str, kind: str, artifact_digest: str, facts: Mapping[str, Any]
) -> str:
    """Have facts kept as evidence of a run and return their digest.

    Raises:
        Conflict: if a release was opened for this run, and this is not what it was measured with.
    """
    evidence = Evidence(kind, artifact_digest, facts)
    submit_all(proposals, origin, [evidence])
    return evidence.digest


def submit_all(proposals: Proposals, origin: str, items: Sequence[Evidence]) -> None:
    """Have evidence of a run kept, in one proposal."""
    proposals.submit(Kind.EVIDENCE, origin, {"evidence": documents(items)})


def documents(items: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return evidence as a proposal carries it."""
    return [
        {"kind": entry.kind, "artifactDigest": entry.artifact_digest, "facts": dict(entry.facts)}
        for entry in items
    ]


def examine(
    store: Store,
    proposals: Proposals,
    bench: Bench,
    origin: str,
    gate: Gate,
    signer: Signer | None = None,
) -> GateResult:
    """Collect what *gate* needs about a run's candidate, then judge it and sign the result.

    Raises:
        Refused: if the run has no candidate, or its pipeline asks the gate for something else.
        Unreachable: if something needed was away.
    """
    case = _case(store, origin, gate)
    collected = []
    for kind in gate.needs:
        if case is not None and kind in bench.collects:
            try:
                facts = bench.collect(kind, case)
            except Unreachable:
                raise
            except AirlockError as error:
                facts = {UNCOLLECTED: " ".join(f"{error.message}. {error.next_step}".split())}
            collected.append(Evidence(kind, case.candidate.artifact_digest, facts))
    return judge(store, proposals, origin, gate, signer, collected)


def _case(store: Store, origin: str, gate: Gate) -> Case | None:
    """Return what is to be looked at; None once the run's release is open."""
    with store.begin() as unit:
        if unit.by_origin(origin) is not None:
            return None
        case = case_of(unit, origin)
    check_same(case.recipe, gate)
    return replace(case, options=written(gate))


def check_same(recipe: Recipe, gate: Gate) -> None:
    """Refuse a gate the pipeline has with other options."""
    options = written(gate)
    for document in recipe.gates:
        configured = build(document)
        if configured.key != gate.key or configured == gate:
            continue
        expected = written(configured)
        names = sorted(
            name for name in options | expected if options.get(name) != expected.get(name)
        )
        differs = ", ".join(
            f"{name} {options.get(name, 'not set')} here and {expected.get(name, 'not set')} there"
            for name in names
        )
        raise Refused(
            f"{gate.key} is asked otherwise than in the pipeline {recipe.name}: {differs}",
            next_step="The release is judged by the pipeline's options: write the same in the DAG, "
            "or change the YAML and start a new run.",
        )


def case_of(unit: UnitOfWork, origin: str) -> Case:
    """Return a run's candidate, its recipe and the champion.

    Raises:
        Refused: if the run has no candidate.
    """
    candidate = unit.candidate(origin)
    if candidate is None:
        raise Refused(
            f"run {origin} has no candidate to collect evidence about",
            next_step='A StepOperator with step="register" registers it, before the gates; in a '
            "pipeline's DAG that is the task register_candidate: see its log.",
        )
    document, _ = unit.registered("pipeline", candidate.pipeline_digest)
    line = unit.line(candidate.model, candidate.environment)
    champion = unit.get(line.release).subject if line.release else None
    if champion is not None and champion.version == candidate.version:
        champion = None  # it serves itself: there is nothing to compare it with
    about = unit.evidence_of(origin).items()
    return Case(
        recipe=Recipe(document),
        candidate=candidate,
        champion=champion,
        facts={
            k: entry.facts
            for k, entry in about
            if entry.artifact_digest == candidate.artifact_digest
        },
    )


def weight(store: Store, rulebook: Rulebook, origin: str, gate: Gate) -> Enforcement:
    """Return what a gate weighs for a run's candidate under the policy; hard if there is none."""
    with store.begin() as unit:
        candidate = unit.candidate(origin)
        if candidate is None:
            return Enforcement.HARD
        document, _ = unit.registered("pipeline", candidate.pipeline_digest)
    raised = Tier(candidate.raised_to) if candidate.raised_to else None
    tier = rulebook.tier(document["spec"]["risk"], raised)
    return rulebook.plan(candidate.environment, tier).enforcement(gate.name)


def judge(
    store: Store,
    proposals: Proposals,
    origin: str,
    gate: Gate,
    signer: Signer | None = None,
    collected: Sequence[Evidence] = (),
) -> GateResult:
    """Judge a run's evidence with *gate*; have the result kept unless there is a release.

    *signer*: the place that runs gates; a result nobody has signed opens no release.
    *collected*: what is new; it is kept with the result, and judged with what there is.
    Evidence about another artifact than the run's candidate does not count. The decider judges it
    again and keeps its own result.
    """
    with store.begin() as unit:
        candidate = unit.candidate(origin)
        about = candidate.artifact_digest if candidate else ""
        there = unit.evidence_of(origin) | {item.kind: item for item in collected}
        frozen = unit.by_origin(origin) is not None
    evidence = {
        kind: item for kind, item in there.items() if about and item.artifact_digest == about
    }
    result = run_gate(gate, evidence)
    if not frozen:
        body = {
            "evidence": documents(collected),
            "gate": written(gate),
            "verdict": result.verdict.value,
            "attestation": _signed(result, about, gate, signer, origin) if signer and about else "",
        }
        proposals.submit(Kind.RESULT, origin, body)
    return result


def _signed(result: GateResult, about: str, gate: Gate, signer: Signer, origin: str) -> str:
    return attest(result, about, options_digest(gate), signer.key_id, signer.sign, origin)
