from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import GateResult, Verdict
from airlock.gates import TestCoverage, build
from tests.unit.gates.kit import judge, never_passes_on_nothing

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TESTS = {"exit": 0, "passed": 3, "failed": 0, "skipped": 0, "errors": 0, "failures": []}


def file(path: str = "m/train.py", *, covered: int = 10, **over: int) -> dict[str, Any]:
    counts = {"statements": 10, "covered": covered, "branches": 0, "coveredBranches": 0}
    return {"path": path, **counts, **over}


def new(statements: int = 10, uncovered: int = 0, partial: int = 0, **over: Any) -> dict[str, Any]:
    defaults = {
        "files": [{"path": "m/train.py", "statements": statements}],
        "lines": statements,
        "statements": statements,
        "uncovered": uncovered,
        "partial": partial,
        "uncoveredLines": [f"m/train.py:{n}" for n in range(uncovered)],
        "partialLines": [],
    }
    return defaults | over


def facts(**over: Any) -> dict[str, Any]:
    defaults = {
        "candidateCommit": COMMIT,
        "commit": COMMIT,
        "base": "b" * 40,
        "everyLineIsNew": "",
        "lookedFor": ["tests/models/test_m.py"],
        "tests": TESTS,
        "sources": [file()],
        "changed": new(),
        "pragmas": [],
        "notMeasured": [],
    }
    return defaults | over


def judge_coverage(gate: TestCoverage | None = None, **over: Any) -> GateResult:
    return judge(gate or TestCoverage(), test_coverage=facts(**over))


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(TestCoverage())


def test_not_one_statement_is_not_full_coverage() -> None:
    nothing = {"sources": [], "changed": new(0, files=[])}
    assert judge_coverage(**nothing).verdict is Verdict.ERRORED
    assert (
        judge_coverage(**nothing | {"sources": [file(statements=0, covered=0)]}).verdict
        is Verdict.ERRORED
    )


@pytest.mark.parametrize(
    ("over", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"sources": [file(covered=8)]}, Verdict.PASSED),
        ({"sources": [file(covered=7)]}, Verdict.FAILED),
        ({"sources": [file(), file("m/unused.py", covered=0)]}, Verdict.FAILED),
        ({"sources": [file(branches=10, coveredBranches=5)]}, Verdict.FAILED),
        ({"changed": new(uncovered=1)}, Verdict.PASSED),
        ({"changed": new(uncovered=2)}, Verdict.FAILED),
        ({"changed": new(uncovered=1, partial=1)}, Verdict.FAILED),
        ({"changed": new(0, files=[])}, Verdict.PASSED),
        ({"changed": new(0)}, Verdict.PASSED),
        ({"tests": TESTS | {"failed": 1, "exit": 1, "failures": ["test_x"]}}, Verdict.FAILED),
        ({"tests": TESTS | {"errors": 1, "exit": 2}}, Verdict.FAILED),
        ({"tests": TESTS | {"passed": 0, "skipped": 3}}, Verdict.FAILED),
        ({"tests": TESTS | {"exit": 2}}, Verdict.FAILED),
        # What cannot be: another commit, a change that was not measured, sums that do not fit.
        ({"commit": "f" * 40}, Verdict.ERRORED),
        ({"candidateCommit": ""}, Verdict.ERRORED),
        ({"candidateCommit": f"{COMMIT}+dirty:sha256:a"}, Verdict.ERRORED),
        ({"changed": new(files=[{"path": "m/new.py", "statements": 10}])}, Verdict.ERRORED),
        ({"changed": new(statements=11)}, Verdict.ERRORED),
        ({"changed": new(files=[])}, Verdict.ERRORED),
        ({"changed": new(uncovered=11)}, Verdict.ERRORED),
        ({"changed": None}, Verdict.ERRORED),
        ({"sources": [file(covered=11)]}, Verdict.ERRORED),
        ({"sources": [file(coveredBranches=1)]}, Verdict.ERRORED),
        ({"base": None, "changed": new(0, files=[])}, Verdict.ERRORED),
    ],
)
def test_tests_total_and_new_lines_all_have_to_be_good(
    over: dict[str, Any], verdict: Verdict
) -> None:
    assert judge_coverage(**over).verdict is verdict


def test_a_short_name_of_the_commit_is_the_same_commit() -> None:
    assert judge_coverage(candidateCommit=COMMIT[:12]).verdict is Verdict.PASSED


def test_what_was_not_run_is_named_with_its_line() -> None:
    result = judge_coverage(changed=new(uncovered=2))
    assert result.message == (
        "too little is tested: new lines 80.0 % of 10, expected 90 %; "
        "not run: m/train.py:0, m/train.py:1"
    )
    assert (result.measured, result.threshold, result.n) == (80.0, 90.0, 10)


def test_a_branch_that_never_ran_may_be_forgiven() -> None:
    changed = new(partial=2)
    assert judge_coverage(TestCoverage(branches=False), changed=changed).verdict is Verdict.PASSED
    assert judge_coverage(changed=changed).verdict is Verdict.FAILED


@given(
    statements=st.integers(1, 500),
    missing=st.integers(0, 500),
    limit=st.floats(0.5, 100, allow_nan=False),
)
def test_the_share_that_ran_decides_exactly(statements: int, missing: int, limit: float) -> None:
    covered = max(0, statements - missing)
    source = file(statements=statements, covered=covered)
    result = judge_coverage(TestCoverage(total=limit), sources=[source], changed=new(0, files=[]))
    enough = 100 * covered / statements >= limit
    assert (result.verdict is Verdict.PASSED) == enough


@pytest.mark.parametrize("option", ["total", "changed_lines"])
@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_limit_is_a_share_above_nothing(option: str, percent: float) -> None:
    with pytest.raises(ValueError, match=f"{option} must be above 0 and at most 100"):
        TestCoverage(**{option: percent})  # type: ignore[arg-type]


def test_it_is_written_in_yaml_as_the_pipeline_reads_it() -> None:
    assert build({"gate": "test-coverage", "total": 80, "changedLines": 95}) == TestCoverage(
        total=80, changed_lines=95
    )
