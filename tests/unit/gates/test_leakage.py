from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import Verdict
from airlock.gates.leakage import Leakage
from tests.unit.gates.kit import judge, never_passes_on_nothing

CLEAN: dict[str, Any] = {
    "task": "classification",
    "target": "label",
    "timeColumn": "day",
    "scoreName": "roc_auc",
    "rows": 4000,
    "heldOut": 1000,
    "features": [{"column": "age", "type": "number", "score": 0.8, "equal": 10}],
    "times": [],
    "duplicates": {
        "training": 3000,
        "heldOut": 1000,
        "trainingTwins": 300,
        "heldOutTwins": 100,
        "spectrum": [3500, 150, 20, 5, 2, 1],
    },
    "entity": None,
}
COPY = {"column": "leak", "type": "number", "score": 0.999, "equal": 3960}
LATE = {"column": "paid_on", "of": ["paid"], "later": 7, "worstDays": 30.0}


def over(**changes: Any) -> dict[str, Any]:
    return CLEAN | changes


def copies(**changes: Any) -> dict[str, Any]:
    return over(duplicates=CLEAN["duplicates"] | changes)


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(Leakage())


@pytest.mark.parametrize(
    ("evidence", "verdict", "words"),
    [
        (CLEAN, Verdict.PASSED, "best single feature age roc_auc 0.800, limit 0.95"),
        (over(features=[COPY]), Verdict.FAILED, "equal to it in 99.0% of all rows"),
        (over(features=[{**COPY, "equal": 0}]), Verdict.FAILED, "was it known before the answer?"),
        (over(features=[]), Verdict.ERRORED, "no feature was scored"),
        (over(features=[{**COPY, "score": None}]), Verdict.ERRORED, "no feature was scored"),
        (over(heldOut=0), Verdict.ERRORED, "held-out rows"),
        (over(times=[LATE]), Verdict.FAILED, "paid is from the future in 7 rows: paid_on is up to"),
        (over(times=[{**LATE, "later": 0}]), Verdict.PASSED, "best single feature"),
        (
            over(times=[{**LATE, "later": None}], timeColumn=None),
            Verdict.ERRORED,
            "not judged: whether paid_on is from the future",
        ),
        (over(times=[{**LATE, "later": None}]), Verdict.ERRORED, "were not held against"),
        (
            over(features=[*CLEAN["features"], {**COPY, "type": "list", "score": None}]),
            Verdict.ERRORED,
            "not judged: leak (list)",
        ),
        (copies(heldOutTwins=500), Verdict.FAILED, "of the held-out rows are copies"),
        (copies(spectrum=[0, 2000, 0, 0, 0, 0]), Verdict.FAILED, "are there several times"),
        (copies(heldOutTwins=1001), Verdict.ERRORED, "rows have an equal one"),
        (
            over(entity={"column": "person", "entities": 90, "shared": 3, "rows": 5}),
            Verdict.FAILED,
            "5 held-out rows are about 3 of person",
        ),
        (
            over(entity={"column": "person", "entities": 90, "shared": 0, "rows": 0}),
            Verdict.PASSED,
            "no copies beyond chance",
        ),
        (
            over(task="regression", scoreName="r2", features=[{**COPY, "score": 0.91}]),
            Verdict.FAILED,
            "with r2 0.910 (limit 0.9",
        ),
    ],
)
def test_every_way_to_leak_is_named(evidence: dict[str, Any], verdict: Verdict, words: str) -> None:
    result = judge(Leakage(), leakage=evidence)
    assert result.verdict is verdict, result.message
    assert words in result.message


def test_all_leaks_are_said_at_once() -> None:
    message = judge(Leakage(), leakage=over(features=[COPY], times=[LATE])).message
    assert "leak alone predicts" in message
    assert "from the future" in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_auc": 0.5},
        {"max_auc": 1.0},
        {"max_r2": 0.0},
        {"max_duplicates": 1.0},
        {"max_entities": -0.1},
    ],
)
def test_senseless_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Leakage(**wrong)


def test_what_was_not_judged_may_be_allowed_and_is_named() -> None:
    unscored = {**COPY, "type": "list", "score": None}
    result = judge(Leakage(max_unjudged=1), leakage=over(features=[*CLEAN["features"], unscored]))
    assert (result.verdict, "not judged: leak (list)" in result.message) == (Verdict.PASSED, True)
