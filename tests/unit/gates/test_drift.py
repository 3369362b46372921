from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import Verdict
from airlock.gates.drift import DataDrift
from tests.unit.gates.kit import judge, never_passes_on_nothing


def column(name: str = "age", **over: Any) -> dict[str, Any]:
    facts = {
        "column": name,
        "types": ["number", "number"],
        "kind": "values",
        "labels": ["1", "2", "(other)", "(new)"],
        "reference": [500, 500, 0, 0],
        "current": [510, 490, 0, 0],
        "unseen": {"rows": 0, "values": []},
    }
    return facts | over


def facts(*columns: dict[str, Any], **over: Any) -> dict[str, Any]:
    defaults = {
        "champion": "3",
        "rows": {"reference": 1000, "current": 1000},
        "missing": [],
        "extra": [],
        "columns": list(columns) or [column()],
    }
    return defaults | over


FIRST = {"reference": 0, "current": 1000}
MOVED = column("region", current=[900, 100, 0, 0])


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(DataDrift())


def test_the_first_release_passes_and_says_so() -> None:
    result = judge(DataDrift(), drift=facts(champion=None, rows=FIRST))
    assert result.verdict is Verdict.PASSED
    assert "first release" in result.message


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (facts(), Verdict.PASSED),
        (facts(column(), MOVED), Verdict.FAILED),
        (facts(missing=["age"]), Verdict.FAILED),
        (facts(column(types=["number", "text"], kind="incomparable"), column("x")), Verdict.FAILED),
        (facts(columns=[]), Verdict.ERRORED),
        (facts(rows={"reference": 1000, "current": 499}), Verdict.ERRORED),
        (facts(rows={"reference": 0, "current": 1000}), Verdict.ERRORED),
        (facts(column(current=[0, 0, 0, 0])), Verdict.ERRORED),
        (facts(column(kind="numbers", ks=0.19)), Verdict.PASSED),
        (facts(column(kind="numbers", ks=0.21)), Verdict.FAILED),
        (facts(column(kind="numbers")), Verdict.ERRORED),
    ],
)
def test_a_column_that_moved_fails_and_what_cannot_be_told_errs(
    evidence: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(DataDrift(), drift=evidence).verdict is verdict


def test_a_column_that_may_move_is_left_out() -> None:
    assert judge(DataDrift(ignore=("region",)), drift=facts(column(), MOVED)).verdict.opens


def test_what_nobody_can_compare_is_named() -> None:
    odd = column("path", types=["list", "list"], kind="incomparable")
    result = judge(DataDrift(), drift=facts(column(), odd))
    assert result.verdict is Verdict.ERRORED
    assert "not compared: path (list)" in result.message
    assert judge(DataDrift(ignore=("path",)), drift=facts(column(), odd)).verdict is Verdict.PASSED


def test_what_moved_is_named_with_its_numbers() -> None:
    result = judge(DataDrift(), drift=facts(column(), MOVED))
    assert "1 of 2 columns moved: region (PSI 0.8" in result.message
    assert "1,000 rows against the champion's 1,000" in result.message
    assert result.details is not None
    assert [row["column"] for row in result.details["columns"]] == ["region", "age"]


@given(st.integers(1000, 10**9))
def test_rows_alone_never_make_a_drift(n: int) -> None:
    # A difference of one per cent: significant beyond any p-value at a million rows.
    tiny = column(reference=[n, n, 0, 0], current=[n, int(n * 1.01), 0, 0])
    rows = {side: sum(tiny[side]) for side in ("reference", "current")}
    assert judge(DataDrift(), drift=facts(tiny, rows=rows)).verdict is Verdict.PASSED


def test_rows_that_were_not_counted_err() -> None:
    some = column(current=[500, 499, 0, 0])
    result = judge(DataDrift(), drift=facts(some))
    assert (result.verdict, "999 of 1000 rows counted" in result.message) == (Verdict.ERRORED, True)


@pytest.mark.parametrize(
    "wrong", [{"psi": 0.0}, {"ks": 1.5}, {"cramers_v": 0.0}, {"min_rows": 0}, {"psi": float("nan")}]
)
def test_senseless_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DataDrift(**wrong)
