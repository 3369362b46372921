from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import Verdict
from airlock.gates.train_serving_skew import TrainServingSkew
from tests.unit.gates.kit import judge, never_passes_on_nothing
from tests.unit.gates.test_drift import MOVED, column, facts

NEWS = column(current=[500, 480, 0, 20], unseen={"rows": 20, "values": ["7"]})


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(TrainServingSkew())


def test_the_first_release_passes_and_says_so() -> None:
    result = judge(TrainServingSkew(), train_serving_skew={"champion": None})
    assert result.verdict is Verdict.PASSED
    assert "first release" in result.message


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (facts(), Verdict.PASSED),
        (facts(column(), MOVED), Verdict.FAILED),
        (facts(missing=["age"]), Verdict.FAILED),
        (facts(extra=["request"]), Verdict.FAILED),
        (facts(column(types=["number", "text"], kind="incomparable"), column("x")), Verdict.FAILED),
        (facts(NEWS), Verdict.FAILED),
        (facts(columns=[]), Verdict.ERRORED),
        (facts(rows={"reference": 1000, "current": 0}), Verdict.ERRORED),
        (facts(rows={"reference": 1000, "current": 400}), Verdict.ERRORED),
    ],
)
def test_requests_have_to_be_like_training_rows(evidence: dict[str, Any], verdict: Verdict) -> None:
    assert judge(TrainServingSkew(), train_serving_skew=evidence).verdict is verdict


def test_what_is_wrong_is_named() -> None:
    evidence = facts(NEWS, MOVED, missing=["sex"], extra=["id"])
    message = judge(TrainServingSkew(), train_serving_skew=evidence).message
    for text in ("sex is missing", "id is not asked for", "age holds 7 in 20 requests", "region ("):
        assert text in message


def test_what_is_ignored_or_rare_enough_does_not_count() -> None:
    evidence = facts(NEWS, MOVED, extra=["id"])
    gate = TrainServingSkew(ignore=("id", "region"), unseen=0.02)
    assert judge(gate, train_serving_skew=evidence).verdict is Verdict.PASSED


@pytest.mark.parametrize("wrong", [{"unseen": 1.0}, {"min_rows": 0}, {"psi": -1.0}])
def test_senseless_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainServingSkew(**wrong)
