from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import GateResult, Verdict
from airlock.gates import PerformanceRegression
from tests.unit.gates.kit import judge, never_passes_on_nothing

AUC = PerformanceRegression("roc_auc", margin=0.01, attempts=1)
MAE = PerformanceRegression("mae", margin=0.1, attempts=1)
SHARED = PerformanceRegression("roc_auc", margin=0.01, attempts=5)


def compared(gate: PerformanceRegression, low: float, high: float, **over: Any) -> GateResult:
    row = {
        "metric": gate.metric,
        "candidate": 0.8 + (low + high) / 2,
        "champion": 0.8,
        "difference": (low + high) / 2,
        "low": low,
        "high": high,
        "se": 0.01,
        "confidence": gate.each,
        "n": 1000,
        "slices": [],
    }
    attempt = over.pop("attempt", 1)
    facts = {"champion": "3", "attempt": attempt, "comparisons": [row | over]}
    return judge(gate, comparison=facts)


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


def test_inconclusive_says_so_and_how_many_rows_would_do() -> None:
    message = compared(AUC, -0.02, 0.02).message
    assert "inconclusive: too few rows to tell, about 6,183 are needed" in message


def test_the_first_release_is_a_case_of_its_own() -> None:
    result = judge(AUC, comparison={"champion": None, "comparisons": []})
    assert result.verdict is Verdict.PASSED
    assert "first release" in result.message


@pytest.mark.parametrize("over", [{"n": 99}, {"metric": "accuracy"}, {"confidence": 0.9}])
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
        ({"metric": "roc_auc", "margin": 0.1, "attempts": 0}, "attempts must be between 1"),
        ({"metric": "roc_auc", "margin": 0.1, "material": -1}, "material must not be negative"),
        ({"metric": "roc_auc", "margin": 0.1, "minimum_rows": 5}, "minimumRows must be at least"),
    ],
)
def test_impossible_options_cannot_be_built(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PerformanceRegression(**options)


# -- attempts -------------------------------------------------------------------------------------


def test_the_error_is_shared_by_the_attempts() -> None:
    assert SHARED.each == pytest.approx(0.99)
    assert compared(SHARED, -0.009, 0.02).verdict is Verdict.PASSED
    assert compared(SHARED, -0.009, 0.02, confidence=0.95).verdict is Verdict.ERRORED


def test_the_attempt_beyond_the_budget_cannot_pass_but_can_fail() -> None:
    assert compared(SHARED, -0.009, 0.02, attempt=5).verdict is Verdict.PASSED
    result = compared(SHARED, -0.009, 0.02, attempt=6)
    assert result.verdict is Verdict.ERRORED
    assert "the budget is used up: 5 candidates were measured on these rows" in result.message
    assert "a fresh holdout is needed" in result.message
    assert compared(SHARED, -0.05, -0.02, attempt=6).verdict is Verdict.FAILED


def test_a_comparison_that_counts_no_attempts_is_errored() -> None:
    facts = {"champion": "3", "comparisons": []}
    assert judge(AUC, comparison=facts).verdict is Verdict.ERRORED
    assert compared(AUC, -0.009, 0.02, attempt=None).verdict is Verdict.ERRORED


# -- slices ---------------------------------------------------------------------------------------


def slice_of(name: str, difference: float, n: int = 500, **over: Any) -> dict[str, Any]:
    defaults = {"slice": name, "n": n, "positives": n // 2, "candidate": 0.8, "se": 0.01}
    return {**defaults, "champion": 0.8 - difference, "difference": difference, **over}


def sliced(gate: PerformanceRegression, *slices: dict[str, Any]) -> GateResult:
    return compared(gate, 0.001, 0.02, slices=list(slices))


def test_a_slice_that_fell_fails_the_candidate_though_the_total_rose() -> None:
    result = sliced(AUC, slice_of("SEX=1", 0.03), slice_of("SEX=2", -0.05))
    assert result.verdict is Verdict.FAILED
    assert "a slice is worse: SEX=2" in result.message
    assert result.details is not None
    assert [entry["verdict"] for entry in result.details["slices"]] == ["fine", "regressed"]


def test_a_fall_that_is_not_material_is_not_held_against_it() -> None:
    small = slice_of("SEX=2", -0.0099, se=0.0001)
    assert sliced(AUC, small).verdict is Verdict.PASSED
    strict = PerformanceRegression("roc_auc", margin=0.01, attempts=1, material=0.005)
    assert sliced(strict, small).verdict is Verdict.FAILED


def test_what_only_the_false_discovery_rate_finds_is_a_warning() -> None:
    """A chance of 0.018 in five slices: not under 0.05/5 (Holm), under 0.10/5 (BH)."""
    others = [slice_of(f"x={number}", 0.0) for number in range(4)]
    result = sliced(AUC, slice_of("x=4", -0.021), *others)
    assert result.verdict is Verdict.PASSED
    assert "look at x=4" in result.message
    assert result.details is not None
    assert result.details["warned"] == ["x=4"]


def test_small_slices_are_never_green_and_alone_they_are_errored() -> None:
    small = slice_of("rare", -0.5, n=99)
    result = sliced(AUC, slice_of("SEX=1", 0.0), small)
    assert result.verdict is Verdict.ERRORED
    assert "9.9% of the rows are in slices nobody can assess" in result.message
    lenient = PerformanceRegression("roc_auc", margin=0.01, attempts=1, max_unassessed=0.1)
    result = sliced(lenient, slice_of("SEX=1", 0.0), small)
    assert result.verdict is Verdict.PASSED
    assert "not assessable, too few rows: rare" in result.message
    assert sliced(AUC, small).verdict is Verdict.ERRORED


def test_counts_are_judged_exactly() -> None:
    """Five rows worse and none better: 1/32 by the sign test, where a Wald test says 0.011."""
    gate = PerformanceRegression("accuracy", margin=0.01, attempts=1)
    five = slice_of("a", -0.05, n=100, se=0.0218, worse=5, better=0)
    result = sliced(gate, five)
    assert result.details is not None
    assert result.details["slices"][0]["chance"] == 1 / 32
    assert sliced(gate, five, slice_of("b", 0.0, worse=1, better=1)).verdict is Verdict.PASSED


@given(
    st.lists(st.tuples(st.floats(-0.1, 0.1), st.integers(30, 300)), min_size=1, max_size=6),
    st.floats(-0.03, 0.03),
)
def test_a_fallen_slice_never_passes_and_lower_metrics_mirror(
    slices: list[tuple[float, int]], low: float
) -> None:
    higher = PerformanceRegression("accuracy", margin=0.01, attempts=1)
    lower = PerformanceRegression("brier", margin=0.01, attempts=1)
    up = [slice_of(str(i), change, n) for i, (change, n) in enumerate(slices)]
    down = [slice_of(str(i), -change, n) for i, (change, n) in enumerate(slices)]
    result = compared(higher, low, low + 0.01, slices=up)
    mirror = compared(lower, -low - 0.01, -low, slices=down)
    assert result.verdict is mirror.verdict
    if result.verdict is Verdict.PASSED:
        assert result.details is not None
        assert result.details["regressed"] == []
        assert low > -0.01
