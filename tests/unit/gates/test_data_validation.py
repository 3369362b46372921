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
    "rows": 100,
}
BROKEN = [{"expectation": "expect_x", "column": "age", "detail": ""}]


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(DataValidation())


@pytest.mark.parametrize(
    ("over", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"successful": 8, "success": False, "failed": BROKEN}, Verdict.FAILED),
        ({"successful": 8}, Verdict.FAILED),
        ({"failed": BROKEN}, Verdict.FAILED),
        ({"success": "yes"}, Verdict.FAILED),
        ({"evaluated": 0, "successful": 0}, Verdict.ERRORED),
        ({"rows": 0}, Verdict.ERRORED),
    ],
)
def test_every_expectation_has_to_hold(over: dict[str, Any], verdict: Verdict) -> None:
    assert judge(DataValidation(), data_validation=GOOD | over).verdict is verdict


def test_what_is_broken_is_named() -> None:
    result = judge(DataValidation(), data_validation=GOOD | {"failed": BROKEN, "successful": 8})
    assert "broken: expect_x(age)" in result.message
