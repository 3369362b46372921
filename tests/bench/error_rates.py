"""How often performance-regression is wrong, by simulation, and the naive rules beside it.

Candidates are drawn whose true difference to the champion is known; the product's own functions
bound the difference and judge it. Wrong is to pass a candidate that is worse by the margin (type I,
at most the promised 5 %), and not to pass an equal one on the rows `airlock policy check` asks for
(power, at least 80 %). The peer is what a naive rule does on the same draws: "a point drop larger
than the margin blocks", "any drop blocks", retrying without a budget, "any slice drop blocks".

Accuracy: champion 0.90, 6 % of the rows answered differently, margin 1 point. AUC: 0.85, one row in
ten positive, correlation 0.9, margin 0.01. Slices: 20 of 500 rows each, one truly 5 points worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import pandas

from airlock.adapters.jobs.statistics import intervals
from airlock.domain.gates import Evidence, GateResult, Verdict
from airlock.domain.hypothesis_tests import auc_deviation, rows_planned, tango, z_of
from airlock.gates import PerformanceRegression

MARGIN, CONFIDENCE = 0.01, 0.95
DISCORDANT, AUC, POSITIVE, CORRELATION = 0.06, 0.85, 0.1, 0.9
SLICES, SLICE_ROWS, FALLEN = 20, 500, -0.05
HOW = intervals.How(task="classification", resamples=0, seed=0, name="simulation")

Draw = Callable[[float], pandas.DataFrame]


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    random = numpy.random.default_rng(2026)
    accuracy = PerformanceRegression("accuracy", MARGIN, CONFIDENCE, attempts=1)
    auc = PerformanceRegression("roc_auc", MARGIN, CONFIDENCE, attempts=1)
    n = rows_planned(math.sqrt(DISCORDANT), MARGIN, CONFIDENCE)
    more = rows_planned(auc_deviation(AUC, POSITIVE, CORRELATION), MARGIN, CONFIDENCE)
    return [
        *_errors(f"accuracy, {n:,} rows", accuracy, lambda at: answers(random, n, at), 5000),
        *_errors(f"roc_auc, {more:,} rows", auc, lambda at: rankings(random, more, at), 800),
        _few(random, 300, 0.02, 20_000),
        _retries(random, n, 800),
        *_slices(random, 400),
    ]


def answers(random: numpy.random.Generator, n: int, difference: float) -> pandas.DataFrame:
    """Draw a table of predictions whose true difference in accuracy is known."""
    better, worse = (DISCORDANT + difference) / 2, (DISCORDANT - difference) / 2
    kind = random.choice(4, n, p=[0.9 - worse, worse, better, 0.1 - better])
    truth = random.integers(0, 2, n)
    champion, candidate = numpy.isin(kind, (0, 1)), numpy.isin(kind, (0, 2))
    predictions = [
        numpy.where(right, truth, 1 - truth).astype(float) for right in (candidate, champion)
    ]
    return pandas.DataFrame(
        {"truth": truth, "candidate": predictions[0], "champion": predictions[1]}
    )


def rankings(random: numpy.random.Generator, n: int, difference: float) -> pandas.DataFrame:
    """Draw a table of predictions whose true difference in AUC is known (two normal classes)."""
    from scipy.stats import norm

    truth = (random.random(n) < POSITIVE).astype(int)
    noise = random.multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]], n)
    shift = [math.sqrt(2) * norm.ppf(auc) for auc in (AUC + difference, AUC)]
    scores = noise + truth[:, None] * numpy.array(shift)
    return pandas.DataFrame({"truth": truth, "candidate": scores[:, 0], "champion": scores[:, 1]})


def result_of(gate: PerformanceRegression, table: pandas.DataFrame) -> GateResult:
    """Bound and judge a table as the product does."""
    metrics = [{"metric": gate.metric, "confidence": gate.each}]
    facts = {"champion": "1", "attempt": 1, "comparisons": intervals.compared(table, metrics, HOW)}
    result = gate.judge({"comparison": Evidence("comparison", "", facts)})
    assert result.details is not None
    return result


def _errors(case: str, gate: PerformanceRegression, draw: Draw, times: int) -> list[dict[str, Any]]:
    """Return type I error at the margin and power for an equal candidate."""
    bad = [result_of(gate, draw(-MARGIN)) for _ in range(times)]
    same = [result_of(gate, draw(0.0)) for _ in range(times)]
    drops = [-float(result.measured or 0) for result in bad]
    return [
        _row(
            f"{case}: a candidate worse by the margin passes (peer: point drop > margin)",
            _share([result.verdict is Verdict.PASSED for result in bad]),
            _share([drop <= MARGIN for drop in drops]),
            times,
            at_most=1 - CONFIDENCE,
        ),
        _row(
            f"{case}: an equal candidate passes (peer: any drop blocks)",
            _share([result.verdict is Verdict.PASSED for result in same]),
            _share([float(result.measured or 0) >= 0 for result in same]),
            times,
            at_least=0.8,
        ),
    ]


def _few(random: numpy.random.Generator, n: int, differ: float, times: int) -> dict[str, Any]:
    """Return type I error where few rows differ; there a Wald interval is too short."""
    chances = [(differ - MARGIN) / 2, (differ + MARGIN) / 2, 1 - differ]
    counts = random.multinomial(n, chances, size=times)
    ours = [tango(int(b), int(w), n, CONFIDENCE)[0] > -MARGIN for b, w, _ in counts]
    better, worse = counts[:, 0], counts[:, 1]
    error = numpy.sqrt(better + worse - (better - worse) ** 2 / n) / n
    wald = (better - worse) / n - z_of(CONFIDENCE) * error > -MARGIN
    name = f"accuracy, {n} rows, {100 * differ:g} % differ: worse by the margin passes (peer: Wald)"
    return _row(name, _share(ours), float(wald.mean()), times, at_most=1 - CONFIDENCE)


def _retries(random: numpy.random.Generator, n: int, times: int) -> dict[str, Any]:
    """Return how often one of five candidates at the margin passes, with and without a budget."""
    once = PerformanceRegression("accuracy", MARGIN, CONFIDENCE, attempts=1)
    shared = PerformanceRegression("accuracy", MARGIN, CONFIDENCE, attempts=5)
    ours, peer = [], []
    for _ in range(times):
        tables = [answers(random, n, -MARGIN) for _ in range(5)]
        ours.append(any(result_of(shared, table).verdict is Verdict.PASSED for table in tables))
        peer.append(any(result_of(once, table).verdict is Verdict.PASSED for table in tables))
    name = "one of five candidates worse by the margin passes (peer: no budget)"
    return _row(name, _share(ours), _share(peer), times, at_most=1 - CONFIDENCE)


def _slices(random: numpy.random.Generator, times: int) -> list[dict[str, Any]]:
    """Return false blocks and false warnings of equal models, and how often a fall is found."""
    gate = PerformanceRegression("accuracy", MARGIN, CONFIDENCE, attempts=1)
    same = [result_of(gate, _table(random, 0.0)) for _ in range(times)]
    fell = [result_of(gate, _table(random, FALLEN)) for _ in range(times)]
    naive = [_share([_lowest(result) < -2 * MARGIN for result in group]) for group in (same, fell)]
    name = f"{SLICES} slices of {SLICE_ROWS} rows"
    blocked = _share([bool(_slices_at(result, "regressed")) for result in same])
    warned = _share(
        [bool(_slices_at(result, "regressed") or _slices_at(result, "warned")) for result in same]
    )
    power = _share(["slice 0" in _slices_at(result, "regressed") for result in fell])
    peer = "(peer: any slice drop > 2 points)"
    return [
        _row(f"{name}, all equal: blocked {peer}", blocked, naive[0], times, at_most=0.05),
        _row(f"{name}, all equal: a warning {peer}", warned, naive[0], times, at_most=0.10),
        _row(f"{name}, one 5 points worse: blocked {peer}", power, naive[1], times, at_least=0.8),
    ]


def _table(random: numpy.random.Generator, fallen: float) -> pandas.DataFrame:
    differences = [fallen] + [0.0] * (SLICES - 1)
    tables = [
        answers(random, SLICE_ROWS, difference).assign(**{"slice:x": f"slice {number}"})
        for number, difference in enumerate(differences)
    ]
    return pandas.concat(tables, ignore_index=True)


def _slices_at(result: GateResult, key: str) -> list[str]:
    names: list[str] = (result.details or {})[key]
    return names


def _lowest(result: GateResult) -> float:
    return min(float(entry["difference"]) for entry in (result.details or {})["slices"])


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def _row(
    name: str,
    ours: float,
    peer: float,
    times: int,
    at_most: float | None = None,
    at_least: float | None = None,
) -> dict[str, Any]:
    """Return one row; the goal allows for the Monte-Carlo error (99 %, one-sided)."""
    goal = at_most if at_most is not None else at_least or 0.0
    slack = 2.33 * math.sqrt(goal * (1 - goal) / times)
    met = ours <= goal + slack if at_most is not None else ours >= goal - slack
    sign = "<=" if at_most is not None else ">="
    return {
        "name": name,
        "unit": "share",
        "ours": round(ours, 4),
        "peer": round(peer, 4),
        "ratio": "-",
        "goal": f"{sign} {goal:g} (Monte-Carlo error {slack:.3f})",
        "met": met,
        "n": times,
    }
