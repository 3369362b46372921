"""For every gate, each of its inputs removed or poisoned in turn: never PASSED.

The inputs are the leaves and branches of evidence that passes: each is removed, set to None, to
NaN, to another type, emptied, or made negative. What only describes is listed per gate, so that
the list of what may be missing is read by people.
"""

from __future__ import annotations

import json
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
    """Return the facts that a helper of another test module passes to judge()."""
    evidence: dict[str, Facts] = {}
    original = module.judge

    def judge(gate: Gate, **facts: Facts) -> Any:
        evidence.update({kind.replace("_", "-"): value for kind, value in facts.items()})
        return original(gate, **facts)

    module.judge = judge
    try:
        call()
    finally:
        module.judge = original
    return evidence


def _fairness() -> dict[str, Facts]:
    gap = test_fairness.interval(0.06, 0.01, 0.08)
    gate = Fairness(demographic_parity=0.1)
    groups = test_fairness.TWO
    return _captured(
        test_fairness, lambda: test_fairness.compared(gate, *groups, demographicParity=gap)
    )


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
            "artifact-scan": test_artifact_scan.three(status="nothing", read=0),
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
        {"footprint": test_footprint.facts(champion=test_footprint.side())},
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
    Reproducibility: (
        Reproducibility(bytes=True),
        {"reproducibility": test_reproducibility.facts()},
    ),
    ServingCheck: (ServingCheck(), {"serving-check": test_serving_check.facts()}),
    Signature: (Signature(), {"artifact-signature": test_signature.GOOD}),
    StaticAnalysis: (
        StaticAnalysis(max_suppressions=0),
        {"static-analysis": test_static_analysis.facts()},
    ),
    TestCoverage: (TestCoverage(), {"test-coverage": test_test_coverage.facts()}),
    TrainServingSkew: (TrainServingSkew(), {"train-serving-skew": _skew()}),
}
#: What no verdict is made from: it is shown, kept or digested. And what may be absent, because its
#: absence is an answer that another process gives: nothing serves yet, nothing was declared.
DESCRIBES: dict[type[Gate], str] = {
    ArtifactFormat: "",
    ArtifactScan: r"refusals removed|scanners\.\d\.(why|findings) .*",
    # Nothing serves yet: the decider's own line of releases says so.
    DataValidation: r"champion None|champion\.version .*",
    # A licence's text is shown; what is judged are its alternatives.
    DependencyAudit: r"database\.(source|unreadableIds) .*|packages\.0\.licence .*",
    # Hits are asked for by equalized odds alone.
    Fairness: r"attributes\.0\.groups\.\d\.truePositives .*",
    Footprint: "",
    # A column that is new has nothing to be compared with, and is shown.
    DataDrift: r"extra .*|columns\.0\.(labels|unseen)(\..*)? .*",
    LabelBalance: "",
    # Percentiles without a limit are shown; the ratio is judged, not the champion's own times.
    Latency: r"p99Ms .*|batch\.p(50|99)Ms .*|champion\.(n|p\d+Ms) .*",
    # A low score is no leak; no times and no entity are declared in many pipelines.
    Leakage: r"features\.0\.score below nothing|times empty|times\.0 removed|entity None"
    r"|times\.0\.(of|worstDays).*|entity\.(entities|shared) .*",
    # The lower bound is judged, at the confidence asked for.
    MetricsThreshold: r"bounds\.0\.(slices\.0\.)?high .*|bounds\.0\.slices\.0\.value below nothing",
    ModelCard: r"generated\.plots.*",
    # The error is only said; no slices are declared in many pipelines.
    PerformanceRegression: r"comparisons\.0\.se .*|comparisons\.0\.slices(\.0)? (empty|removed)",
    Reproducibility: r"seed .*|predictions\.maxDifference .*",
    ServingCheck: r"unanswered .*|differing .*|schema\.declared\.0\.required .*"
    r"|wrongInputs\.\d\.said .*",
    Signature: r"why .*",
    # The collector lists the sources from git; a shorter list was made there or nowhere.
    StaticAnalysis: r"package .*|sources\.\d removed|tools\.\d\.(version|settings(Digest)?) .*"
    r"|suppressions .*",
    TestCoverage: r"everyLineIsNew .*|lookedFor.*|tests\.(skipped|failures) .*|changed\.lines .*"
    r"|changed\.(uncovered|partial)Lines .*|pragmas .*|notMeasured .*",
    TrainServingSkew: r"columns\.0\.(labels.*|unseen\.values .*)",
}


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
    changed = json.loads(json.dumps(facts))  # not a deep copy: lists may be one and the same
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


@pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.name)
def test_evidence_about_another_artifact_is_none(kind: type[Gate]) -> None:
    """The service keeps it from the gate (services.evidence.judge): there it is missing."""
    gate, all_facts = CASES[kind]
    for about in all_facts:
        rest = {name: facts for name, facts in all_facts.items() if name != about}
        assert _verdict(gate, rest) is Verdict.ERRORED


def test_every_gate_is_here() -> None:
    assert set(CASES) == set(GATES)


@pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.name)
def test_no_input_can_be_taken_away_or_poisoned(kind: type[Gate]) -> None:
    gate, all_facts = CASES[kind]
    assert _verdict(gate, all_facts) is Verdict.PASSED
    survived = []
    for about, facts in all_facts.items():
        for path in _paths(facts):
            place = ".".join(map(str, path))
            for how, value in _poisons(_at(facts, path)):
                changed = {**all_facts, about: _poisoned(facts, path, how, value)}
                if _verdict(gate, changed).opens and not re.fullmatch(
                    DESCRIBES[kind], f"{place} {how}"
                ):
                    survived.append(f"{place} {how}")
    assert survived == []
