from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import Verdict
from airlock.gates.label_balance import LabelBalance
from tests.unit.gates.kit import judge, never_passes_on_nothing


def facts(
    now: list[int], before: list[int] | None = None, task: str = "classification", **over: Any
) -> dict[str, Any]:
    labels = ["0", "1"] if task == "classification" else ["bin 1", "bin 2", "bin 3"]
    tail = ["(other)", "(new)"] if task == "classification" else ["(missing)"]
    zeros = [0] * len(tail)
    column = {
        "column": "label",
        "kind": "values" if task == "classification" else "numbers",
        "labels": [*labels, *tail],
        "current": [*now, *zeros],
        "reference": [*before, *zeros] if before else None,
    }
    return {
        "task": task,
        "target": "label",
        "champion": "3" if before else None,
        "rows": {"current": sum(now), "reference": sum(before or [])},
        "columns": [column | over],
    }


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(LabelBalance())


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (facts([50, 50]), Verdict.PASSED),
        (facts([995, 5]), Verdict.FAILED),
        (facts([50, 50], [52, 48]), Verdict.PASSED),
        (facts([50, 50], [60, 40]), Verdict.FAILED),
        (facts([100]), Verdict.ERRORED),
        (facts([0, 0]), Verdict.ERRORED),
        (
            facts([50, 40], labels=["0", "1", "(other)", "(missing)"], current=[50, 40, 0, 9])
            | {"rows": {"current": 99}},
            Verdict.ERRORED,
        ),
        (facts([50, 50], current=[50, 40, 0, 10]), Verdict.ERRORED),
        (facts([40, 30, 30], [40, 30, 30], "regression", ks=0.01), Verdict.PASSED),
        (facts([40, 30, 30], [40, 30, 30], "regression", ks=0.06), Verdict.FAILED),
        (facts([999, 1, 0], None, "regression"), Verdict.FAILED),
    ],
)
def test_the_answers_have_to_be_there_and_be_as_before(
    evidence: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(LabelBalance(), label_balance=evidence).verdict is verdict


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_for_two_classes_the_change_is_that_of_the_share(a: int, b: int, c: int, d: int) -> None:
    result = judge(LabelBalance(), label_balance=facts([a, b], [c, d]))
    assert result.details is not None
    assert result.details["change"] == pytest.approx(abs(b / (a + b) - d / (c + d)))
    assert result.measured == pytest.approx(min(a, b) / (a + b))


def test_the_order_of_the_counts_changes_nothing() -> None:
    shuffled = facts(
        [1, 2, 3],
        [3, 2, 1],
        "regression",
        kind="values",
        labels=["10", "2", "1", "(new)"],
        reference=[10, 20, 70, 0],
        current=[10, 60, 30, 0],
    )
    result = judge(
        LabelBalance(), label_balance=shuffled | {"rows": {"current": 100, "reference": 100}}
    )
    assert result.details is not None
    assert result.details["change"] == pytest.approx(0.4)


def test_a_first_release_says_so() -> None:
    assert "first release" in judge(LabelBalance(), label_balance=facts([50, 50])).message


@pytest.mark.parametrize("wrong", [{"min_share": 0.0}, {"min_share": 0.6}, {"max_change": 0.0}])
def test_senseless_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LabelBalance(**wrong)
