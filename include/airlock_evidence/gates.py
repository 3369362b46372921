"""Judging the evidence again: the gates, from the pipeline's options and the evidence's facts.

Verdicts as in Airlock: PASSED, FAILED, ERRORED (could not tell), WAIVED. Only PASSED and WAIVED
open. A gate this program does not know is not judged, and that is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from airlock_evidence import bounds
from airlock_evidence.bounds import Unsure, demand

OPENING = frozenset({"PASSED", "WAIVED"})
_SIDE = frozenset({"mlmodel", "conda-env", "python-env", "requirements", "json"})
_LOADERS = frozenset({"mlflow.sklearn"})
_MINIMUM_CALLS, _COMPARED_CALLS, _BATCH_ROWS = 200, 4000, 100

Facts = Mapping[str, Any]


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


def _metrics_threshold(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    return bounds.threshold(gate, evidence["facts"])


def _latency(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts = evidence["facts"]
    measured, calls = float(facts["p95Ms"]), int(facts["n"])
    demand(calls >= gate.get("n", _MINIMUM_CALLS) and measured > 0)
    within = [_within(gate, facts, name) for name in ("p50Ms", "p95Ms", "p99Ms")]
    if any(name in gate for name in ("batchP50Ms", "batchP95Ms", "batchP99Ms")):
        demand(facts["batchRows"] == gate.get("batchRows", _BATCH_ROWS))
        demand(facts["batch"]["n"] >= _MINIMUM_CALLS)
        within += [_within(gate, facts["batch"], n, "batchP") for n in ("50Ms", "95Ms", "99Ms")]
    ratio = _ratio(gate, facts) if "maxRatio" in gate else "PASSED"
    return ratio if all(within) else "FAILED"


def _within(gate: Mapping[str, Any], facts: Facts, name: str, prefix: str = "") -> bool:
    option = prefix + name
    if option not in gate:
        return True
    value = float(facts["p" + name if prefix else name])
    demand(math.isfinite(value) and value > 0)
    return bool(value <= gate[option])


def _ratio(gate: Mapping[str, Any], facts: Facts) -> str:
    if facts["champion"] is None:
        demand(facts["serves"] is None)
        return "PASSED"
    row, limit = facts["ratio"], gate["maxRatio"]
    low, _, high = (float(row[name]) for name in ("low", "ratio", "high"))
    demand(row["n"] >= gate.get("n", _COMPARED_CALLS) and row["confidence"] == 0.95)
    demand(math.isfinite(high) and 0 < low <= high)
    if high <= limit:
        return "PASSED"
    return "FAILED" if low > limit else "ERRORED"


def _data_validation(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts = evidence["facts"]
    demand(facts["evaluated"] >= 1 and facts["rows"] >= 1)
    whole = facts["success"] is True and facts["successful"] == facts["evaluated"]
    return _verdict(whole and not facts["failed"])


def _artifact_format(gate: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    facts = evidence["facts"]
    files = {file["path"]: file["format"] for file in facts["files"]}
    demand(bool(files) and facts["manifestDigest"] == evidence["artifactDigest"])
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
    return bounds.regression(gate, evidence["facts"])


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
