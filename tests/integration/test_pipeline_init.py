"""`airlock pipeline init` on real data: its drafts may be used as they are; nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import yaml

from airlock.adapters.datasets.files import DataUnusable, FileData
from airlock.adapters.jobs import Lab, LabData, Limits, ValidateRequest
from airlock.config.model_card import read_card
from tests.command import run_cli
from tests.integration.scene_kit import DOCTOR, census
from tests.support import ROOT, empty_checkout

pytestmark = pytest.mark.integration

LIMITS = Limits(seconds=300, memory_mb=2048, threads=1)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the policies and nothing else."""
    return empty_checkout(tmp_path, monkeypatch)


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
        (["yes", "no"] * 50, "the target 'y' holds text (yes, no); expected numbers"),
        (["a", "b", "c", "d"] * 25, "the target 'y' holds text (a, b, c, d); expected numbers"),
        ([True, False] * 50, "the target 'y' holds boolean (False, True); expected numbers"),
        ([1.0] * 100, "has one value only (1)"),
        ([1.0, None] * 50, "50 of 100 values of the target 'y' are missing"),
        ([0, 1, 2, 1] * 25, "holds 3 whole numbers (0, 1, 2): are they classes, or amounts?"),
        ([1, 2] * 50, "holds 2 whole numbers (1, 2): are they classes, or amounts?"),
        ([-1, 1] * 50, "holds 2 whole numbers (-1, 1): are they classes, or amounts?"),
    ],
)
def test_a_target_nothing_can_be_learned_from_is_refused(
    checkout: Path, values: list[object], said: str
) -> None:
    source = checkout / "rows.parquet"
    pandas.DataFrame({"x": range(100), "y": values}).to_parquet(source, index=False)
    found = run_cli("pipeline", "init", "odd", "--data", str(source), "--target", "y")
    assert (found.code, said in found.err) == (2, True), found.err
    assert not (checkout / "include/models").exists()
    assert not list((checkout / "include/pipelines").iterdir())


#: CSV as strangers save it, and what the first run would say of it.
CSV = {
    "a day as in Germany": (
        "day,x,y\n" + "".join(f"{1 + n % 28:02d}/01/2024,{n},{n % 2}\n" for n in range(40)),
        ("--time-column", "day"),
        "the time column 'day' holds string, not dates",
    ),
    "an integer as a year": (
        "year,x,y\n" + "".join(f"{2000 + n},{n},{n % 2}\n" for n in range(40)),
        ("--time-column", "year"),
        "the time column 'year' holds int64, not dates",
    ),
    "two columns of one name": ("age,income,age,y\n31,1000,31,0\n44,9,45,1\n", (), "'age'"),
    "Latin-1": (
        "town,y\n" + "K\xf6ln,0\nBonn,1\n" * 20,
        (),
        "line 2 is not UTF-8 in the column 'town'",
    ),
    "a decimal comma": (
        "x;y\n" + "1,5;0\n2,5;1\n" * 20,
        (),
        "the column 'x' writes numbers with a decimal comma",
    ),
    "truth values with gaps": (
        "flag,y\n" + "true,0\n,1\nfalse,1\n" * 20,
        (),
        "the column 'flag' holds truth values, and 20 are missing",
    ),
}


@pytest.mark.parametrize("kind", CSV)
def test_a_draft_is_refused_in_the_words_of_the_first_run(
    checkout: Path, tmp_path: Path, kind: str
) -> None:
    text, more, words = CSV[kind]
    source = tmp_path / "elsewhere" / "rows.csv"
    source.parent.mkdir()
    source.write_bytes(text.encode("latin-1"))
    refused = run_cli("pipeline", "init", "odd", "--data", str(source), "--target", "y", *more)
    assert (refused.code, words in refused.err) == (2, True), refused.err
    assert not (checkout / "include/models").exists()
    time_column = more[1] if more else None
    with pytest.raises(DataUnusable) as run:
        FileData(tmp_path / "data").pin(source, time_column, target="y")
    assert run.value.message in refused.err


def test_whole_numbers_are_amounts_if_a_person_says_so(checkout: Path, tmp_path: Path) -> None:
    source = tmp_path / "stars.csv"
    source.write_text("x,y\n" + "".join(f"{n},{1 + n % 5}\n" for n in range(100)))
    given = ("--data", str(source), "--target", "y")
    drafted = run_cli("pipeline", "init", "stars", *given, "--task", "regression")
    assert drafted.code == 0, drafted.err
    assert "task: regression" in (checkout / "include/pipelines/stars.yaml").read_text()
    classes = run_cli("pipeline", "init", "classes", *given, "--task", "classification")
    assert "has the classes 1, 2, 3, 4, 5; expected 0 and 1" in classes.err
    assert (
        "there is no task 'ranking'"
        in run_cli("pipeline", "init", "ranks", *given, "--task", "ranking").err
    )


def test_an_index_is_no_feature_and_postal_codes_keep_their_noughts(
    checkout: Path, tmp_path: Path
) -> None:
    source = tmp_path / "rows.csv"
    lines = [f"{n},{n % 50:05d},{'NA' if n % 3 else 'DE'},{n % 7},{n % 2}\n" for n in range(200)]
    source.write_text("\ufeff,postal code,country,x,y\n" + "".join(lines))
    drafted = run_cli("pipeline", "init", "post", "--data", str(source), "--target", "y")
    assert drafted.code == 0, drafted.err
    code = (checkout / "include/models/post/train.py").read_text()
    assert ('NUMBERS = ["x"]' in code, 'TEXTS = ["postal code", "country"]' in code) == (
        True,
        True,
    ), code
    assert '"country": ["DE", "NA"]' in (checkout / "include/models/post/suite.py").read_text()
    assert_passes(checkout, "tests/models/test_post.py")


@pytest.mark.parametrize("name", ["class", "import", "lambda"])
def test_a_name_python_cannot_import_is_refused(checkout: Path, name: str) -> None:
    refused = run_cli("pipeline", "init", name, "--data", str(DOCTOR), "--target", "mdvis")
    assert (refused.code, f"cannot import a package called '{name}'" in refused.err) == (2, True)
    assert not (checkout / "include/models").exists()


def test_a_models_tests_run_where_only_what_is_needed_is_installed() -> None:
    """In the environment of `make up`: pytest, without the plugins that only developers have."""
    absent = [part for name in ("timeout", "xdist", "cov") for part in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *absent]
    done = subprocess.run(
        [*command, "tests/models/test_employment.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_policy_check_says_what_is_wrong_with_a_target_and_goes_on(
    checkout: Path, tmp_path: Path
) -> None:
    source = checkout / "flights.parquet"
    table = pandas.DataFrame({"x": range(100), "y": [0, 1] * 50})
    table.to_parquet(source, index=False)
    for name in ("first-flights", "second-flights"):
        drafted = run_cli("pipeline", "init", name, "--data", str(source), "--target", "y")
        assert drafted.code == 0, drafted.err
    for values, words in ((["late", "early"] * 50, "text"), ([True, False] * 50, "boolean")):
        table.assign(y=values).to_parquet(source, index=False)
        checked = run_cli("policy", "check")
        assert "Traceback" not in checked.out + checked.err
        for name in ("first-flights", "second-flights"):
            assert f"{name}: roc_auc" in checked.out
        assert f"the target 'y' holds {words}" in checked.out, checked.out


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
