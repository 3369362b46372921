from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import GateResult, Verdict
from airlock.gates import MetricsThreshold
from tests.unit.gates.kit import judge, never_passes_on_nothing

AUC = MetricsThreshold("roc_auc", 0.74)


def measured(gate: MetricsThreshold, value: float, rows: int = 500) -> GateResult:
    return judge(gate, evaluation={"rows": rows, "candidate": {"metrics": {gate.metric: value}}})


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(AUC)


@pytest.mark.parametrize(
    ("gate", "value", "verdict"),
    [
        (AUC, 0.74, Verdict.PASSED),
        (AUC, 0.7399, Verdict.FAILED),
        (MetricsThreshold("rmse", 2.0), 2.0, Verdict.PASSED),
        (MetricsThreshold("rmse", 2.0), 2.01, Verdict.FAILED),
        (AUC, float("inf"), Verdict.ERRORED),
    ],
)
def test_the_threshold_counts_in_the_metrics_own_direction(
    gate: MetricsThreshold, value: float, verdict: Verdict
) -> None:
    if value == float("inf"):
        # It cannot even be stored as evidence.
        assert "not JSON compliant" in measured(gate, value).message
    assert measured(gate, value).verdict is verdict


def test_no_rows_or_another_metric_is_errored() -> None:
    assert measured(AUC, 0.9, rows=0).verdict is Verdict.ERRORED
    other = judge(AUC, evaluation={"rows": 5, "candidate": {"metrics": {"accuracy": 1.0}}})
    assert other.verdict is Verdict.ERRORED


def test_the_numbers_are_in_the_result() -> None:
    result = measured(AUC, 0.8)
    assert (result.measured, result.threshold, result.n) == (0.8, 0.74, 500)
    assert len(result.evidence) == 1
    assert "needs at least 0.74" in result.message


@pytest.mark.parametrize(
    ("metric", "threshold", "text"),
    [
        ("roc_auc", 1.5, "between 0 and 1"),
        ("rmse", -1.0, "must not be negative"),
        ("rmse", float("nan"), "finite"),
        ("auc", 0.5, "unknown metric 'auc'"),
    ],
)
def test_impossible_thresholds_cannot_be_built(metric: str, threshold: float, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MetricsThreshold(metric, threshold)


# -- bounds and slices ----------------------------------------------------------------------------

BOUND = MetricsThreshold("roc_auc", 0.74, confidence=0.95)
SLICED = MetricsThreshold("roc_auc", 0.74, slice_threshold=0.6)


def row(name: str, value: float | None, n: int = 200, low: float = 0.0, **over: Any) -> Any:
    defaults = {"slice": name, "value": value, "low": low, "high": 1.0, "se": 0.01, "n": n}
    return {**defaults, "positives": n // 2, **over}


def bounded(gate: MetricsThreshold, low: float, slices: Any = (), **over: Any) -> GateResult:
    line = {"metric": "roc_auc", "confidence": 0.95, "value": 0.8, "low": low, "high": 0.9}
    line |= {"n": 500, "slices": list(slices)}
    facts = {"rows": 500, "candidate": {"metrics": {"roc_auc": 0.8}}, "bounds": [line | over]}
    return judge(gate, evaluation=facts | ({"rows": over["n"]} if "n" in over else {}))


def test_with_confidence_the_bound_has_to_clear_the_threshold() -> None:
    assert bounded(BOUND, low=0.74).verdict is Verdict.PASSED
    result = bounded(BOUND, low=0.7399)
    assert (result.verdict, result.measured) == (Verdict.FAILED, 0.7399)
    assert "roc_auc 0.8000 (at least 0.7399 with 95 % confidence)" in result.message


def test_no_bounds_other_bounds_or_too_few_rows_are_errored() -> None:
    assert measured(BOUND, 0.9).verdict is Verdict.ERRORED
    assert bounded(BOUND, low=0.9, confidence=0.9).verdict is Verdict.ERRORED
    assert bounded(BOUND, low=0.9, metric="accuracy").verdict is Verdict.ERRORED
    assert bounded(BOUND, low=0.9, n=99).verdict is Verdict.ERRORED


def test_the_worst_slice_decides_and_is_named() -> None:
    good = row("SEX=1", 0.9)
    assert bounded(SLICED, 0.7, [good, row("SEX=2", 0.6)]).verdict is Verdict.PASSED
    result = bounded(SLICED, 0.7, [good, row("SEX=2", 0.59), row("SEX=3", 0.7)])
    assert result.verdict is Verdict.FAILED
    assert "1 of 3 slices miss 0.6, the worst is SEX=2 with 0.5900" in result.message
    assert result.details is not None
    assert [entry["slice"] for entry in result.details["slices"]] == ["SEX=2", "SEX=3", "SEX=1"]


def test_a_small_slice_is_not_assessable_and_none_at_all_is_errored() -> None:
    small = [
        row("few", 0.1, n=99),
        row("one class", 0.1, positives=19),
        row("unmeasured", None),
    ]
    result = bounded(SLICED, 0.7, [row("SEX=1", 0.9), *small])
    assert result.verdict is Verdict.ERRORED
    assert "99.8% of the rows are in slices nobody can assess, limit 1.0%" in result.message
    lenient = MetricsThreshold("roc_auc", 0.74, slice_threshold=0.6, max_unassessed=1.0)
    result = bounded(lenient, 0.7, [row("SEX=1", 0.9), *small])
    assert result.verdict is Verdict.PASSED
    assert "not assessable, too few rows: few, one class, unmeasured" in result.message
    assert bounded(SLICED, 0.7, small).verdict is Verdict.ERRORED
    assert bounded(SLICED, 0.7, []).verdict is Verdict.ERRORED


def test_slices_are_judged_by_their_bounds_where_confidence_is_asked_for() -> None:
    gate = MetricsThreshold("roc_auc", 0.74, confidence=0.95, slice_threshold=0.6)
    assert bounded(gate, 0.75, [row("a", 0.9, low=0.6)]).verdict is Verdict.PASSED
    assert bounded(gate, 0.75, [row("a", 0.9, low=0.59)]).verdict is Verdict.FAILED


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_bound_never_passes_what_its_threshold_does_not(low: float, threshold: float) -> None:
    gate = MetricsThreshold("roc_auc", threshold, confidence=0.95)
    assert (bounded(gate, low).verdict is Verdict.PASSED) == (low >= threshold)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"confidence": 0.5}, "between 0.5 and 1"),
        ({"slice_threshold": 2.0}, "sliceThreshold for roc_auc must be between 0 and 1"),
        ({"minimum_rows": 29}, "minimumRows must be at least 30"),
    ],
)
def test_impossible_options_cannot_be_built(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MetricsThreshold("roc_auc", 0.7, **options)
