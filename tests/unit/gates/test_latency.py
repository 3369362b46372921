from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import Verdict
from airlock.gates import Latency
from tests.unit.gates.kit import judge, never_passes_on_nothing

TIMES = {"p50Ms": 10.0, "p95Ms": 20.0, "p99Ms": 30.0, "n": 4000}


def facts(low: float = 0.9, high: float = 1.05, **changes: Any) -> dict[str, Any]:
    """Return evidence of the latency of a candidate and a champion."""
    ratio = {"ratio": 1.0, "low": low, "high": high, "confidence": 0.95, "n": 4000}
    defaults = {**TIMES, "batch": {**TIMES, "n": 200}, "batchRows": 100}
    defaults |= {"champion": {"version": "3", **TIMES}, "serves": "3"}
    return defaults | {"ratio": ratio} | changes


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(Latency(50))
    never_passes_on_nothing(Latency(50, max_ratio=1.1))


@pytest.mark.parametrize(
    ("p95", "n", "verdict"),
    [
        (50.0, 500, Verdict.PASSED),
        (50.1, 500, Verdict.FAILED),
        (1.0, 199, Verdict.ERRORED),
        (0.0, 500, Verdict.ERRORED),
        (-1.0, 500, Verdict.ERRORED),
    ],
)
def test_the_95th_percentile_counts_if_there_are_enough_calls(
    p95: float, n: int, verdict: Verdict
) -> None:
    assert judge(Latency(50), latency={"p95Ms": p95, "n": n}).verdict is verdict


@pytest.mark.parametrize(
    ("option", "limit", "words"),
    [
        ("p50_ms", 9, "p50 10.00 ms, limit 9 ms"),
        ("p99_ms", 29, "p99 30.00 ms, limit 29 ms"),
        ("batch_p50_ms", 9, "p50 of 100 rows 10.00 ms, limit 9 ms"),
        ("batch_p95_ms", 19, "p95 of 100 rows 20.00 ms"),
        ("batch_p99_ms", 29, "p99 of 100 rows 30.00 ms"),
    ],
)
def test_each_limit_counts(option: str, limit: float, words: str) -> None:
    result = judge(Latency(50, **{option: limit}), latency=facts())  # type: ignore[arg-type]
    assert result.verdict is Verdict.FAILED
    assert words in result.message
    loose = judge(Latency(50, **{option: limit + 2}), latency=facts())  # type: ignore[arg-type]
    assert loose.verdict is Verdict.PASSED


def test_batches_of_another_size_or_too_few_cannot_be_judged() -> None:
    gate = Latency(50, batch_p95_ms=50, batch_rows=10)
    assert judge(gate, latency=facts()).verdict is Verdict.ERRORED
    few = facts(batch={**TIMES, "n": 199})
    assert judge(Latency(50, batch_p95_ms=50), latency=few).verdict is Verdict.ERRORED


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.9, 1.1, Verdict.PASSED),
        (1.02, 1.09, Verdict.PASSED),
        (0.9, 1.11, Verdict.ERRORED),
        (1.1, 1.2, Verdict.ERRORED),
        (1.11, 1.2, Verdict.FAILED),
        (1.2, 1.1, Verdict.ERRORED),
        (0.0, 1.0, Verdict.ERRORED),
        (0.9, float("nan"), Verdict.ERRORED),
    ],
)
def test_the_bounds_of_the_ratio_decide_and_never_the_point(
    low: float, high: float, verdict: Verdict
) -> None:
    result = judge(Latency(50, max_ratio=1.1), latency=_finite(facts(low, high)))
    assert result.verdict is verdict


def _finite(evidence: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN by null, as JSON has no NaN."""
    row = evidence["ratio"]
    row["high"] = None if row["high"] != row["high"] else row["high"]
    return evidence


def test_a_noisy_machine_gives_inconclusive() -> None:
    result = judge(Latency(50, max_ratio=1.1), latency=facts(0.8, 1.4))
    assert result.verdict is Verdict.ERRORED
    assert "(0.80 to 1.40, limit 1.1): inconclusive" in result.message


def test_too_few_calls_to_compare_do_not_pass() -> None:
    evidence = facts()
    evidence["ratio"]["n"] = 3999
    assert judge(Latency(50, max_ratio=1.1), latency=evidence).verdict is Verdict.ERRORED
    assert judge(Latency(50, max_ratio=1.1, n=5000), latency=facts()).verdict is Verdict.ERRORED


def test_a_first_release_has_nothing_to_be_slower_than() -> None:
    result = judge(
        Latency(50, max_ratio=1.1), latency=facts(champion=None, ratio=None, serves=None)
    )
    assert result.verdict is Verdict.PASSED
    assert "first release" in result.message


def test_a_champion_that_was_not_timed_is_no_first_release() -> None:
    evidence = facts(champion=None, ratio=None)
    result = judge(Latency(50, max_ratio=1.1), latency=evidence)
    assert result.verdict is Verdict.ERRORED
    assert "version 3 serves and was not timed" in result.message
    del evidence["serves"]
    assert judge(Latency(50, max_ratio=1.1), latency=evidence).verdict is Verdict.ERRORED


def test_a_limit_that_is_broken_fails_whatever_the_ratio_says() -> None:
    for low, high in ((0.9, 1.0), (0.8, 1.4), (1.5, 1.6)):
        result = judge(Latency(19, max_ratio=1.1), latency=facts(low, high))
        assert result.verdict is Verdict.FAILED


@given(st.floats(0.01, 5), st.floats(0.01, 5), st.floats(1.01, 3))
def test_a_ratio_passes_only_if_its_whole_interval_is_allowed(
    first: float, other: float, limit: float
) -> None:
    low, high = sorted((first, other))
    verdict = judge(Latency(50, max_ratio=limit), latency=facts(low, high)).verdict
    expected = Verdict.PASSED if high <= limit else Verdict.ERRORED
    assert verdict is (Verdict.FAILED if low > limit else expected)


@pytest.mark.parametrize("limit", [0, -5, 600_001])
def test_impossible_limits_cannot_be_built(limit: float) -> None:
    with pytest.raises(ValueError, match="p95Ms must be above 0"):
        Latency(limit)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_p99_ms": 0}, "batchP99Ms must be above 0"),
        ({"batch_rows": 1}, "batchRows must be between 2"),
        ({"max_ratio": 1.0}, "maxRatio must be above 1"),
        ({"n": 199}, "n must be between 200"),
        ({"max_ratio": 1.1, "n": 3999}, "n must be between 4000"),
    ],
)
def test_senseless_options_cannot_be_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Latency(50, **options)
