"""Conditions: what a machine checks, and what somebody has to mend."""

from __future__ import annotations

import pytest

from airlock.domain.approval.approval_conditions import (
    EVERYBODY,
    UNCONDITIONAL,
    Conditions,
    Demand,
    Finding,
    Reach,
    enforce,
)
from airlock.domain.errors import Refused

FULL = Conditions(
    max_traffic_share=0.25,
    segments=("staff", "beta"),
    expires_at="2026-02-01",
    findings=(Demand(text="explain age", owner="ana", due="2026-03-01"),),
)


@pytest.mark.parametrize("conditions", [UNCONDITIONAL, FULL, Conditions(segments=("a",))])
def test_conditions_come_back_as_they_were_written(conditions: Conditions) -> None:
    assert Conditions.from_document(conditions.to_document()) == conditions
    assert bool(conditions) == (conditions is not UNCONDITIONAL)


CASES = {
    "nothing is asked": (UNCONDITIONAL, EVERYBODY, "2026-01-01", True),
    "within share and segment": (FULL, Reach(0.25, ("staff",)), "2026-01-01", True),
    "a larger share": (FULL, Reach(0.26, ("staff",)), "2026-01-01", False),
    "another segment": (FULL, Reach(0.1, ("staff", "all")), "2026-01-01", False),
    "no segment is everybody": (FULL, Reach(0.1), "2026-01-01", False),
    "at its end it is over": (FULL, Reach(0.1, ("staff",)), "2026-02-01", False),
}


@pytest.mark.parametrize("sentence", CASES)
def test_what_a_machine_can_check_is_enforced(sentence: str) -> None:
    conditions, reach, now, allowed = CASES[sentence]
    if allowed:
        enforce([("lena", conditions)], reach, now)
    else:
        with pytest.raises(Refused):
            enforce([("lena", conditions)], reach, now)


def test_the_strictest_of_several_counts() -> None:
    wide, narrow = Conditions(max_traffic_share=0.5), Conditions(max_traffic_share=0.1)
    with pytest.raises(Refused, match="carla approved at most 10%"):
        enforce([("lena", wide), ("carla", narrow)], Reach(0.2), "2026-01-01")


def test_a_finding_is_overdue_until_it_is_closed() -> None:
    fields = {"id": "f", "release": "r", "model": "m", "text": "t", "owner": "o", "raised_by": "l"}
    assert not Finding(due="2026-01-02", **fields).overdue("2026-01-01")
    assert Finding(due="2026-01-02", **fields).overdue("2026-01-02")
    assert not Finding(due="2026-01-02", closed_at="2026-01-03", **fields).overdue("2026-02-01")
