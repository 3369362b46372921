"""test-coverage on real repositories, real tests, the real coverage.py; and ways round it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airlock.adapters.jobs import checkout
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.domain.digest import file_digest
from airlock.domain.errors import Refused
from airlock.domain.gates import Evidence, GateResult, Verdict, run_gate
from airlock.gates import TestCoverage
from tests.integration.code_kit import (
    ARTIFACT,
    PACKAGE,
    TESTS,
    Repository,
    judged,
    kept,
    repository,
    small,
)

pytestmark = pytest.mark.integration

collect = COLLECTORS["test-coverage"]
TRAIN = f"{PACKAGE}/train.py"
UNCOVERED = """

def triple(x):
    if x:
        return 3 * x
    return 0
"""


@pytest.fixture
def code(tmp_path: Path) -> Repository:
    return small(tmp_path)


def look(code: Repository, champion: str | None = None, **options: float) -> GateResult:
    """Commit what is there and judge it."""
    return judged(TestCoverage(**options), code.scene(code.commit(), champion), collect)  # type: ignore[arg-type]


def test_the_real_package_is_measured_with_every_file_and_all_lines_are_new(
    tmp_path: Path,
) -> None:
    real = repository(tmp_path)
    found = collect(real.scene(real.commit()))
    evidence = {"test-coverage": Evidence("test-coverage", ARTIFACT, kept(found))}
    assert found.facts["tests"]["passed"] == 3
    assert [one["path"] for one in found.facts["sources"]] == [
        f"{PACKAGE}/{name}.py" for name in ("__init__", "suite", "train")
    ]
    passed = run_gate(TestCoverage(total=75, changed_lines=75), evidence)
    assert passed.verdict is Verdict.PASSED, passed.message
    assert passed.message.startswith("3 tests cover 8")
    failed = run_gate(TestCoverage(total=75, changed_lines=95), evidence)
    assert failed.verdict is Verdict.FAILED
    # expectations() needs Great Expectations, which these tests leave alone.
    assert f"{PACKAGE}/suite.py:" in failed.message
    report = found.files["coverage.json"]
    assert file_digest(report) == found.facts["reportDigest"]
    assert list(json.loads(report.read_text())["files"]) == [
        one["path"] for one in found.facts["sources"]
    ]


def test_a_new_function_nobody_tests_is_found_though_the_total_is_fine(code: Repository) -> None:
    code.add(TRAIN, "\n".join(f"\nCONSTANT_{n} = {n}" for n in range(60)) + "\n")
    champion = code.commit()
    code.add(TRAIN, UNCOVERED)
    result = look(code, champion)
    assert result.verdict is Verdict.FAILED
    assert "new lines 25.0 % of 4, expected 90 %" in result.message
    assert f"{TRAIN}:126" in result.message
    assert "all lines" not in result.message  # the total would have let it pass


def test_the_same_code_on_new_data_has_nothing_new(code: Repository) -> None:
    result = look(code, code.commit())
    assert result.verdict is Verdict.PASSED
    assert "no line is new" in result.message


def test_a_file_no_test_imports_counts_as_not_run(code: Repository) -> None:
    code.put(f"{PACKAGE}/unused.py", "A = 1\nB = 2\nC = 3\nD = 4\n")
    result = look(code)
    assert result.verdict is Verdict.FAILED
    assert "all lines and branches 33.3 % of 6" in result.message


def test_a_branch_that_never_ran_is_not_covered(code: Repository) -> None:
    code.put(TRAIN, "def double(x):\n    if x:\n        x = 2 * x\n    return x\n")
    assert "new lines 75.0 % of 4" in look(code).message
    scene = code.scene(code.git("rev-parse", "HEAD"))
    lenient = TestCoverage(branches=False)
    assert judged(lenient, scene, collect).verdict is Verdict.PASSED


# -- the tests themselves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("def test_no():\n    assert False\n", "1 of the model's own tests fail"),
        ("import no_such_module\n", "1 of the model's own tests fail"),
        ("X = 1\n", "no test ran"),
        ("import pytest\n@pytest.mark.skip\ndef test_one(): pass\n", "no test ran"),
        ("import pytest\ndef test_one(): pytest.exit('enough', 0)\n", "no test ran"),
    ],
)
def test_failing_or_missing_tests_are_a_no(code: Repository, tests: str, said: str) -> None:
    code.put(TESTS, tests)
    result = look(code)
    assert result.verdict is Verdict.FAILED
    assert said in result.message


def test_a_package_without_a_test_file_is_a_no(code: Repository) -> None:
    (code.root / TESTS).unlink()
    result = look(code)
    assert result.verdict is Verdict.FAILED
    assert f"no test ran; expected some in {TESTS}" in result.message


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("import os\ndef test_one():\n    os._exit(0)\n", "no result"),
        (
            "from models.employment import train\nimport os\ndef test_one():\n    os._exit(3)\n",
            "exit code 3 and no result",
        ),
    ],
)
def test_a_measurement_that_did_not_happen_is_no_measurement(
    code: Repository, tests: str, said: str
) -> None:
    code.put(TESTS, tests)
    result = look(code)
    assert result.verdict is Verdict.ERRORED
    assert said in result.message


def test_tests_that_take_too_long_are_stopped(code: Repository) -> None:
    scene = code.scene(code.commit(), minutes=0)
    result = judged(TestCoverage(), scene, collect)
    assert result.verdict is Verdict.ERRORED
    assert "the tests of employment was stopped" in result.message


def test_tests_that_import_nothing_cover_nothing(code: Repository) -> None:
    code.put(TESTS, "def test_one():\n    assert 1\n")
    result = look(code)
    assert result.verdict is Verdict.FAILED
    assert "all lines and branches 0.0 % of 2" in result.message


def test_an_empty_package_is_not_covered(code: Repository) -> None:
    code.put(TRAIN, "")
    code.put(TESTS, "import models.employment.train\ndef test_one(): pass\n")
    assert look(code).verdict is Verdict.ERRORED


# -- which code it is -------------------------------------------------------------------------


def changed_file(code: Repository, commit: str) -> str:
    code.add(TRAIN, "\nX = 1\n")
    return commit


def new_file(code: Repository, commit: str) -> str:
    code.put(f"{PACKAGE}/new.py", "")
    return commit


def ignored_file(code: Repository, commit: str) -> str:
    code.put(f"{PACKAGE}/secret.py", "")
    code.put(".git/info/exclude", "secret.py\n")
    return commit


def lost_file(code: Repository, commit: str) -> str:
    (code.root / TRAIN).unlink()
    return commit


def dirty(code: Repository, commit: str) -> str:
    return f"{commit}+dirty:{ARTIFACT}"


def unknown(code: Repository, commit: str) -> str:
    return "0123456789abcdef0123456789abcdef01234567"


def no_commit_at_all(code: Repository, commit: str) -> str:
    return "image-2026-11-21"


def no_git(code: Repository, commit: str) -> str:
    shutil.rmtree(code.root / ".git")
    return commit


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed_file, "on disk are not those of the candidate's commit"),
        (new_file, "new.py"),
        (ignored_file, "secret.py"),
        (lost_file, "train.py"),
        (dirty, "is in no commit"),
        (unknown, "nobody can say which code"),
        (no_commit_at_all, "is not a commit"),
        (no_git, "nobody can say which code"),
    ],
)
def test_code_nobody_can_name_is_not_measured(
    code: Repository, change: Callable[[Repository, str], str], said: str
) -> None:
    scene = code.scene(change(code, code.commit()))
    result = judged(TestCoverage(), scene, collect)
    assert result.verdict is Verdict.ERRORED
    assert said in result.message


def test_later_commits_do_not_change_what_is_measured(code: Repository) -> None:
    first = code.commit()
    code.put("README.md", "later\n")
    code.commit()
    result = judged(TestCoverage(), code.scene(first), collect)
    assert result.verdict is Verdict.PASSED
    assert result.details is not None
    assert result.details["commit"] == first


@pytest.mark.parametrize("champion", ["0" * 40, "image-1", None])
def test_without_a_champion_git_knows_every_line_is_new(
    code: Repository, champion: str | None
) -> None:
    result = look(code, champion)
    assert result.details is not None
    assert (result.details["base"], result.details["changed"]["statements"]) == (None, 2)
    assert result.details["everyLineIsNew"]


# -- ways round it, each closed ---------------------------------------------------------------


def test_no_comment_and_no_setting_leaves_lines_out(code: Repository) -> None:
    hidden = UNCOVERED.replace("(x):", "(x):  # pragma: no cover")
    code.add(TRAIN, hidden)
    code.put(".coveragerc", "[run]\nomit = *\n[report]\nexclude_lines = def\n")
    code.put("pyproject.toml", '[tool.coverage.run]\nomit = ["*"]\n')
    code.put("pytest.ini", "[pytest]\naddopts = --deselect nothing --co\n")
    result = look(code)
    assert result.verdict is Verdict.FAILED
    assert result.details is not None
    assert result.details["pragmas"] == [f"{TRAIN}:5"]


def test_a_block_for_types_alone_is_left_out_and_nothing_beside_it(code: Repository) -> None:
    block = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import os\n"
    plain = "\n\ndef double(x):\n    return 2 * x\n"
    code.put(TRAIN, block + plain)
    assert look(code).verdict is Verdict.PASSED
    code.put(TRAIN, block + "\n    A = 1\n    B = 2\n" + plain)
    assert look(code).verdict is Verdict.FAILED


def test_files_hidden_from_an_archive_are_measured(code: Repository) -> None:
    code.put(f"{PACKAGE}/hidden.py", UNCOVERED)
    code.put(".gitattributes", "hidden.py export-ignore -diff\n")
    assert look(code).verdict is Verdict.FAILED


def test_a_test_that_shortens_the_package_measures_nothing(code: Repository) -> None:
    code.add(TRAIN, UNCOVERED)
    code.put(
        TESTS,
        """
        from models.employment import train


        def test_double():
            assert train.double(2) == 4
            with open(train.__file__, "w") as out:
                out.write("def double(x):\\n    return 2 * x\\n")
        """,
    )
    result = look(code)
    assert result.verdict is Verdict.ERRORED
    assert "change the package they test" in result.message


def lines_of(code: Repository, champion: str) -> dict[str, list[int]]:
    """Return what is new since the champion, as the collector reads it."""
    scene = code.scene(code.commit(), champion)
    place = scene.lab.workspace("test", "lines")
    commit = scene.case.candidate.code_commit
    with checkout.exported(code.root, scene.recipe.folder, commit, place) as now:
        return checkout.added_lines(code.root, champion, now)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a = 1\n", "a = 1\nb = 2\n", [2]),
        ("a = 1", "a = 2", [1]),  # git remarks that a line end is missing
        ("a = 1", "a = 1\nb = 2", [1, 2]),
        ("a = 1\nb = 2\nc = 3\n", "a = 1\nc = 3\n", []),
        ("a = 1\n", "a = 1\n--- x\n", [2]),
        ("a = 1\n", "a = 1\n++ x\n@@ -1 +1 @@\ndiff --git a/x b/x\n", [2, 3, 4]),
        ("a = 1\r\n", "a = 1\r\nb = 2\r\n", [2]),
    ],
)
def test_every_line_git_adds_is_new(
    code: Repository, before: str, after: str, expected: list[int]
) -> None:
    code.put(".gitattributes", "*.py -diff\n")
    (code.root / TRAIN).write_bytes(before.encode())
    champion = code.commit()
    (code.root / TRAIN).write_bytes(after.encode())
    assert lines_of(code, champion).get(TRAIN, []) == expected


def test_a_renamed_file_and_one_with_an_odd_name_are_new(code: Repository) -> None:
    champion = code.commit()
    code.git("mv", TRAIN, f"{PACKAGE}/other.py")
    code.put(f'{PACKAGE}/with space é".py', "a = 1\n")
    assert lines_of(code, champion) == {
        f"{PACKAGE}/other.py": [1, 2],
        f'{PACKAGE}/with space é".py': [1],
    }


def test_a_change_within_a_long_statement_counts_as_the_statement(code: Repository) -> None:
    code.add(TRAIN, "\n\ndef never():\n    return (\n        1,\n        2,\n    )\n")
    champion = code.commit()
    text = (code.root / TRAIN).read_text().replace("        2,\n", "        3,\n")
    code.put(TRAIN, text)
    result = look(code, champion, total=10)
    assert result.verdict is Verdict.FAILED
    assert "new lines 0.0 % of 1" in result.message


@pytest.mark.parametrize("text", [b"a = 1\rb = 2\r", b"# coding: utf-7\n#+AAo-a = 1\n"])
def test_lines_git_and_python_count_differently_are_refused(code: Repository, text: bytes) -> None:
    (code.root / PACKAGE / "odd.py").write_bytes(text)
    result = look(code)
    assert result.verdict is Verdict.ERRORED
    assert "cannot be counted line by line" in result.message


def test_a_link_in_the_package_is_refused(code: Repository) -> None:
    (code.root / PACKAGE / "link.py").symlink_to("train.py")
    with pytest.raises(Refused, match="is a link"):
        collect(code.scene(code.commit()))
