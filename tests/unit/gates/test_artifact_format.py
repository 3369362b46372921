from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import Verdict
from airlock.gates import ArtifactFormat
from tests.unit.gates.kit import ARTIFACT, judge, never_passes_on_nothing

MODEL = {"path": "model.skops", "format": "skops"}
MLMODEL = {"path": "MLmodel", "format": "mlmodel"}


def facts(*files: dict[str, str], **over: Any) -> dict[str, Any]:
    defaults = {"manifestDigest": ARTIFACT, "files": list(files), "unknown": []}
    return defaults | {"loaderModule": "mlflow.sklearn", "code": None} | over


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(ArtifactFormat())


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (facts(MODEL, MLMODEL), Verdict.PASSED),
        (facts(MODEL, MLMODEL, {"path": "x.bin", "format": "pickle"}), Verdict.FAILED),
        (facts(MODEL, MLMODEL, {"path": "x", "format": "unknown"}), Verdict.FAILED),
        (facts(MLMODEL), Verdict.FAILED),
        (facts(MODEL), Verdict.FAILED),
        (facts(MODEL, MLMODEL, loaderModule="evil"), Verdict.FAILED),
        (facts(MODEL, MLMODEL, loaderModule=None), Verdict.FAILED),
        (facts(MODEL, MLMODEL, code="code"), Verdict.FAILED),
        (facts(MODEL, MLMODEL, unknown=["y"]), Verdict.FAILED),
        (facts(), Verdict.ERRORED),
        (facts(MODEL, MLMODEL, manifestDigest="sha256:" + "b" * 64), Verdict.ERRORED),
    ],
)
def test_only_what_cannot_run_code_passes(evidence: dict[str, Any], verdict: Verdict) -> None:
    assert judge(ArtifactFormat(), artifact_format=evidence).verdict is verdict


def test_the_file_that_is_not_allowed_is_named() -> None:
    evidence = facts(MODEL, {"path": "code/evil.py", "format": "python"})
    assert "code/evil.py (python)" in judge(ArtifactFormat(), artifact_format=evidence).message


@pytest.mark.parametrize("allowed", [(), ("pickle",), ("skops", "joblib")])
def test_the_allow_list_can_only_shrink(allowed: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="allowed must name some of"):
        ArtifactFormat(allowed)
