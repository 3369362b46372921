"""Judging the evidence again: the gates, from the pipeline's options and the evidence's facts.

Verdicts as in Airlock: PASSED, FAILED, ERRORED (could not tell), WAIVED. Only PASSED and WAIVED
open. A gate this program does not know is not judged, and that is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})
HIGHER_IS_BETTER = frozenset({"roc_auc", "average_precision", "accuracy", "f1", "r2"})
OPENING = frozenset({"PASSED", "WAIVED"})
_SIDE = frozenset({"mlmodel", "conda-env", "python-env", "requirements", "json"})
_LOADERS = frozenset({"mlflow.sklearn"})
_MINIMUM_CALLS, _COMPARED_CALLS, _BATCH_ROWS = 200, 4000, 100

Facts = Mapping[str, Any]


class Unsure(Exception):
    """The evidence does not say enough: the verdict is ERRORED."""


def key_of(gate: Mapping[str, Any]) -> str:
    """Return the name of a gate, with the metric where it has one."""
    return f"{gate['gate']}:{gate['metric']}" if "metric" in gate else str(gate["gate"])


def needs(gate: Mapping[str, Any]) -> str | None:
    """Return the kind of evidence a gate judges; None for a gate this program does not know."""
    return _NEEDS.get(str(gate["gate"]))


def judge(gate: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the verdict on the evidence (kind -> document); empty if the gate is not known."""
    kind = needs(gate)
    if kind is None:
        return ""
    if kind not in evidence:
        return "ERRORED"
    try:
        return _JUDGES[str(gate["gate"])](gate, evidence[kind])
    except (Unsure, KeyError, TypeError, ValueError, AttributeError, IndexError):
        return "ERRORED"


def _verdict(good: bool) -> str:
    return "PASSED" if good else "FAILED"


def _demand(sure: bool) -> None:
    if not sure:
        raise Unsure


def _is_higher(metric: str) -> bool:
    _demand(metric in HIGHER_IS_BETTER | LOWER_IS_BETTER)
    return metric in HIGHER_IS_BETTER


def _metrics_threshold(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts, limit = evidence["facts"], gate["threshold"]
    measured = float(facts["candidate"]["metrics"][gate["metric"]])
    _demand(math.isfinite(measured) and int(facts["rows"]) >= 1)
    return _verdict(measured >= limit if _is_higher(gate["metric"]) else measured <= limit)


def _latency(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts = evidence["facts"]
    measured, calls = float(facts["p95Ms"]), int(facts["n"])
    _demand(calls >= gate.get("n", _MINIMUM_CALLS) and measured > 0)
    within = [_within(gate, facts, name) for name in ("p50Ms", "p95Ms", "p99Ms")]
    if any(name in gate for name in ("batchP50Ms", "batchP95Ms", "batchP99Ms")):
        _demand(facts["batchRows"] == gate.get("batchRows", _BATCH_ROWS))
        _demand(facts["batch"]["n"] >= _MINIMUM_CALLS)
        within += [_within(gate, facts["batch"], n, "batchP") for n in ("50Ms", "95Ms", "99Ms")]
    ratio = _ratio(gate, facts) if "maxRatio" in gate else "PASSED"
    return ratio if all(within) else "FAILED"


def _within(gate: Mapping[str, Any], facts: Facts, name: str, prefix: str = "") -> bool:
    option = prefix + name
    if option not in gate:
        return True
    value = float(facts["p" + name if prefix else name])
    _demand(math.isfinite(value) and value > 0)
    return bool(value <= gate[option])


def _ratio(gate: Mapping[str, Any], facts: Facts) -> str:
    if facts["champion"] is None:
        _demand(facts["serves"] is None)
        return "PASSED"
    row, limit = facts["ratio"], gate["maxRatio"]
    low, _, high = (float(row[name]) for name in ("low", "ratio", "high"))
    _demand(row["n"] >= gate.get("n", _COMPARED_CALLS) and row["confidence"] == 0.95)
    _demand(math.isfinite(high) and 0 < low <= high)
    if high <= limit:
        return "PASSED"
    return "FAILED" if low > limit else "ERRORED"


def _data_validation(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts = evidence["facts"]
    _demand(facts["evaluated"] >= 1 and facts["rows"] >= 1)
    whole = facts["success"] is True and facts["successful"] == facts["evaluated"]
    return _verdict(whole and not facts["failed"])


def _artifact_format(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts = evidence["facts"]
    files = {file["path"]: file["format"] for file in facts["files"]}
    _demand(bool(files) and facts["manifestDigest"] == evidence["artifactDigest"])
    allowed = set(gate.get("allowed", ("skops",)))
    known = allowed | _SIDE
    foreign = [one for one in facts["unknown"] if files.get(one, "mlmodel") in known]
    return _verdict(
        set(files.values()) <= known
        and not foreign
        and bool(set(files.values()) & allowed)
        and files.get("MLmodel") == "mlmodel"
        and facts["loaderModule"] in _LOADERS
        and facts["code"] is None
    )


def _performance_regression(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts, metric, margin = evidence["facts"], gate["metric"], gate["margin"]
    if facts["champion"] is None:
        return "PASSED"
    row = next(
        one
        for one in [*facts["comparisons"], {"n": 0, "metric": metric}]
        if one["metric"] == metric
    )
    _demand(row["n"] >= 1 and row["confidence"] == gate.get("confidence", 0.95))
    low, high = float(row["low"]), float(row["high"])
    _demand(math.isfinite(low) and math.isfinite(high) and low <= high)
    if not _is_higher(metric):
        low, high = -high, -low
    if low > -margin:
        return "PASSED"
    return "FAILED" if high < -margin else "ERRORED"


_JUDGES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "metrics-threshold": _metrics_threshold,
    "latency": _latency,
    "data-validation": _data_validation,
    "artifact-format": _artifact_format,
    "performance-regression": _performance_regression,
}
_NEEDS: dict[str, str] = {
    "metrics-threshold": "evaluation",
    "latency": "latency",
    "data-validation": "data-validation",
    "artifact-format": "artifact-format",
    "performance-regression": "comparison",
}
