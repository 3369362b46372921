from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import Verdict
from airlock.gates import ArtifactScan
from airlock.gates.artifact_scan import SCANNERS
from tests.unit.gates.kit import ARTIFACT, judge, never_passes_on_nothing

OTHER = "sha256:" + "b" * 64
FORMATS = {
    "manifestDigest": ARTIFACT,
    "files": [{"path": "model.skops", "format": "skops"}, {"path": "MLmodel", "format": "mlmodel"}],
    "unknown": [],
    "refusals": [],
    "loaderModule": "mlflow.sklearn",
    "code": None,
}
PICKLED = FORMATS | {"files": [*FORMATS["files"], {"path": "x.pkl", "format": "pickle"}]}  # type: ignore[misc]


def report(name: str, **over: Any) -> dict[str, Any]:
    defaults = {"name": name, "version": "1.0", "status": "clean", "why": "", "control": "found"}
    return defaults | {"read": 3, "findings": []} | over


def facts(*reports: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {"manifestDigest": ARTIFACT, "scanners": list(reports)} | over


def three(**over: Any) -> dict[str, Any]:
    first, *others = SCANNERS
    return facts(report(first, **over), *(report(name) for name in others))


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(ArtifactScan())


def test_no_report_is_not_a_clean_one() -> None:
    result = judge(ArtifactScan(), artifact_format=FORMATS, artifact_scan=facts())
    assert result.verdict is Verdict.ERRORED
    assert "did not run" in result.message


INFECTED = {"status": "found", "findings": [{"file": "a.pkl", "what": "os.system"}]}


@pytest.mark.parametrize(
    ("formats", "scan", "verdict"),
    [
        (FORMATS, three(), Verdict.PASSED),
        (FORMATS, three(status="nothing", read=0), Verdict.PASSED),
        (PICKLED, three(status="nothing", read=0), Verdict.ERRORED),
        (PICKLED, three(status="clean", read=0), Verdict.ERRORED),
        (FORMATS, three(**INFECTED), Verdict.FAILED),
        (FORMATS, three(**INFECTED, control="missed"), Verdict.FAILED),
        (FORMATS, three(control="missed"), Verdict.ERRORED),
        (FORMATS, three(control=""), Verdict.ERRORED),
        (FORMATS, three(status="missing", why="no such program"), Verdict.ERRORED),
        (FORMATS, three(status="error", why="it crashed"), Verdict.ERRORED),
        (FORMATS, three(status="fine"), Verdict.ERRORED),
        (FORMATS, facts(report("fickling"), report("modelscan")), Verdict.ERRORED),
        (FORMATS, three() | {"manifestDigest": OTHER}, Verdict.ERRORED),
        (FORMATS | {"manifestDigest": OTHER}, three(), Verdict.ERRORED),
    ],
)
def test_only_three_shown_to_work_and_finding_nothing_pass(
    formats: dict[str, Any], scan: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(ArtifactScan(), artifact_format=formats, artifact_scan=scan).verdict is verdict


def test_what_was_found_is_named_with_who_found_it() -> None:
    result = judge(ArtifactScan(), artifact_format=FORMATS, artifact_scan=three(**INFECTED))
    assert result.message == "fickling 1.0 found os.system in a.pkl"


def test_a_finding_weighs_more_than_a_crash_of_another() -> None:
    reports = facts(report("fickling", status="error"), report("modelscan", **INFECTED))
    assert judge(ArtifactScan(), artifact_format=FORMATS, artifact_scan=reports).verdict is (
        Verdict.FAILED
    )


@pytest.mark.parametrize("scanners", [(), ("clamav",), ("modelscan", "clamav")])
def test_only_scanners_that_can_run_may_be_asked_for(scanners: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="scanners must name some of"):
        ArtifactScan(scanners)
