from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import association

from airlock.domain.distributions import Tolerance, compare, cramers_v, psi, shift

COUNTS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=2, max_size=12
).filter(lambda pairs: sum(a for a, _ in pairs) > 0 and sum(b for _, b in pairs) > 0)


@pytest.mark.parametrize("measure", [psi, cramers_v])
@pytest.mark.parametrize(
    ("reference", "current"),
    [([], []), ([0, 0], [1, 1]), ([1], [0]), ([1, 2], [1]), ([-1, 2], [1, 1])],
)
def test_nothing_cannot_be_measured(measure: Any, reference: list[int], current: list[int]) -> None:
    with pytest.raises(ValueError, match=r"rows to count|belong together"):
        measure(reference, current)


@given(COUNTS)
def test_both_measures_are_bounded_and_see_only_differences(pairs: list[tuple[int, int]]) -> None:
    here, there = (list(side) for side in zip(*pairs, strict=True))
    assert 0 <= cramers_v(here, there) <= 1
    assert psi(here, there) >= 0
    assert math.isfinite(psi(here, there))
    assert psi(here, here) == pytest.approx(0)
    assert cramers_v(here, here) == 0
    assert cramers_v(here, there) == pytest.approx(cramers_v(there, here))


@given(COUNTS, st.integers(2, 50))
def test_v_does_not_depend_on_how_many_rows_a_side_has(
    pairs: list[tuple[int, int]], times: int
) -> None:
    here, there = (list(side) for side in zip(*pairs, strict=True))
    assert cramers_v(here, [n * times for n in there]) == pytest.approx(cramers_v(here, there))


def test_v_is_that_of_scipy_where_both_sides_have_as_many_rows() -> None:
    draw = numpy.random.default_rng(0)
    for _ in range(20):
        table = numpy.array([draw.multinomial(1000, draw.dirichlet([2] * 4)) for _ in range(2)])
        expected = association(table[:, table.sum(axis=0) > 0], method="cramer")
        assert cramers_v(*table.tolist()) == pytest.approx(expected)


def test_psi_is_the_textbook_figure() -> None:
    # A shift of a normal distribution by half a standard deviation: Jeffreys' divergence 0.25.
    draw = numpy.random.default_rng(0)
    first, other = draw.normal(size=100_000), draw.normal(0.5, 1, size=100_000)
    edges = numpy.quantile(first, numpy.arange(1, 10) / 10)
    counts = [
        numpy.bincount(numpy.searchsorted(edges, side, side="right"), minlength=10).tolist()
        for side in (first, other)
    ]
    assert psi(*counts) == pytest.approx(0.24, abs=0.02)


def column(**over: Any) -> dict[str, Any]:
    facts = {"column": "age", "kind": "values", "reference": [50, 50], "current": [50, 50]}
    return facts | over


def test_a_distance_that_is_none_is_refused() -> None:
    for ks in (float("nan"), -0.1, 1.1):
        with pytest.raises(ValueError, match="the distance of age is"):
            shift(column(kind="numbers", ks=ks))


def facts_of(*columns: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of these columns, of whose rows none was left out."""
    rows = {side: sum(columns[0][side]) if columns else 0 for side in ("reference", "current")}
    return {"columns": list(columns), "rows": rows}


def test_nothing_compared_is_no_agreement() -> None:
    limits = Tolerance(0.2, 0.2, 0.2)
    for columns in ([], [column(kind="incomparable")]):
        with pytest.raises(ValueError, match="no column was compared"):
            compare(facts_of(*columns), limits)
    with pytest.raises(ValueError, match="no column was compared"):
        compare(facts_of(column()), limits, ["age"])


def test_the_column_furthest_apart_comes_first() -> None:
    columns = [column(), column(column="sex", current=[90, 10])]
    comparison = compare(facts_of(*columns), Tolerance(0.2, 0.2, 0.2))
    assert comparison.worst.column == "sex"
    assert [shift.column for shift in comparison.beyond] == ["sex"]
