"""Judging the evidence again: the gates, from the pipeline's options and the evidence's facts.

Verdicts as in Airlock: PASSED, FAILED, ERRORED (could not tell), WAIVED. Only PASSED and WAIVED
open. A gate this program does not know is not judged, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airlock_evidence import bounds
from airlock_evidence.bounds import Unsure, demand

OPENING = frozenset({"PASSED", "WAIVED"})
_SIDE = frozenset({"mlmodel", "conda-env", "python-env", "requirements", "json"})
_LOADERS = frozenset({"mlflow.sklearn"})
_MINIMUM_CALLS = 200

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
    measured, calls = float(evidence["facts"]["p95Ms"]), int(evidence["facts"]["n"])
    demand(calls >= _MINIMUM_CALLS and measured > 0)
    return _verdict(measured <= gate["p95Ms"])


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
