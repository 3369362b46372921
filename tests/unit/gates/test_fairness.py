from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import GateResult, Verdict
from airlock.gates import Fairness
from tests.unit.gates.kit import judge, never_passes_on_nothing

PARITY = Fairness(demographic_parity=0.1)


def group(name: str, selected: int, n: int = 1000, hits: int | None = None) -> dict[str, Any]:
    counts = {"group": name, "n": n, "positives": n // 2, "selected": selected}
    return {**counts, "truePositives": selected // 2 if hits is None else hits}


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def compared(gate: Fairness, *groups: dict[str, Any], **differences: Any) -> GateResult:
    attribute = {"attribute": "SEX", "groups": list(groups), "differences": differences}
    return measured(gate, [attribute], rows=sum(row["n"] for row in groups))


def measured(gate: Fairness, attributes: list[Any], **over: Any) -> GateResult:
    facts = {"rows": 2000, "confidence": 0.95, "minimumRows": 100, "attributes": attributes}
    return judge(gate, fairness=facts | over)


TWO = (group("SEX=1", 500), group("SEX=2", 440))


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(PARITY)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.02, 0.1, Verdict.PASSED),
        (0.02, 0.11, Verdict.ERRORED),
        (0.1, 0.2, Verdict.ERRORED),
        (0.11, 0.2, Verdict.FAILED),
    ],
)
def test_the_bounds_of_the_difference_decide(low: float, high: float, verdict: Verdict) -> None:
    result = compared(PARITY, *TWO, demographicParity=interval(0.06, low, high))
    assert result.verdict is verdict
    assert (result.measured, result.threshold, result.n) == (high, 0.1, 2000)
    assert "demographicParity of SEX 0.0600" in result.message


def test_a_difference_the_counts_do_not_give_is_errored() -> None:
    assert (
        compared(PARITY, *TWO, demographicParity=interval(0.01, 0, 0.02)).verdict is Verdict.ERRORED
    )


def test_equalized_odds_is_the_larger_of_the_two_rates() -> None:
    gate = Fairness(equalized_odds=0.2)
    # true positive rates 0.8 and 0.7, false positive rates 0.2 and 0.05
    groups = (group("a", 500, hits=400), group("b", 375, hits=350))
    result = compared(gate, *groups, equalizedOdds=interval(0.15, 0.1, 0.19))
    assert result.verdict is Verdict.PASSED
    assert (
        compared(gate, *groups, equalizedOdds=interval(0.1, 0.1, 0.19)).verdict is Verdict.ERRORED
    )


def test_the_worst_attribute_decides() -> None:
    good = {"attribute": "SEX", "groups": list(TWO)}
    good["differences"] = {"demographicParity": interval(0.06, 0.01, 0.08)}
    bad = {
        **good,
        "attribute": "RACE",
        "differences": {"demographicParity": interval(0.06, 0.2, 0.3)},
    }
    alone = {
        "attribute": "AGE",
        "groups": [group("AGE=1", 900, n=2000)],
        "differences": {"demographicParity": None},
    }
    assert measured(PARITY, [good]).verdict is Verdict.PASSED
    result = measured(PARITY, [good, bad, alone])
    assert result.verdict is Verdict.FAILED
    assert "demographicParity of RACE" in result.message
    result = measured(PARITY, [good, alone])
    assert result.verdict is Verdict.ERRORED
    assert "fewer than two groups are large enough" in result.message


def test_small_groups_are_named_and_do_not_count() -> None:
    few = {**group("SEX=3", 90, n=99)}
    one_class = {**group("SEX=4", 900), "positives": 19}
    difference = interval(0.06, 0.01, 0.08)
    result = compared(PARITY, *TWO, few, demographicParity=difference)
    assert result.verdict is Verdict.ERRORED
    assert "4.7% of 2,099 held-out rows are in groups nobody can assess" in result.message
    assert "not assessable, too few rows: SEX=3 (99)" in result.message
    lenient = Fairness(demographic_parity=0.1, max_unassessed=0.05)
    result = compared(lenient, *TWO, few, demographicParity=difference)
    assert result.verdict is Verdict.PASSED
    assert "not assessable, too few rows: SEX=3 (99)" in result.message
    # Who is selected needs no answers: a group of one answer counts there, and not in the errors.
    gap = interval(0.46, 0.4, 0.5)
    assert compared(PARITY, *TWO, one_class, demographicParity=gap).verdict is Verdict.FAILED
    odds = compared(Fairness(equalized_odds=0.2), *TWO, one_class, equalizedOdds=difference)
    assert odds.verdict is Verdict.ERRORED
    assert "SEX=4 (1000)" in odds.message


def test_groups_that_are_not_all_rows_are_errored() -> None:
    attribute = {"attribute": "SEX", "groups": list(TWO)}
    attribute["differences"] = {"demographicParity": interval(0.06, 0.0, 0.08)}
    assert measured(PARITY, [attribute], rows=2001).verdict is Verdict.ERRORED


def test_no_attribute_or_other_options_are_errored() -> None:
    assert measured(PARITY, []).verdict is Verdict.ERRORED
    attribute = {"attribute": "SEX", "groups": list(TWO)}
    attribute["differences"] = {"demographicParity": interval(0.06, 0.0, 0.08)}
    assert measured(PARITY, [attribute], confidence=0.9).verdict is Verdict.ERRORED
    assert measured(PARITY, [attribute], minimumRows=50).verdict is Verdict.ERRORED


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_only_a_bound_within_the_limit_passes(a: int, b: int, low: float, high: float) -> None:
    value = abs(a - b) / 1000
    result = compared(
        PARITY, group("a", a), group("b", b), demographicParity=interval(value, low, high)
    )
    assert (result.verdict is Verdict.PASSED) == (low <= high <= 0.1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "demographicParity or equalizedOdds must be set"),
        ({"demographic_parity": 1.5}, "demographicParity must lie between 0 and 1"),
        ({"equalized_odds": 0.0}, "equalizedOdds must lie between 0 and 1"),
        ({"equalized_odds": 0.1, "confidence": 0.2}, "between 0.5 and 1"),
        ({"equalized_odds": 0.1, "minimum_rows": 3}, "minimumRows must be at least"),
    ],
)
def test_impossible_options_cannot_be_built(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Fairness(**options)
