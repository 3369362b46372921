"""For every gate, each of its inputs removed or poisoned in turn: never PASSED.

The inputs are the leaves and branches of evidence that passes. What only describes (a name in a
message, a digest that is shown) is listed per gate, with nothing else on the list: removing it may
pass, because no verdict is made from it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from airlock.domain.gates import Evidence, Gate, Verdict, run_gate
from airlock.gates import (
    GATES,
    ArtifactFormat,
    ArtifactScan,
    DataDrift,
    DataValidation,
    DependencyAudit,
    Fairness,
    Footprint,
    LabelBalance,
    Latency,
    Leakage,
    MetricsThreshold,
    ModelCard,
    PerformanceRegression,
    Reproducibility,
    ServingCheck,
    Signature,
    StaticAnalysis,
    TestCoverage,
    TrainServingSkew,
)
from tests.unit.gates import (
    test_artifact_format,
    test_artifact_scan,
    test_data_validation,
    test_dependency_audit,
    test_drift,
    test_fairness,
    test_footprint,
    test_label_balance,
    test_latency,
    test_leakage,
    test_metrics_threshold,
    test_model_card,
    test_performance_regression,
    test_reproducibility,
    test_serving_check,
    test_signature,
    test_static_analysis,
    test_test_coverage,
)
from tests.unit.gates.kit import ARTIFACT

Facts = dict[str, Any]
Path = tuple[Any, ...]


def _captured(module: Any, call: Any) -> dict[str, Facts]:
    """Return the facts a test's own helper judges."""
    kept: dict[str, Facts] = {}
    original = module.judge

    def judge(gate: Gate, **facts: Facts) -> Any:
        kept.update({kind.replace("_", "-"): value for kind, value in facts.items()})
        return original(gate, **facts)

    module.judge = judge
    try:
        call()
    finally:
        module.judge = original
    return kept


def _fairness() -> dict[str, Facts]:
    gap = test_fairness.said(0.06, 0.01, 0.08)
    gate = Fairness(demographic_parity=0.1)
    call = lambda: test_fairness.compared(gate, *test_fairness.TWO, demographicParity=gap)  # noqa: E731
    return _captured(test_fairness, call)


def _regression() -> dict[str, Facts]:
    gate = PerformanceRegression("roc_auc", margin=0.01, attempts=1)
    module = test_performance_regression
    return _captured(module, lambda: module.sliced(gate, module.slice_of("SEX=1", 0.0)))


def _threshold() -> dict[str, Facts]:
    module = test_metrics_threshold
    gate = MetricsThreshold("roc_auc", 0.74, confidence=0.95, slice_threshold=0.6)
    return _captured(module, lambda: module.bounded(gate, 0.75, [module.row("a", 0.9, low=0.7)]))


def _skew() -> Facts:
    return test_drift.facts(champion="3")


