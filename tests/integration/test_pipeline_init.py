"""`airlock pipeline init` on real data: its drafts may be used as they are; nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import yaml

from airlock.adapters.file_data import FileData
from airlock.adapters.lab import Lab, LabData, Limits, ValidateRequest
from airlock.config.model_card import read_card
from tests.command import run_cli
from tests.integration.scene_kit import DOCTOR, census
from tests.support import ROOT

pytestmark = pytest.mark.integration

LIMITS = Limits(seconds=300, memory_mb=2048, threads=1)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the policies and nothing else."""
    shutil.copytree(ROOT / "include/policies", tmp_path / "include/policies")
    (tmp_path / "include/pipelines").mkdir()
    (tmp_path / "include/airlock").symlink_to(ROOT / "include/airlock")  # so that it is ours
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    monkeypatch.setenv("AIRLOCK_ROOT", str(tmp_path))
    return tmp_path


def people() -> pandas.DataFrame:
    """Census records with all that a table may hold: texts, booleans, holes, times, a constant."""
    table = census(2017, 2500)
    return table[["AGEP", "SCHL", "RELP", "employed", "observed_on"]].assign(
        SEX=table["SEX"].map({1: "male", 2: 'fe"male\n'}),
        citizen=table["CIT"] < 5,
        MIG=table["MIG"].where(table["MIG"] > 1).astype(float),
        state="MA",
        note=[f"note {number}" for number in range(len(table))],
    )


def test_a_draft_may_be_used_as_it_is(checkout: Path, tmp_path: Path) -> None:
    source = checkout / "people.parquet"
    people().to_parquet(source, index=False)
    given = ("--data", str(source), "--target", "employed", "--time-column", "observed_on")
    said = run_cli("pipeline", "init", "work-life", *given, "--owner", "ana")
    assert said.code == 0, said.err
    assert "include/models/work_life/train.py" in said.out
    assert "What to do next" in said.out
    checked = run_cli("policy", "check")
    assert checked.code == 0, checked.out
    drafted = yaml.safe_load((checkout / "include/pipelines/work-life.yaml").read_text())
    assert drafted["spec"]["data"]["task"] == "classification"
    assert drafted["spec"]["risk"]["customerImpact"] == "direct"
    code = checkout / "include/models/work_life"
    assert '"state"' not in (code / "train.py").read_text()
    card, problems = read_card(code / "model_card.yaml")
    assert (problems, card is not None) == ([], True)

    pinned = FileData(tmp_path / "data")
    facts = pinned.pin(source, "observed_on", target="employed")
    rows = LabData(
        path=pinned.path(facts["digest"]),
        digest=facts["digest"],
        target="employed",
        task="classification",
        time_column="observed_on",
    )
    suite = ValidateRequest(name="work-life", data=rows, suite=code / "suite.py", limits=LIMITS)
    found = Lab(tmp_path / "lab").validate(suite).facts
    assert (found["success"], found["failed"]) == (True, [])
    assert_passes(checkout, "tests/models/test_work_life.py")
    assert_tidy(checkout)


def test_a_number_to_predict_and_data_from_elsewhere(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("elsewhere") / "visits.csv"
    pandas.read_parquet(DOCTOR).iloc[:3000].to_csv(source, index=False)
    said = run_cli("pipeline", "init", "visits", "--data", str(source), "--target", "mdvis")
    assert said.code == 0, said.err
    assert (checkout / "include/models/visits/data.csv").read_bytes() == source.read_bytes()
    assert run_cli("policy", "check").code == 0
    text = (checkout / "include/pipelines/visits.yaml").read_text()
    assert "metric: mae" in text
    assert_passes(checkout, "tests/models/test_visits.py")
    assert_tidy(checkout)


def test_nothing_is_overwritten(checkout: Path) -> None:
    before = checkout / "tests/models/test_visits.py"
    before.parent.mkdir(parents=True)
    before.write_text("mine")
    said = run_cli("pipeline", "init", "visits", "--data", str(DOCTOR), "--target", "mdvis")
    assert (said.code, "tests/models/test_visits.py: already there" in said.err) == (1, True)
    assert before.read_text() == "mine"
    assert not (checkout / "include/models").exists()


@pytest.mark.parametrize(
    ("name", "over", "said"),
    [
        ("Visits", {}, "is no name for a pipeline"),
        ("visits", {"--target": "goal"}, "has no column 'goal'; it has mdvis"),
        ("visits", {"--time-column": "day"}, "has no column 'day'"),
        ("visits", {"--data": "absent.parquet"}, "there is no file absent.parquet"),
        ("visits", {"--data": __file__}, "cannot be read"),
    ],
)
def test_what_cannot_be_drafted_is_named(
    checkout: Path, name: str, over: dict[str, str], said: str
) -> None:
    given = {"--data": str(DOCTOR), "--target": "mdvis"} | over
    found = run_cli("pipeline", "init", name, *(word for pair in given.items() for word in pair))
    assert (found.code, said in found.err) == (2, True), found.err
    assert not (checkout / "include/models").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["yes", "no"] * 50, "holds text; expected numbers"),
        ([1.0] * 100, "has 1 different values"),
        ([1.0, None] * 50, "50 missing ones"),
    ],
)
def test_a_target_nothing_can_be_learned_from_is_refused(
    checkout: Path, values: list[object], said: str
) -> None:
    source = checkout / "rows.parquet"
    pandas.DataFrame({"x": range(100), "y": values}).to_parquet(source, index=False)
    found = run_cli("pipeline", "init", "odd", "--data", str(source), "--target", "y")
    assert (found.code, said in found.err) == (2, True), found.err


def assert_passes(checkout: Path, test: str) -> None:
    """Run the drafted tests in a process of their own."""
    path = os.pathsep.join([str(ROOT / "include"), str(checkout / "include")])
    options = ("-q", "-c", os.devnull, "--import-mode=importlib", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(checkout), test],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_tidy(checkout: Path) -> None:
    """The project's own linter and formatter have nothing to say."""
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check"], ["format", "--check"]):
        options = ["--no-cache", "."]
        done = subprocess.run(
            [ruff, *command, *options], cwd=checkout, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
