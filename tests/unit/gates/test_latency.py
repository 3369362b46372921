from __future__ import annotations

import pytest

from airlock.domain.gates import Verdict
from airlock.gates import Latency
from tests.unit.gates.kit import judge, never_passes_on_nothing


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(Latency(50))


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


@pytest.mark.parametrize("limit", [0, -5, 600_001])
def test_impossible_limits_cannot_be_built(limit: float) -> None:
    with pytest.raises(ValueError, match="p95Ms must be above 0"):
        Latency(limit)