#: A gate with as many of its inputs in use as it has, and evidence that passes.
CASES: dict[type[Gate], tuple[Gate, dict[str, Facts]]] = {
    ArtifactFormat: (
        ArtifactFormat(),
        {
            "artifact-format": test_artifact_format.facts(
                test_artifact_format.MODEL, test_artifact_format.MLMODEL
            )
        },
    ),
    ArtifactScan: (
        ArtifactScan(),
        {
            "artifact-format": test_artifact_scan.FORMATS,
            "artifact-scan": test_artifact_scan.three(),
        },
    ),
    DataValidation: (
        DataValidation(max_age_days=10, max_change=2),
        {"data-validation": test_data_validation.DATED},
    ),
    DependencyAudit: (DependencyAudit(), {"dependency-audit": test_dependency_audit.facts()}),
    Fairness: (Fairness(demographic_parity=0.1), _fairness()),
    Footprint: (
        Footprint(size_mb=10, load_ms=500, memory_mb=500, max_size_ratio=2, max_load_ratio=2),
        {"footprint": test_footprint.facts(theirs=test_footprint.side())},
    ),
    DataDrift: (DataDrift(), {"drift": test_drift.facts()}),
    LabelBalance: (LabelBalance(), {"label-balance": test_label_balance.facts([50, 50], [52, 48])}),
    Latency: (
        Latency(50, p50_ms=50, batch_p95_ms=50, max_ratio=1.2),
        {"latency": test_latency.facts()},
    ),
    Leakage: (
        Leakage(),
        {
            "leakage": test_leakage.over(
                times=[{**test_leakage.LATE, "later": 0}],
                entity={"column": "person", "entities": 90, "shared": 0, "rows": 0},
            )
        },
    ),
    MetricsThreshold: (
        MetricsThreshold("roc_auc", 0.74, confidence=0.95, slice_threshold=0.6),
        _threshold(),
    ),
    ModelCard: (ModelCard(), {"model-card": test_model_card.facts()}),
    PerformanceRegression: (
        PerformanceRegression("roc_auc", margin=0.01, attempts=1),
        _regression(),
    ),
    Reproducibility: (Reproducibility(), {"reproducibility": test_reproducibility.facts()}),
    ServingCheck: (ServingCheck(), {"serving-check": test_serving_check.facts()}),
    Signature: (Signature(), {"artifact-signature": test_signature.GOOD}),
    StaticAnalysis: (StaticAnalysis(), {"static-analysis": test_static_analysis.facts()}),
    TestCoverage: (TestCoverage(), {"test-coverage": test_test_coverage.facts()}),
    TrainServingSkew: (TrainServingSkew(), {"train-serving-skew": _skew()}),
}
#: What only describes: shown, kept or digested, and no verdict is made from it. And what may be
#: empty, because nothing there is the answer (no findings, no problems).
DESCRIBES: dict[type[Gate], str] = dict.fromkeys(CASES, r"(?!)")


def _paths(value: Any, above: Path = ()) -> Iterator[Path]:
    """Yield the place of every branch and leaf; of a list its first and its last item."""
    if above:
        yield above
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*above, key))
    elif isinstance(value, list) and value:
        for place in {0, len(value) - 1}:
            yield from _paths(value[place], (*above, place))


def _poisons(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what stands in the place of a value."""
    yield "removed", None
    if value is not None:
        yield "None", None
    yield "NaN", float("nan")
    yield "another type", 7.5 if isinstance(value, str | list | dict | bool) else "text"
    if isinstance(value, str | list | dict) and value:
        yield "empty", type(value)()
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield "below nothing", -1


def _poisoned(facts: Facts, path: Path, kind: str, value: Any) -> Facts:
    changed = copy.deepcopy(facts)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    if kind == "removed":
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


def _at(facts: Facts, path: Path) -> Any:
    value: Any = facts
    for key in path:
        value = value[key]
    return value


def _verdict(gate: Gate, all_facts: dict[str, Facts], artifact: str = ARTIFACT) -> Verdict:
    evidence = {kind: Evidence(kind, artifact, facts) for kind, facts in all_facts.items()}
    return run_gate(gate, evidence).verdict


def test_every_gate_is_here() -> None:
    assert set(CASES) == set(GATES)


@pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.name)
def test_no_input_can_be_taken_away_or_poisoned(kind: type[Gate]) -> None:
    gate, all_facts = CASES[kind]
    assert _verdict(gate, all_facts) is Verdict.PASSED
    survived = []
    for about, facts in all_facts.items():
        without = {name: value for name, value in all_facts.items() if name != about}
        assert _verdict(gate, without) is Verdict.ERRORED
        for path in _paths(facts):
            place = ".".join(map(str, path))
            for how, value in _poisons(_at(facts, path)):
                changed = {**all_facts, about: _poisoned(facts, path, how, value)}
                if _verdict(gate, changed).opens and not re.fullmatch(
                    DESCRIBES[kind], f"{place} {how}"
                ):
                    survived.append(f"{place} {how}")
    assert survived == []
