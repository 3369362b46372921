from __future__ import annotations

import pytest

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
        with pytest.raises(ValueError, match="not JSON compliant"):
            measured(gate, value)  # it cannot even be stored as evidence
        return
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
