"""Code outside the model's folder that the model imports is judged as the model's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.adapters.jobs import checkout
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.domain.gates import Evidence, GateResult, Verdict, run_gate
from airlock.gates import StaticAnalysis, TestCoverage
from tests.integration.code_kit import ARTIFACT, PACKAGE, Repository, judged, kept, small
from tests.support import ROOT

pytestmark = pytest.mark.integration
SHARED = "include/models/common/prep.py"
USES = "from models.common.prep import features\n\n\ndef double(x):\n    return features(x)\n"
SHELL = "\n\ndef run(command):\n    import subprocess\n\n    subprocess.call(command, shell=True)\n"


@pytest.fixture
def code(tmp_path: Path) -> Repository:
    """Return a repository whose model imports a file beside its folder."""
    made = small(tmp_path)
    made.put("include/models/common/__init__.py", "")
    made.put(SHARED, "def features(x):\n    return 2 * x\n")
    made.put(f"{PACKAGE}/train.py", USES)
    made.commit()
    return made


def analysed(code: Repository) -> GateResult:
    return judged(StaticAnalysis(), code.scene(code.commit()), COLLECTORS["static-analysis"])


def covered(code: Repository, champion: str | None = None) -> GateResult:
    scene = code.scene(code.commit(), champion)
    gate = TestCoverage(total=50, changed_lines=90)
    return judged(gate, scene, COLLECTORS["test-coverage"])


def test_shared_code_is_among_what_is_judged(code: Repository) -> None:
    facts = COLLECTORS["static-analysis"](code.scene(code.commit())).facts
    assert SHARED in facts["sources"]
    assert facts["outside"] == ["include/models/common/__init__.py", SHARED]
    result = covered(code)
    assert result.verdict is Verdict.PASSED, result.message
    assert result.details is not None
    sizes = {one["path"]: one["statements"] for one in result.details["sources"]}
    assert sizes[SHARED] == 2


def test_a_finding_in_shared_code_counts(code: Repository) -> None:
    assert analysed(code).verdict is Verdict.PASSED
    code.add(SHARED, SHELL)
    result = analysed(code)
    assert result.verdict is Verdict.FAILED
    assert f"B602 in {SHARED}:8" in result.message


def test_a_new_line_of_shared_code_that_no_test_runs_counts(code: Repository) -> None:
    champion = code.commit()
    code.add(SHARED, "\n\ndef never(x):\n    if x:\n        return 1\n    return 0\n")
    result = covered(code, champion)
    assert result.verdict is Verdict.FAILED
    assert "new lines" in result.message
    assert SHARED in result.message


def test_shared_code_that_is_not_used_is_not_the_models(code: Repository) -> None:
    code.put("include/models/common/other.py", "import os\n" + SHELL)
    assert analysed(code).verdict is Verdict.PASSED


@pytest.mark.parametrize("name", ["changed", "not in git"])
def test_shared_code_on_disk_that_is_not_the_commits_is_refused(
    code: Repository, name: str
) -> None:
    head = code.commit()
    if name == "changed":
        code.add(SHARED, "FACTOR = 2.5\n")
    else:
        code.put("include/models/common/features.py", "")  # `from models.common.prep import` it
        code.put("include/models/common/prep/__init__.py", "features = abs\n")
    for gate in (StaticAnalysis(), TestCoverage()):
        result = judged(gate, code.scene(head), COLLECTORS[gate.name])
        assert result.verdict is Verdict.ERRORED
        assert "on disk are not those" in result.message


def test_shared_code_behind_a_link_is_refused(code: Repository) -> None:
    (code.root / "lib").mkdir()
    (code.root / SHARED).rename(code.root / "lib" / "prep.py")
    (code.root / SHARED).symlink_to("../../../lib/prep.py")
    result = analysed(code)
    assert result.verdict is Verdict.ERRORED
    assert "link" in result.message


def test_code_that_could_not_be_followed_never_passes(code: Repository) -> None:
    for gate in (StaticAnalysis(), TestCoverage(total=50)):
        facts = kept(COLLECTORS[gate.name](code.scene(code.commit())))
        unclear = facts | {"unclear": ["more than 5000 files"]}
        verdicts = [
            run_gate(gate, {gate.name: Evidence(gate.name, ARTIFACT, found)}).verdict
            for found in (facts, unclear)
        ]
        assert verdicts == [Verdict.PASSED, Verdict.ERRORED]


def test_airlocks_own_packages_are_all_named() -> None:
    ours = {f"include/{path.parent.name}/" for path in ROOT.glob("include/airlock*/__init__.py")}
    assert ours == set(checkout.AIRLOCKS)
