from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.duplicate_statistics import copied_across, repeated


def spectrum(rows: numpy.ndarray) -> list[int]:
    counts = numpy.unique(rows, return_counts=True)[1]
    return [int((counts == times).sum()) for times in range(1, 7)]


def across(rows: numpy.ndarray, holdout: numpy.ndarray) -> float:
    training_values, counts = numpy.unique(rows[~holdout], return_counts=True)
    twins = int(numpy.isin(rows[holdout], training_values).sum())
    return copied_across(
        twins, int(holdout.sum()), int(counts[counts > 1].sum()), int((~holdout).sum())
    )


def test_nothing_cannot_be_measured() -> None:
    for case in ((0, 0, 0, 10), (0, 10, 0, 0), (11, 10, 0, 10)):
        with pytest.raises(ValueError, match="rows have an equal one"):
            copied_across(*case)
    for counts, rows in (([0, 0, 0], 0), ([5, 0, 0], 4), ([1, 1], 9), ([-1, 0, 0], 9)):
        with pytest.raises(ValueError, match="kinds of rows"):
            repeated(counts, rows)


@given(st.lists(st.integers(0, 10**5), min_size=3, max_size=6))
def test_a_share_is_a_share(counts: list[int]) -> None:
    rows = sum(times * n for times, n in enumerate(counts, 1)) + 1
    assert 0 <= repeated(counts, rows) <= 1


@pytest.mark.parametrize("kinds", [30, 3_000, 100_000, 10**9])
@pytest.mark.parametrize("seed", range(5))
def test_coincidence_is_no_copy_however_coarse_the_table(kinds: int, seed: int) -> None:
    draw = numpy.random.default_rng(seed)
    rows = (kinds * draw.random(20_000) ** 3).astype(int)
    holdout = draw.random(len(rows)) < 0.25
    assert repeated(spectrum(rows), len(rows)) == 0
    assert across(rows, holdout) < 0.01


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("kinds", [3_000, 100_000, 10**9])
def test_a_table_there_several_times_is_found(kinds: int, times: int) -> None:
    draw = numpy.random.default_rng(0)
    rows = (kinds * draw.random(10_000) ** 3).astype(int)
    assert repeated(spectrum(numpy.repeat(rows, times)), times * len(rows)) > 0.01


def test_a_tenth_of_fine_rows_appended_again_is_found() -> None:
    rows = numpy.arange(10_000)
    assert repeated(spectrum(numpy.r_[rows, rows[:1000]]), 11_000) == pytest.approx(0.17, abs=0.02)


def test_held_out_rows_copied_from_training_are_found_in_a_coarse_table() -> None:
    draw = numpy.random.default_rng(0)
    rows = (20_000 * draw.random(20_000) ** 3).astype(int)
    holdout = numpy.arange(20_000) >= 15_000
    assert across(rows, holdout) < 0.01
    rows[15_000:15_500] = rows[:500]
    assert across(rows, holdout) > 0.01
