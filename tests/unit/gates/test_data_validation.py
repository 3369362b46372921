from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import Verdict
from airlock.gates import DataValidation
from tests.unit.gates.kit import judge, never_passes_on_nothing

GOOD: dict[str, Any] = {
    "success": True,
    "evaluated": 9,
    "successful": 9,
    "failed": [],
    "raised": [],
    "unseen": [],
    "rows": 100,
}
RAISED = [{"expectation": "expect_y", "column": "day", "why": "Cannot compare tz-naive"}]
UNSEEN = [{"expectation": "expect_z", "column": "income"}]
BROKEN = [{"expectation": "expect_x", "column": "age", "detail": ""}]


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(DataValidation())


@pytest.mark.parametrize(
    ("over", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"successful": 8, "success": False, "failed": BROKEN}, Verdict.FAILED),
        ({"successful": 8}, Verdict.ERRORED),
        ({"failed": BROKEN}, Verdict.ERRORED),
        ({"success": "yes"}, Verdict.ERRORED),
        ({"successful": 8, "success": False, "raised": RAISED}, Verdict.ERRORED),
        ({"successful": 8, "unseen": UNSEEN}, Verdict.ERRORED),
        ({"successful": 0, "evaluated": 1, "unseen": UNSEEN}, Verdict.ERRORED),
        (
            {"successful": 7, "success": False, "raised": RAISED, "failed": BROKEN},
            Verdict.FAILED,
        ),
        ({"evaluated": 0, "successful": 0}, Verdict.ERRORED),
        ({"rows": 0}, Verdict.ERRORED),
    ],
)
def test_every_expectation_has_to_hold(over: dict[str, Any], verdict: Verdict) -> None:
    assert judge(DataValidation(), data_validation=GOOD | over).verdict is verdict


def test_what_is_broken_is_named() -> None:
    over = {"failed": BROKEN, "successful": 8, "success": False}
    assert "broken: expect_x(age)" in judge(DataValidation(), data_validation=GOOD | over).message


def test_what_raised_and_what_saw_nothing_is_named_with_its_reason() -> None:
    over = {"successful": 7, "success": False, "raised": RAISED, "unseen": UNSEEN}
    message = judge(DataValidation(), data_validation=GOOD | over).message
    assert "could not be checked: expect_y(day): Cannot compare tz-naive" in message
    assert "looked at no value, so hold nothing: expect_z(income)" in message


def test_a_policy_may_let_some_expectations_see_nothing_and_they_are_still_named() -> None:
    gate = DataValidation(max_unseen=1)
    result = judge(gate, data_validation=GOOD | {"successful": 8, "unseen": UNSEEN})
    assert (result.verdict, "8 of 9" in result.message) == (Verdict.PASSED, True)
    assert "expect_z(income)" in result.message


DATED = GOOD | {
    "newest": "2020-01-31",
    "asOf": "2020-02-10",
    "champion": {"version": "3", "rows": 80},
}


@pytest.mark.parametrize(
    ("options", "over", "verdict", "words"),
    [
        ({"max_age_days": 10}, {}, Verdict.PASSED, "is of 2020-01-31, 10 days before 2020-02-10"),
        ({"max_age_days": 9}, {}, Verdict.FAILED, "limit 9: wait for newer rows"),
        ({"max_age_days": 9}, {"newest": None}, Verdict.ERRORED, "no timeColumn"),
        ({"min_rows": 100}, {}, Verdict.PASSED, "9 of 9"),
        ({"min_rows": 101}, {}, Verdict.FAILED, "at least 101 rows are needed"),
        ({"max_change": 1.3}, {}, Verdict.PASSED, "1.25 times the champion's 80 rows"),
        ({"max_change": 1.2}, {}, Verdict.FAILED, "limit a factor of 1.2"),
        ({"max_change": 1.2}, {"rows": 60}, Verdict.FAILED, "0.75 times"),
        ({"max_change": 1.2}, {"champion": None}, Verdict.PASSED, "first release"),
        (
            {"max_change": 2.0},
            {"champion": {"version": "3", "rows": None}},
            Verdict.ERRORED,
            "nobody",
        ),
    ],
)
def test_freshness_and_volume_are_judged_if_asked_for(
    options: dict[str, Any], over: dict[str, Any], verdict: Verdict, words: str
) -> None:
    result = judge(DataValidation(**options), data_validation=DATED | over)
    assert result.verdict is verdict
    assert words in result.message


@pytest.mark.parametrize("option", ["max_age_days", "max_change"])
def test_what_was_not_collected_is_not_judged(option: str) -> None:
    assert judge(DataValidation(**{option: 2.0}), data_validation=GOOD).verdict is Verdict.ERRORED


@pytest.mark.parametrize("wrong", [{"max_age_days": -1.0}, {"min_rows": 0}, {"max_change": 1.0}])
def test_senseless_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DataValidation(**wrong)
