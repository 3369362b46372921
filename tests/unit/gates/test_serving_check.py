from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import Verdict
from airlock.gates import ServingCheck
from airlock.gates.serving_check import WRONG_INPUTS
from airlock.serving.wrong_inputs import WRONG
from tests.unit.gates.kit import ARTIFACT, judge, never_passes_on_nothing

COLUMN = {"name": "age", "type": "long", "required": True}


def wrong(**outcomes: str) -> list[dict[str, str]]:
    """Refuse every wrong input except those in *outcomes* (with _ for a blank)."""
    results = {name: "refused" for name in WRONG_INPUTS}
    results |= {name.replace("_", " "): outcome for name, outcome in outcomes.items()}
    return [{"name": name, "outcome": outcome, "said": ""} for name, outcome in results.items()]


def facts(**changes: Any) -> dict[str, Any]:
    """A model that answers 100 requests as it was evaluated."""
    return {
        "artifactDigest": ARTIFACT,
        "loaded": True,
        "requests": 100,
        "heldOut": 5000,
        "answered": 100,
        "unanswered": [],
        "differing": 0,
        "maxDifference": 0.0,
        "scale": 1.0,
        "schema": {"declared": [COLUMN], "equal": True, "differences": []},
        "wrongInputs": wrong(),
    } | changes


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(ServingCheck())
    for broken in (
        facts(requests=0, heldOut=0, answered=0),
        facts(requests=99),
        facts(wrongInputs=[]),
        facts(wrongInputs=wrong()[1:]),
        facts(wrongInputs=wrong(nulls="unsure")),
        facts(maxDifference=None),
        facts(maxDifference=-1.0),
        facts(artifactDigest="sha256:" + "b" * 64),
    ):
        assert judge(ServingCheck(), serving_check=broken).verdict is Verdict.ERRORED


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"maxDifference": 0.01, "differing": 3}, "3 of 100 answers differ from the evaluation's"),
        ({"answered": 98, "unanswered": ["ValueError: no"]}, "2 of 100 requests were not answered"),
        (
            {"answered": 0, "maxDifference": None, "unanswered": ["ValueError: no"]},
            r"100 of 100 requests were not answered \(ValueError: no\)",
        ),
        ({"loaded": False, "why": "it is a pickle"}, "cannot be served: it is a pickle"),
        ({"schema": {"declared": [], "equal": False, "differences": ["none"]}}, "the signature"),
        ({"schema": {"declared": [], "equal": True, "differences": []}}, "the signature"),
        ({"wrongInputs": wrong(unknown_column="answered")}, "unknown column: answered"),
        ({"wrongInputs": wrong(wrong_type="answered")}, "wrong type: answered"),
        ({"wrongInputs": wrong(missing_column="broke")}, "missing column: broke"),
        ({"wrongInputs": wrong(no_rows="not applicable")}, "no rows: not applicable"),
    ],
)
def test_what_no_metric_shows_is_a_no(changes: dict[str, Any], pattern: str) -> None:
    import re

    result = judge(ServingCheck(), serving_check=facts(**changes))
    assert result.verdict is Verdict.FAILED
    assert re.search(pattern, result.message)


def test_a_model_that_allows_gaps_everywhere_may_answer_them() -> None:
    evidence = facts(wrongInputs=wrong(nulls="not applicable"))
    assert judge(ServingCheck(), serving_check=evidence).verdict is Verdict.PASSED


def test_few_held_out_rows_are_enough_if_all_were_sent() -> None:
    evidence = facts(requests=30, heldOut=30, answered=30)
    assert judge(ServingCheck(), serving_check=evidence).verdict is Verdict.PASSED


def test_the_rounding_of_sums_is_no_difference() -> None:
    assert judge(ServingCheck(), serving_check=facts(maxDifference=2e-15)).verdict == "PASSED"
    large = facts(maxDifference=2e-9, scale=1e6)
    assert judge(ServingCheck(), serving_check=large).verdict == "PASSED"
    assert judge(ServingCheck(), serving_check=facts(maxDifference=2e-9)).verdict == "FAILED"


@given(st.floats(0, 10), st.floats(1e-6, 10))
def test_an_answer_passes_exactly_within_the_tolerance(apart: float, tolerance: float) -> None:
    evidence = facts(maxDifference=apart, differing=1)
    verdict = judge(ServingCheck(tolerance), serving_check=evidence).verdict
    assert verdict is (Verdict.PASSED if apart <= tolerance else Verdict.FAILED)


def test_the_serving_code_sends_every_wrong_input_the_gate_asks_for() -> None:
    assert tuple(WRONG) == WRONG_INPUTS


@pytest.mark.parametrize(
    "options", [{"tolerance": -1}, {"tolerance": float("nan")}, {"requests": 0}]
)
def test_senseless_options_cannot_be_built(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ServingCheck(**options)
