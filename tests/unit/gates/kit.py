"""Evidence as literals, and the two tests every gate starts with."""

from __future__ import annotations

from typing import Any

from airlock.domain.gates import Evidence, Gate, GateResult, Verdict, run_gate

ARTIFACT = "sha256:" + "a" * 64


def judge(gate: Gate, **facts: Any) -> GateResult:
    """Judge literal facts; each keyword is a kind of evidence with _ for -."""
    evidence = {
        kind.replace("_", "-"): Evidence(kind.replace("_", "-"), ARTIFACT, value)
        for kind, value in facts.items()
    }
    return run_gate(gate, evidence)


def never_passes_on_nothing(gate: Gate) -> None:
    """No evidence, empty evidence and evidence of another kind are ERRORED."""
    kind = gate.needs[0].replace("-", "_")
    for facts in ({}, {kind: {}}, {"something_else": {"rows": 1}}):
        assert judge(gate, **facts).verdict is Verdict.ERRORED
