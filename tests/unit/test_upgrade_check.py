"""`make upgrade-check`: what it reads out of pins, what it reports, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.upgrade import __main__ as check
from tests.upgrade import look
from tests.upgrade.versions import Move, lifted, moves, named, versions

pytestmark = pytest.mark.unit
PROJECT = """
[project]
dependencies = ["alembic>=1.14", "sqlalchemy>=2.0.36,<3"]
[project.optional-dependencies]
mlflow = ["mlflow==3.18.0", "skops>=0.16"]
gates = ["cyclonedx-python-lib[json-validation]>=11", "alembic>=1.14"]
[dependency-groups]
dev = ["moto[s3]==5.0"]
"""
LOCK = """
mlflow==3.18.0 \\
    --hash=sha256:00
    # via airlock (pyproject.toml)
SQLAlchemy==2.1.9
colorama==0.4 ; sys_platform == 'win32'
"""


def test_exact_pins_are_lifted_and_bounds_stay() -> None:
    requirements = lifted(PROJECT)
    assert "mlflow>=3.18.0" in requirements
    assert "sqlalchemy>=2.0.36,<3" in requirements
    assert "moto[s3]>=5.0" in requirements
    assert requirements.count("alembic>=1.14") == 1
    assert named(requirements)[-3:] == ["skops", "cyclonedx-python-lib", "moto"]


def test_the_real_project_leaves_no_exact_pin() -> None:
    requirements = lifted((ROOT / "pyproject.toml").read_text())
    assert [requirement for requirement in requirements if "==" in requirement] == []
    assert {"mlflow", "apache-airflow", "great-expectations"} <= set(named(requirements))


def test_what_moves_and_what_is_held_back_is_said() -> None:
    pinned = versions(LOCK)
    assert pinned == {"mlflow": "3.18.0", "sqlalchemy": "2.1.9", "colorama": "0.4"}
    tried = {"mlflow": "3.19.0", "sqlalchemy": "2.1.9", "moto": "5.0", "skops": "0.16"}
    newest = {"mlflow": "3.19.0", "sqlalchemy": "3.0", "moto": "5.0", "skops": "0.16"}
    changes = moves(
        ["mlflow", "sqlalchemy", "moto", "skops"], pinned | {"skops": "0.16"}, tried, newest
    )
    assert [str(change) for change in changes] == [
        "mlflow 3.18.0 -> 3.19.0",
        "sqlalchemy 2.1.9 -> 2.1.9 (held back: 3.0 exists)",
        "moto nothing -> 5.0",
    ]


def test_the_report_names_what_is_unclassified_or_broken() -> None:
    moved = [Move("mlflow", "3.18.0", "3.19.0", "3.19.0")]
    problems = {"imports": [], "guard": ["this MLflow has addresses nobody has classified: x"]}
    report = check.report(moved, problems)
    assert "  mlflow 3.18.0 -> 3.19.0" in report
    assert "imports: passes" in report
    assert "guard: 1 to look at\n  this MLflow has addresses" in report
    assert "Not yet: look at guard" in report
    assert check.document(moved, problems)["passes"] is False
    assert "everything is the newest" in check.report([], {"imports": []})
    assert "All of it passes" in check.report([], {"imports": []})


@pytest.mark.parametrize(
    ("program", "problems"),
    [
        ("print('noise'); print('[]')", []),
        ("print('[\"one\"]')", ["one"]),
        ("raise SystemExit('gone')", ["it broke: gone"]),
        ("print('noise')", ["it broke: it said nothing"]),
    ],
)
def test_a_look_that_breaks_is_a_problem_and_not_a_pass(program: str, problems: list[str]) -> None:
    assert check._answer([sys.executable, "-c", program]) == problems


@pytest.mark.parametrize(("problems", "code"), [([], 0), (["x"], 1)])
def test_it_ends_with_what_was_found_and_keeps_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problems: list[str], code: int
) -> None:
    monkeypatch.setattr(check, "resolve", lambda _: [])
    monkeypatch.setattr(check, "install", lambda home: home)
    monkeypatch.setattr(check, "problems_of", lambda _, name: problems if name == "dags" else [])
    monkeypatch.setattr(check, "tests", lambda _: [])
    assert check.main(tmp_path) == code
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["passes"], report["problems"]["dags"]) == (not problems, problems)
    assert set(report["problems"]) == {*look.LOOKS, "tests"}


def test_it_could_not_tell_if_no_environment_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "UV", "/bin/false")
    assert check.main(tmp_path) == 3
    assert "do not go together or cannot be had" in capsys.readouterr().err


def test_what_it_runs_is_there() -> None:
    for name in check.TESTS:
        file, _, test = name.partition("::")
        assert f"def {test}" in (ROOT / file).read_text()
