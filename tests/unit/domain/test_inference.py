"""The arithmetic of the statistical gates against closed forms and definitions."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain import hypothesis_tests


def test_the_error_is_shared_by_all_attempts() -> None:
    assert hypothesis_tests.shared(0.95, 1) == 0.95
    assert hypothesis_tests.shared(0.95, 5) == pytest.approx(0.99)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 300), st.floats(0.6, 0.999))
def test_tango_holds_the_difference_and_mirrors(
    better: int, worse: int, same: int, confidence: float
) -> None:
    n = better + worse + same + 1
    low, high = hypothesis_tests.tango(better, worse, n, confidence)
    assert -1 <= low <= (better - worse) / n <= high <= 1
    back = hypothesis_tests.tango(worse, better, n, confidence)
    assert back == pytest.approx((-high, -low), abs=1e-9)


def test_tango_without_any_differing_row_is_the_score_bound_of_none() -> None:
    z = NormalDist().inv_cdf(0.95)
    _, high = hypothesis_tests.tango(0, 0, 100, 0.95)
    assert high == pytest.approx(z * z / (100 + z * z))


def test_tango_at_no_difference_is_mcnemars_test() -> None:
    """The confidence at which zero is the bound is that of (b - c) / sqrt(b + c)."""
    confidence = NormalDist().cdf((30 - 14) / math.sqrt(44))
    low, _ = hypothesis_tests.tango(30, 14, 500, confidence)
    assert low == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 500), st.integers(1, 500), st.floats(0.6, 0.999))
def test_wilson_is_where_the_score_test_rejects(hits: int, n: int, confidence: float) -> None:
    hits = min(hits, n)
    low, high = hypothesis_tests.wilson(hits, n, confidence)
    assert 0 <= low <= hits / n + 1e-9
    assert hits / n - 1e-9 <= high <= 1
    for bound in (low, high):
        if 1e-6 < bound < 1 - 1e-6:
            z = abs(hits / n - bound) / math.sqrt(bound * (1 - bound) / n)
            assert z == pytest.approx(hypothesis_tests.z_of(confidence), rel=1e-6)


def test_the_sign_test_is_exact() -> None:
    assert hypothesis_tests.sign_test(0, 0) == 1
    assert hypothesis_tests.sign_test(5, 0) == 1 / 32
    assert hypothesis_tests.sign_test(2, 1) == 0.5


def test_a_difference_without_an_error_is_certain() -> None:
    assert hypothesis_tests.normal_test(-0.1, 0.0) == 0
    assert hypothesis_tests.normal_test(0.0, 0.0) == 1
    assert hypothesis_tests.normal_test(-1.645, 1.0) == pytest.approx(0.05, abs=1e-3)


def test_no_tests_reject_nothing() -> None:
    assert (
        hypothesis_tests.holm([], 0.05)
        == hypothesis_tests.benjamini_hochberg([], 0.05)
        == frozenset()
    )


@pytest.mark.parametrize(
    ("discordance", "power", "rows"),
    [(0.02, 0.8, 1237), (0.02, 0.9, 1713), (0.06, 0.8, 3710), (0.12, 0.9, 10277)],
)
def test_the_rows_a_margin_needs_are_those_measured(
    discordance: float, power: float, rows: int
) -> None:
    estimate = hypothesis_tests.rows_needed(math.sqrt(discordance), 0.01, 0.95, power)
    assert estimate == pytest.approx(rows, abs=1)
    assert hypothesis_tests.rows_needed(
        math.sqrt(discordance), 0.005, 0.95, power
    ) == pytest.approx(4 * rows, abs=4)


def test_planned_are_as_many_rounded_up() -> None:
    assert hypothesis_tests.rows_planned(math.sqrt(0.06), 0.01, 0.95) == 3800
    assert hypothesis_tests.rows_planned(0.001, 0.01, 0.95) == 1
    assert hypothesis_tests.rows_planned(0.02, 0.01, 0.95) == 25


def test_equal_rankings_need_no_rows_and_a_rare_class_needs_more() -> None:
    assert hypothesis_tests.auc_deviation(0.85, 0.1, 1.0) == 0
    assert hypothesis_tests.auc_deviation(0.85, 0.1, 0.9) > hypothesis_tests.auc_deviation(
        0.85, 0.5, 0.9
    )
