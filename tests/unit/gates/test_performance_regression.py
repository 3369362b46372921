from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import GateResult, Verdict
from airlock.gates import PerformanceRegression
from tests.unit.gates.kit import judge, never_passes_on_nothing

AUC = PerformanceRegression("roc_auc", margin=0.01)
MAE = PerformanceRegression("mae", margin=0.1)


def compared(gate: PerformanceRegression, low: float, high: float, **over: Any) -> GateResult:
    row = {
        "metric": gate.metric,
        "candidate": 0.8,
        "champion": 0.8,
        "difference": (low + high) / 2,
        "low": low,
        "high": high,
        "confidence": 0.95,
        "n": 1000,
    }
    return judge(gate, comparison={"champion": "3", "comparisons": [row | over]})


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(AUC)


@pytest.mark.parametrize(
    ("gate", "low", "high", "verdict"),
    [
        (AUC, -0.009, 0.02, Verdict.PASSED),
        (AUC, 0.01, 0.02, Verdict.PASSED),
        (AUC, -0.05, -0.011, Verdict.FAILED),
        (AUC, -0.02, 0.02, Verdict.ERRORED),
        (AUC, -0.01, 0.02, Verdict.ERRORED),
        (MAE, -0.2, 0.09, Verdict.PASSED),
        (MAE, 0.11, 0.3, Verdict.FAILED),
        (MAE, -0.2, 0.2, Verdict.ERRORED),
    ],
)
def test_evidence_of_non_inferiority_is_needed(
    gate: PerformanceRegression, low: float, high: float, verdict: Verdict
) -> None:
    assert compared(gate, low, high).verdict is verdict


def test_inconclusive_says_so() -> None:
    assert "inconclusive: too few rows" in compared(AUC, -0.02, 0.02).message


def test_the_first_release_is_a_case_of_its_own() -> None:
    result = judge(AUC, comparison={"champion": None, "comparisons": []})
    assert result.verdict is Verdict.PASSED
    assert "first release" in result.message


@pytest.mark.parametrize("over", [{"n": 0}, {"metric": "accuracy"}, {"confidence": 0.9}])
def test_a_comparison_of_something_else_is_errored(over: dict[str, Any]) -> None:
    assert compared(AUC, 0.0, 0.02, **over).verdict is Verdict.ERRORED


def test_an_interval_the_wrong_way_round_is_errored() -> None:
    assert compared(AUC, low=0.1, high=0.0).verdict is Verdict.ERRORED


def test_no_champion_entry_at_all_is_errored() -> None:
    assert judge(AUC, comparison={"comparisons": []}).verdict is Verdict.ERRORED


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"metric": "roc_auc", "margin": 0}, "margin must be above 0"),
        ({"metric": "roc_auc", "margin": 0.1, "confidence": 0.4}, "between 0.5 and 1"),
        ({"metric": "nonsense", "margin": 0.1}, "unknown metric"),
    ],
)
def test_impossible_options_cannot_be_built(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PerformanceRegression(**options)
