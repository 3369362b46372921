from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from airlock.domain.gates import Verdict
from airlock.gates import Footprint
from airlock.gates.footprint import median_bounds
from tests.unit.gates.kit import ARTIFACT, judge, never_passes_on_nothing

MEGABYTE = 1 << 20


def side(size: int = 4, load: float = 100.0, memory: float = 200.0, runs: int = 5) -> Any:
    """One model measured: a little slower and larger in each run."""
    return {
        "artifactDigest": ARTIFACT,
        "sizeBytes": size * MEGABYTE,
        "files": 5,
        "runs": [{"loadMs": load + n, "memoryMb": memory + n} for n in range(runs)],
    }


def facts(candidate: Any = None, champion: Any = None) -> dict[str, Any]:
    return {"candidate": candidate or side(), "champion": champion, "serves": champion and "3"}


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(Footprint(size_mb=10))
    for broken in (side(size=0), side(runs=0), side(load=-5.0), side() | {"files": 0}):
        gate = Footprint(size_mb=10, load_ms=500)
        assert judge(gate, footprint=facts(broken)).verdict is Verdict.ERRORED


@pytest.mark.parametrize(
    ("options", "verdict", "words"),
    [
        ({"size_mb": 4}, Verdict.PASSED, "size 4.00 MB, limit 4 MB"),
        ({"size_mb": 3.9}, Verdict.FAILED, "size 4.00 MB, limit 3.9 MB"),
        ({"load_ms": 102}, Verdict.PASSED, "load 102.00 ms"),
        ({"load_ms": 101}, Verdict.FAILED, "load 102.00 ms, limit 101 ms"),
        ({"memory_mb": 202}, Verdict.PASSED, "memory 202.00 MB"),
        ({"memory_mb": 201, "size_mb": 50}, Verdict.FAILED, "memory 202.00 MB, limit 201 MB"),
    ],
)
def test_the_median_of_the_runs_is_held_against_each_limit(
    options: dict[str, Any], verdict: Verdict, words: str
) -> None:
    result = judge(Footprint(**options), footprint=facts())
    assert result.verdict is verdict
    assert words in result.message


def test_fewer_runs_than_asked_for_do_not_pass() -> None:
    gate = Footprint(load_ms=500, runs=6)
    assert judge(gate, footprint=facts()).verdict is Verdict.ERRORED


def test_another_model_than_the_candidate_does_not_pass() -> None:
    other = side() | {"artifactDigest": "sha256:" + "b" * 64}
    assert judge(Footprint(size_mb=10), footprint=facts(other)).verdict is Verdict.ERRORED


@pytest.mark.parametrize(
    ("champion", "options", "verdict"),
    [
        (side(size=2), {"max_size_ratio": 2}, Verdict.PASSED),
        (side(size=2), {"max_size_ratio": 1.9}, Verdict.FAILED),
        (side(load=100), {"max_load_ratio": 1.1}, Verdict.PASSED),
        (side(load=50), {"max_load_ratio": 1.1}, Verdict.FAILED),
        (side(memory=100), {"max_memory_ratio": 1.5}, Verdict.FAILED),
        (side(runs=4), {"max_load_ratio": 1.1}, Verdict.ERRORED),
    ],
)
def test_a_ratio_to_the_champion_counts(
    champion: Any, options: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(Footprint(**options), footprint=facts(side(), champion)).verdict is verdict


def test_rounds_that_disagree_are_inconclusive() -> None:
    candidate = side()
    candidate["runs"][0]["loadMs"] = 300.0
    result = judge(Footprint(max_load_ratio=1.5), footprint=facts(candidate, side()))
    assert result.verdict is Verdict.ERRORED
    assert "(1.00 to 3.00, limit 1.5): inconclusive" in result.message
    both = Footprint(max_load_ratio=1.5, size_mb=1)
    assert judge(both, footprint=facts(candidate, side())).verdict is Verdict.FAILED


def test_a_first_release_has_nothing_to_compare_with() -> None:
    result = judge(Footprint(max_memory_ratio=1.5), footprint=facts())
    assert result.verdict is Verdict.PASSED
    assert "first release" in result.message


def test_a_champion_that_was_not_measured_is_no_first_release() -> None:
    evidence = facts() | {"serves": "3"}
    result = judge(Footprint(max_memory_ratio=1.5), footprint=evidence)
    assert result.verdict is Verdict.ERRORED
    assert "version 3 serves and was not measured" in result.message


@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=60))
def test_the_bounds_of_the_median_hold_it_and_cover_as_promised(values: list[float]) -> None:
    low, high = median_bounds(values)
    ranked = sorted(values)
    assert low <= ranked[len(values) // 2] <= high
    assert min(values) <= low <= high <= max(values)
    rank = int(binom.ppf(0.05, len(values), 0.5))
    rank -= binom.cdf(rank, len(values), 0.5) > 0.05
    assert (low, high) == (ranked[rank], ranked[-1 - rank])


@pytest.mark.parametrize("n", range(5))
def test_too_few_rounds_have_no_bounds(n: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        median_bounds([1.0] * n)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "at least one must be set of sizeMb"),
        ({"size_mb": 0}, "sizeMb must be above 0"),
        ({"load_ms": -1}, "loadMs must be above 0"),
        ({"memory_mb": float("nan")}, "memoryMb must be above 0"),
        ({"max_size_ratio": 0.5}, "maxSizeRatio must be between 1"),
        ({"size_mb": 5, "runs": 0}, "runs must be between 1"),
        ({"max_load_ratio": 2, "runs": 4}, "runs must be between 5"),
    ],
)
def test_senseless_options_cannot_be_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Footprint(**options)
