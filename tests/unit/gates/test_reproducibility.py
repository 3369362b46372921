from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import Verdict
from airlock.gates import Reproducibility
from tests.unit.gates.kit import ARTIFACT, judge, never_passes_on_nothing

LOCK = "sha256:" + "1" * 64


def facts(auc: float = 0.8, differing: int = 0, **changes: Any) -> dict[str, Any]:
    """A candidate whose roc_auc is 0.8, and the one trained again."""
    return {
        "artifactDigest": ARTIFACT,
        "codeCommit": {"candidate": "abc", "now": "abc"},
        "lockDigest": {"candidate": LOCK, "now": LOCK},
        "seed": 7,
        "rows": 1000,
        "metrics": {
            "candidate": {"roc_auc": 0.8, "brier": 0.1},
            "again": {"roc_auc": auc, "brier": 0.1},
        },
        "predictions": {"differing": differing, "maxDifference": 1e-9 if differing else 0.0},
        "bytesEqual": False,
        "digestEqual": True,
    } | changes


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(Reproducibility())
    for broken in (
        facts(rows=0),
        facts(metrics={"candidate": {}, "again": {}}),
        facts(metrics={"candidate": {"roc_auc": 0.8}, "again": {"brier": 0.1}}),
        facts(artifactDigest="sha256:" + "b" * 64),
        facts(auc=None),  # type: ignore[arg-type]  # evidence is JSON, which has no NaN
    ):
        assert judge(Reproducibility(), reproducibility=broken).verdict is Verdict.ERRORED


@pytest.mark.parametrize(
    ("gate", "evidence", "verdict"),
    [
        (Reproducibility(), facts(), Verdict.PASSED),
        (Reproducibility(), facts(0.8 + 1e-12), Verdict.FAILED),
        (Reproducibility(), facts(differing=3), Verdict.FAILED),
        (Reproducibility(), facts(digestEqual=False), Verdict.PASSED),
        (Reproducibility(bytes=True), facts(), Verdict.PASSED),
        (Reproducibility(bytes=True), facts(digestEqual=False), Verdict.FAILED),
        (Reproducibility(tolerance=0.01), facts(0.795, differing=900), Verdict.PASSED),
        (Reproducibility(tolerance=0.01), facts(0.78), Verdict.FAILED),
    ],
)
def test_the_model_trained_again_has_to_be_the_same(
    gate: Reproducibility, evidence: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(gate, reproducibility=evidence).verdict is verdict


def test_what_differs_is_named_with_both_numbers() -> None:
    result = judge(Reproducibility(), reproducibility=facts(0.75))
    assert "roc_auc 0.8 became 0.75, allowed 0" in result.message


@pytest.mark.parametrize(
    ("field", "then", "now", "words"),
    [
        ("codeCommit", "abc", "def", "the code here is def, the candidate's was abc"),
        ("codeCommit", "abc", "abc+dirty:sha256:12", "the code here is abc+dirty:sha256:12"),
        ("lockDigest", LOCK, "sha256:" + "2" * 64, "the lock here is 222222222222"),
        ("lockDigest", "", LOCK, "the candidate's was not recorded"),
        ("lockDigest", "", "", "not recorded"),
    ],
)
def test_with_other_code_or_libraries_nothing_can_be_told(
    field: str, then: str, now: str, words: str
) -> None:
    evidence = facts(**{field: {"candidate": then, "now": now}})
    result = judge(Reproducibility(tolerance=1), reproducibility=evidence)
    assert result.verdict is Verdict.ERRORED
    assert words in result.message


@given(st.floats(0, 1), st.floats(0, 0.5))
def test_a_metric_passes_exactly_within_the_tolerance(auc: float, tolerance: float) -> None:
    gate, evidence = Reproducibility(tolerance), facts(auc)
    expected = Verdict.PASSED if abs(auc - 0.8) <= tolerance else Verdict.FAILED
    assert judge(gate, reproducibility=evidence).verdict is expected


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_a_senseless_tolerance_cannot_be_built(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance must be at least 0"):
        Reproducibility(tolerance)
