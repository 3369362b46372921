"""How often the latency gate is wrong: a simulation with the functions the gate's evidence uses.

Times of two models asked in turns: each call's own chance, and waves of the machine that both share
(a first-order autoregression, 0.8 from call to call). The truth is a ratio of their 95th
percentiles; the gate allows 1.1. Its peer is the point rule, "the measured ratio is at most 1.1".

    python -m tests.bench latency_rates
"""

from __future__ import annotations

from typing import Any

import numpy
from scipy.signal import lfilter

from airlock.adapters.jobs.programs.latency import summary
from airlock.domain.gates import Evidence, run_gate
from airlock.gates import Latency
from airlock.gates.latency import COMPARED_CALLS

LIMIT, PHI, OWN, SHARED = 1.1, 0.8, 0.45, 0.4
GATE = Latency(100_000, max_ratio=LIMIT)
#: True ratio, repetitions, what is counted, which share is accepted.
CASES = (
    (1.1, 150, "a model at the limit passes", "at most", 0.05),
    (1.25, 50, "a model 25 % slower passes", "at most", 0.0),
    (2.0, 30, "a model 2 times slower fails", "at least", 1.0),
    (1.0, 50, "an equal model passes", "at least", 0.8),
    (1.0, 50, "an equal model fails", "at most", 0.0),
)


def run() -> list[dict[str, Any]]:
    """Simulate each case."""
    return [_row(number, *case) for number, case in enumerate(CASES)]


def _row(seed: int, ratio: float, rounds: int, name: str, way: str, goal: float) -> dict[str, Any]:
    draw = numpy.random.default_rng(seed)
    word = "FAILED" if name.endswith("fails") else "PASSED"
    ours = peer = 0
    for number in range(rounds):
        facts = summary(*[_times(draw, ratio)] * 2, seed=number) | {"batchRows": 100}
        verdict = run_gate(GATE, {"latency": Evidence("latency", "sha256:a", facts)}).verdict
        ours += verdict == word
        peer += ("PASSED" if facts["ratio"]["ratio"] <= LIMIT else "FAILED") == word
    share = ours / rounds
    slack = 2 * (goal * (1 - goal) / rounds) ** 0.5  # what chance does to a share of so many rounds
    return {
        "name": f"latency: {name}",
        "unit": "share",
        "ours": round(share, 3),
        "peer": round(peer / rounds, 3),
        "ratio": "",
        "goal": f"{way} {goal:g}, give or take {slack:.3f}",
        "met": share <= goal + slack if way == "at most" else share >= goal - slack,
        "n": rounds,
    }


def _times(draw: numpy.random.Generator, ratio: float) -> dict[str, Any]:
    """Return nanoseconds of both models, timed in turns."""
    noise = draw.standard_normal(COMPARED_CALLS) * SHARED * (1 - PHI**2) ** 0.5
    waves = lfilter([1], [1, -PHI], noise)
    own = draw.standard_normal((2, COMPARED_CALLS)) * OWN
    return {
        "candidate": numpy.exp(waves + own[0]) * 1e6 * ratio,
        "champion": numpy.exp(waves + own[1]) * 1e6,
    }
