"""Judging the evidence again: with the gates themselves, whose code travels in the bundle.

A gate is arithmetic on stored facts, so there is one implementation, and a stranger runs what
Airlock ran (ADR 0035). This is the only file here that knows Airlock's own code, and of that only
the gates and the part of the domain they compute with: standard library, Python 3.9.

Verdicts as in Airlock: PASSED, FAILED, ERRORED (could not tell), WAIVED. Only PASSED and WAIVED
open. A gate this program does not know is not judged, and that is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import airlock
from airlock.domain.gates import Evidence, Gate, options_digest, run_gate
from airlock.domain.metrics import DIRECTIONS
from airlock.gates import BY_NAME, build

OPENING = frozenset({"PASSED", "WAIVED"})
#: What of the domain the gates compute with; their own files are all of `airlock/gates`.
DOMAIN = (
    "digest",
    "distributions",
    "duplicate_statistics",
    "artifact_formats",
    "gates",
    "hypothesis_tests",
    "metrics",
)
_PACKAGES = ("__init__", "domain/__init__", "domain/strict_zip")
#: Rounding of another machine's logarithms is no lie.
_ROUNDING = 1e-9


def code() -> dict[str, bytes]:
    """Return the gates' code, as it lies in a bundle."""
    home = Path(airlock.__path__[0])
    names = [*_PACKAGES, *(f"domain/{name}" for name in DOMAIN)]
    names += [f"gates/{path.stem}" for path in sorted((home / "gates").glob("*.py"))]
    return {f"airlock/{name}.py": (home / f"{name}.py").read_bytes() for name in names}


def better(metric: str) -> str:
    """Return the direction in which a metric improves; empty for an unknown one."""
    return str(DIRECTIONS.get(metric, ""))


def key_of(gate: Mapping[str, Any]) -> str:
    """Return the name of a gate, with the metric where it has one."""
    return f"{gate['gate']}:{gate['metric']}" if "metric" in gate else str(gate["gate"])


def needs(gate: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of evidence a gate judges; none for a gate this program does not know."""
    gate_class = BY_NAME.get(str(gate["gate"]))
    return gate_class.needs if gate_class else ()


def judge(
    gate: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the result on the evidence (kind -> document); nothing if the gate is not known."""
    built = _built(gate)
    if built is None:
        return None
    inputs = {
        kind: Evidence(kind, str(document["artifactDigest"]), document["facts"])
        for kind, document in evidence.items()
    }
    return run_gate(built, inputs).to_document()


def options(gate: Mapping[str, Any]) -> str:
    """Return the digest of a gate with all its options; empty if the gate is not known."""
    built = _built(gate)
    return options_digest(built) if built is not None else ""


def differs(computed: Mapping[str, Any], logged: Mapping[str, Any]) -> str:
    """Say in what a result in the log is not the one found here, or nothing."""
    for name in ("verdict", "measured", "threshold", "n"):
        value, expected = computed[name], logged.get(name)
        if not _same(value, expected):
            label = "" if name == "verdict" else f"{name} "
            return f"is {label}{_spelled(value)} by its evidence, the log says {_spelled(expected)}"
    return ""


def _built(gate: Mapping[str, Any]) -> Gate | None:
    """Return the gate; nothing if it, or one of its options, is newer than this program."""
    if str(gate["gate"]) not in BY_NAME:
        return None
    try:
        return build(gate)
    except (TypeError, ValueError):
        return None


def _same(value: Any, other: Any) -> bool:
    numbers = [number for number in (value, other) if isinstance(number, (int, float))]
    if len(numbers) < 2:
        return bool(value == other)
    return math.isclose(value, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _spelled(value: Any) -> str:
    return "nothing" if value is None else f"{value}"
