"""What the bundle's program says of rules and gates is what Airlock says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import Evidence, run_gate
from airlock.domain.inference import shared
from airlock.domain.matching import missing
from airlock.domain.rules import rule_from_document
from airlock.gates import GATES, build
from airlock_evidence.archive import Failed
from airlock_evidence.gates import judge, key_of
from airlock_evidence.gates import needs as needs_of
from airlock_evidence.rules import met

PEOPLE = ("ann", "bob", "cem", "dan")
ROLES = ("lead", "legal", "risk")

simple = st.one_of(
    st.builds(lambda r, n: {"role": r, "count": n}, st.sampled_from(ROLES), st.integers(1, 2)),
    st.builds(lambda p: {"people": p}, st.lists(st.sampled_from(PEOPLE), min_size=1, unique=True)),
)
rules = st.recursive(
    simple,
    lambda part: st.one_of(
        st.builds(lambda p: {"allOf": p}, st.lists(part, min_size=1, max_size=2)),
        st.builds(lambda p: {"anyOf": p}, st.lists(part, min_size=1, max_size=2)),
    ),
    max_leaves=3,
)
held = st.dictionaries(st.sampled_from(PEOPLE), st.frozensets(st.sampled_from(ROLES)))


def test_no_rules_and_nobody_never_meet() -> None:
    assert not met([], {"ann": frozenset({"lead"})})
    assert not met([{"role": "lead"}], {})
    for empty in ({}, {"allOf": []}, {"anyOf": []}, {"role": "lead", "count": 0}):
        with pytest.raises(Failed):
            met([empty], {"ann": frozenset({"lead"})})


@given(st.lists(rules, min_size=1, max_size=3), held)
def test_rules_are_met_exactly_when_airlock_says_so(
    documents: list[dict[str, Any]], people: dict[str, frozenset[str]]
) -> None:
    ours = [rule_from_document(one) for one in documents]
    assert met(documents, people) == (not missing(ours, set(people), people, ()))


#: The confidence of one attempt at the margin, and what only messages show.
EACH = shared(0.95, 5)
SHOWN = {"slice": st.sampled_from("abc"), "candidate": st.just(0.8), "champion": st.just(0.8)}
number = st.one_of(st.floats(-1, 2), st.integers(-1, 300), st.none())


def facts(gate: str) -> st.SearchStrategy[dict[str, Any]]:
    metrics = st.fixed_dictionaries(
        {"metrics": st.dictionaries(st.sampled_from(["roc_auc", "brier"]), number)}
    )
    part = {
        "n": st.integers(98, 300),
        "positives": st.integers(15, 80),
        "value": number,
        "low": st.floats(0, 1),
        "high": st.floats(0, 1),
        "difference": st.one_of(st.none(), st.floats(-0.05, 0.05)),
        "se": st.sampled_from([None, 0.0, 0.001, 0.01]),
    }
    counts = {"worse": st.integers(0, 40), "better": st.integers(0, 40)}
    slices = st.lists(st.fixed_dictionaries({**part, **SHOWN}, optional=counts), max_size=3)
    bound = st.fixed_dictionaries(
        {
            **part,
            "metric": st.sampled_from(["roc_auc", "brier"]),
            "confidence": st.sampled_from([0.95, 0.9]),
            "slices": slices,
        }
    )
    row = st.fixed_dictionaries(
        {
            "metric": st.sampled_from(["roc_auc", "brier"]),
            "n": st.integers(98, 103),
            "se": st.just(0.01),
            "slices": slices,
            "low": st.floats(-0.02, 0.02),
            "high": st.floats(-0.02, 0.02),
            "confidence": st.sampled_from([EACH, EACH, 0.95]),
            "candidate": st.just(0.8),
            "champion": st.just(0.8),
            "difference": st.just(0.0),
        }
    )
    file = st.fixed_dictionaries(
        {
            "path": st.sampled_from(["MLmodel", "model.skops", "x.pkl"]),
            "format": st.sampled_from(["mlmodel", "skops", "pickle", "json"]),
        }
    )
    times = {"p50Ms": number, "p95Ms": number, "p99Ms": number, "n": st.integers(198, 4001)}
    ratio = st.fixed_dictionaries(
        {
            "n": st.sampled_from([3999, 4000]),
            "confidence": st.sampled_from([0.95, 0.9]),
            "low": st.floats(0.9, 1.3),
            "ratio": st.just(1.0),
            "high": st.floats(0.9, 1.3),
        }
    )
    found: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "latency with everything": st.fixed_dictionaries(
            {
                **times,
                "batch": st.fixed_dictionaries(times),
                "batchRows": st.sampled_from([100, 50]),
                "champion": st.sampled_from([None, {"version": "3"}]),
                "serves": st.sampled_from([None, "3"]),
                "ratio": st.one_of(st.none(), ratio),
            }
        ),
        "metrics-threshold": st.fixed_dictionaries(
            {
                "rows": st.integers(0, 200),
                "candidate": metrics,
                "bounds": st.lists(bound, max_size=2),
            }
        ),
        "latency": st.fixed_dictionaries({"p95Ms": st.floats(-1, 300), "n": st.integers(198, 202)}),
        "data-validation": st.fixed_dictionaries(
            {
                "evaluated": st.integers(0, 2),
                "successful": st.integers(0, 2),
                "rows": st.integers(0, 2),
                "success": st.booleans(),
                "failed": st.just([]),
            }
        ),
        "artifact-format": st.fixed_dictionaries(
            {
                "files": st.lists(file, max_size=3),
                "manifestDigest": st.sampled_from(["sha256:a", "sha256:b"]),
                "unknown": st.lists(st.sampled_from(["x.pkl", "model.skops", "other"]), max_size=1),
                "loaderModule": st.sampled_from(["mlflow.sklearn", "evil"]),
                "code": st.sampled_from([None, "src"]),
            }
        ),
        "performance-regression": st.fixed_dictionaries(
            {
                "champion": st.sampled_from([None, "3"]),
                "comparisons": st.lists(row, max_size=2),
                "attempt": st.integers(1, 7),
            }
        ),
    }
    return st.one_of(found[gate], st.just({}))


OPTIONS: list[dict[str, Any]] = [
    {"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.7},
    {"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.7, "confidence": 0.9},
    {"gate": "metrics-threshold", "metric": "brier", "threshold": 0.3, "sliceThreshold": 0.5},
    {"gate": "latency", "p95Ms": 150.0},
    {
        "gate": "latency",
        "p95Ms": 150.0,
        "p50Ms": 100.0,
        "p99Ms": 200.0,
        "batchP95Ms": 150.0,
        "maxRatio": 1.1,
    },
    {"gate": "data-validation"},
    {"gate": "artifact-format"},
    {"gate": "performance-regression", "metric": "roc_auc", "margin": 0.005},
    {"gate": "performance-regression", "metric": "brier", "margin": 0.01, "material": 0.0},
]


@pytest.mark.parametrize("document", OPTIONS, ids=str)
@given(data=st.data())
def test_a_gate_judged_again_has_the_verdict_airlock_gives(
    document: dict[str, Any], data: st.DataObject
) -> None:
    name = document["gate"]
    gate, said = build(document), data.draw(facts(name))
    kind = gate.needs[0]
    one = Evidence(kind, "sha256:a", said)
    verdict = judge(document, {kind: {"kind": kind, "artifactDigest": "sha256:a", "facts": said}})
    assert verdict == run_gate(gate, {kind: one}).verdict.value
    assert key_of(document) == gate.key


def test_a_gate_without_evidence_is_errored_and_an_unknown_one_is_not_judged() -> None:
    assert judge({"gate": "latency", "p95Ms": 1}, {}) == "ERRORED"
    assert judge({"gate": "a-new-one"}, {}) == ""


def test_every_gate_of_airlock_is_known_to_the_program_or_said_not_to_be() -> None:
    for gate in GATES:
        wanted = needs_of({"gate": gate.name})
        assert wanted in (None, gate.needs[0])
