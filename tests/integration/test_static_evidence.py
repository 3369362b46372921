"""static-analysis on real repositories with the real ruff and bandit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.adapters.jobs.runner import Lab
from airlock.domain.gates import GateResult, Verdict
from airlock.gates import StaticAnalysis
from tests.integration.code_kit import PACKAGE, Repository, judged, repository, small

pytestmark = pytest.mark.integration

collect = COLLECTORS["static-analysis"]
TRAIN = f"{PACKAGE}/train.py"
SHELL = "\n\ndef run(command):\n    import subprocess\n\n    subprocess.call(command, shell=True)\n"


@pytest.fixture
def code(tmp_path: Path) -> Repository:
    return small(tmp_path)


def look(code: Repository, gate: StaticAnalysis | None = None) -> GateResult:
    """Commit what is there and judge it."""
    return judged(gate or StaticAnalysis(), code.scene(code.commit()), collect)


def test_the_real_package_is_clean_under_the_projects_own_settings(tmp_path: Path) -> None:
    result = look(repository(tmp_path))
    assert result.verdict is Verdict.PASSED, result.message
    assert result.details is not None
    ruff, bandit = result.details["tools"]
    assert (ruff["settings"], bandit["settings"]) == ("pyproject.toml", None)
    assert len(ruff["read"]) == len(bandit["read"]) == 3


def test_findings_are_named_by_rule_file_and_line(code: Repository) -> None:
    code.add(TRAIN, SHELL)
    code.add(TRAIN, "import os\n")
    result = look(code)
    assert result.verdict is Verdict.FAILED
    assert f"F401 in {TRAIN}:9" in result.message
    assert f"B602 in {TRAIN}:8" in result.message


def test_comments_that_switch_a_tool_off_are_listed_where_they_are(code: Repository) -> None:
    code.put(TRAIN, "import os  # noqa: F401\n\nTEXT = '# noqa is only said here'\n")
    code.add(TRAIN, SHELL.replace("True)", "True)  # nosec B602"))
    result = look(code)
    assert result.verdict is Verdict.PASSED
    assert result.details is not None
    found = [(one["kind"], one["line"]) for one in result.details["suppressions"]]
    assert found == [("noqa", 1), ("nosec", 9)]
    assert look(code, StaticAnalysis(max_suppressions=1)).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "settings",
    [
        '[tool.ruff]\nextend-exclude = ["include"]\nforce-exclude = true\n',
        f'[tool.ruff.lint]\nexclude = ["{PACKAGE}/*"]\n',
    ],
)
def test_no_list_of_exclusions_hides_a_file_from_ruff(code: Repository, settings: str) -> None:
    code.put("pyproject.toml", settings)
    code.put(f"{PACKAGE}/ruff.toml", "lint.ignore = ['ALL']\n")
    code.add(TRAIN, "import os\n")
    assert look(code).verdict is Verdict.FAILED


def test_a_file_bandit_was_told_to_leave_out_is_not_taken_for_clean(code: Repository) -> None:
    code.put("pyproject.toml", '[tool.bandit]\nexclude_dirs = ["include"]\n')
    result = look(code)
    assert result.verdict is Verdict.ERRORED
    assert "bandit could not read" in result.message


def test_settings_of_bandit_in_the_folder_itself_do_not_count(code: Repository) -> None:
    code.put(f"{PACKAGE}/.bandit", "[bandit]\nskips: B602\n")
    code.add(TRAIN, SHELL)
    assert look(code).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (TRAIN, "def broken(:\n"),
        ("pyproject.toml", "[tool.ruff]\nno-such-key = 1\n"),
        ("pyproject.toml", '[tool.ruff]\nrequired-version = "==0.0.1"\n'),
        ("pyproject.toml", "[tool.ruff"),
        ("pyproject.toml", '[tool.bandit]\nskips = ["B000-no-such"]\ntests = ["B000"]\n'),
    ],
)
def test_a_tool_that_cannot_work_is_no_clean_bill(code: Repository, path: str, text: str) -> None:
    code.put(path, text)
    assert look(code).verdict is Verdict.ERRORED


def test_a_package_without_python_is_not_judged(code: Repository) -> None:
    for path in (code.root / PACKAGE).glob("*.py"):
        path.unlink()
    code.put(f"{PACKAGE}/README.md", "nothing\n")
    assert look(code).verdict is Verdict.ERRORED


def test_without_the_tools_nothing_is_said(code: Repository, tmp_path: Path) -> None:
    import dataclasses

    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    assert python is not None
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "python").write_text(f'#!/bin/sh\nexec {python} -S "$@"\n')
    (bare / "python").chmod(0o755)
    scene = code.scene(code.commit())
    without = dataclasses.replace(scene, lab=Lab(tmp_path / "lab", python=str(bare / "python")))
    result = judged(StaticAnalysis(), without, collect)
    assert result.verdict is Verdict.ERRORED
    assert "ruff did not do its work" in result.message
    assert "No module named ruff" in result.message
