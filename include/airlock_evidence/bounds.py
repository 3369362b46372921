"""Judging metrics again: thresholds and their bounds, the champion's margin, slices, attempts.

The same arithmetic as Airlock's, written a second time: Holm's procedure, the exact sign test of
paired answers, the normal test of a difference with its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})
HIGHER_IS_BETTER = frozenset({"roc_auc", "average_precision", "accuracy", "f1", "r2"})
_CONFIDENCE, _ATTEMPTS, _MINIMUM, _OF_A_CLASS, _EXACT = 0.95, 5, 100, 20, 2000

Facts = Mapping[str, Any]


class Unsure(Exception):
    """The evidence does not say enough: the verdict is ERRORED."""


def demand(sure: bool) -> None:
    """Go on only if *sure*."""
    if not sure:
        raise Unsure


def is_higher(metric: str) -> bool:
    """Say whether more is better."""
    demand(metric in HIGHER_IS_BETTER | LOWER_IS_BETTER)
    return metric in HIGHER_IS_BETTER


def threshold(gate: Facts, facts: Facts) -> str:
    """Judge a metric, or its bound, and each slice that is large enough."""
    metric, confidence, slices = gate["metric"], gate.get("confidence"), gate.get("sliceThreshold")
    measured, n = float(facts["candidate"]["metrics"][metric]), int(facts["rows"])
    demand(math.isfinite(measured) and n >= 1)
    up, minimum = is_higher(metric), gate.get("minimumRows", _MINIMUM)
    good = [_reaches(measured, gate["threshold"], up)]
    side = "value" if confidence is None else "low" if up else "high"
    if confidence is not None or slices is not None:
        line = _line(facts["bounds"], metric, _CONFIDENCE if confidence is None else confidence)
        if confidence is not None:
            demand(n >= minimum)
            good = [_reaches(_number(line[side]), gate["threshold"], up)]
        if slices is not None:
            rows = _assessable(line["slices"], metric, minimum, "value")
            good += [_reaches(_number(row[side]), slices, up) for row in rows]
    return "PASSED" if all(good) else "FAILED"


def regression(gate: Facts, facts: Facts) -> str:
    """Judge the bounds of the difference to the champion, then the slices."""
    metric, margin = gate["metric"], gate["margin"]
    if facts["champion"] is None:
        return "PASSED"
    confidence, attempts = gate.get("confidence", _CONFIDENCE), gate.get("attempts", _ATTEMPTS)
    row = _line(facts["comparisons"], metric, 1 - (1 - confidence) / attempts)
    minimum, attempt = gate.get("minimumRows", _MINIMUM), int(facts["attempt"])
    demand(row["n"] >= minimum)
    low, high = _number(row["low"]), _number(row["high"])
    demand(low <= high)
    sign = 1 if is_higher(metric) else -1
    low, high = (low, high) if sign > 0 else (-high, -low)
    rows = _assessable(row["slices"], metric, minimum, "difference") if row["slices"] else []
    floor = gate.get("material", margin)
    fell = [-sign * one["difference"] > floor for one in rows]
    if any(a and b for a, b in zip(_holm([_chance(one, sign) for one in rows], confidence), fell)):
        return "FAILED"
    if high < -margin:
        return "FAILED"
    return "PASSED" if attempt <= attempts and low > -margin else "ERRORED"


def _reaches(value: float, limit: float, up: bool) -> bool:
    return value >= limit if up else value <= limit


def _number(value: Any) -> float:
    found = float(value)
    demand(math.isfinite(found))
    return found


def _line(lines: Any, metric: str, confidence: float) -> Facts:
    for one in lines:
        if (one["metric"], one["confidence"]) == (metric, confidence):
            found: Facts = one
            return found
    raise Unsure


def _assessable(slices: Any, metric: str, minimum: int, value: str) -> list[Facts]:
    ranks = metric in ("roc_auc", "average_precision")
    rows = [
        one
        for one in slices
        if one["n"] >= minimum
        and one[value] is not None
        and one["se"] is not None
        and (not ranks or min(one["positives"], one["n"] - one["positives"]) >= _OF_A_CLASS)
    ]
    demand(bool(rows))
    return rows


def _chance(row: Facts, sign: int) -> float:
    if "worse" in row and row["worse"] + row["better"] <= _EXACT:
        total = row["worse"] + row["better"]
        tail: int = sum(math.comb(total, k) for k in range(row["worse"], total + 1))
        return float(tail / 2**total)
    improvement, error = sign * row["difference"], row["se"]
    if error > 0:
        return NormalDist().cdf(improvement / error)
    return 1.0 if improvement >= 0 else 0.0


def _holm(chances: list[float], confidence: float) -> list[bool]:
    found = [False] * len(chances)
    for rank, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        if chances[index] > (1 - confidence) / (len(chances) - rank):
            break
        found[index] = True
    return found
