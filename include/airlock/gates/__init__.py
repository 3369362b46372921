"""The gates. To add one: its file, its line in `GATES`, and YAML that uses it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from airlock.domain.digest import plain
from airlock.domain.gates import Gate
from airlock.gates.artifact_format import ArtifactFormat
from airlock.gates.artifact_scan import ArtifactScan
from airlock.gates.data_validation import DataValidation
from airlock.gates.dependency_audit import DependencyAudit
from airlock.gates.drift import DataDrift
from airlock.gates.fairness import Fairness
from airlock.gates.footprint import Footprint
from airlock.gates.label_balance import LabelBalance
from airlock.gates.latency import Latency
from airlock.gates.leakage import Leakage
from airlock.gates.metrics_threshold import MetricsThreshold
from airlock.gates.model_card import ModelCard
from airlock.gates.performance_regression import PerformanceRegression
from airlock.gates.reproducibility import Reproducibility
from airlock.gates.serving_check import ServingCheck
from airlock.gates.signature import Signature
from airlock.gates.static_analysis import StaticAnalysis
from airlock.gates.test_coverage import TestCoverage
from airlock.gates.train_serving_skew import TrainServingSkew

#: Every gate there is. An explicit tuple: nothing is discovered, nothing named in YAML is imported.
GATES: tuple[type[Gate], ...] = (
    ArtifactFormat,
    ArtifactScan,
    DataValidation,
    DependencyAudit,
    Fairness,
    Footprint,
    DataDrift,
    LabelBalance,
    Latency,
    Leakage,
    MetricsThreshold,
    ModelCard,
    PerformanceRegression,
    Reproducibility,
    ServingCheck,
    Signature,
    StaticAnalysis,
    TestCoverage,
    TrainServingSkew,
)

BY_NAME: dict[str, type[Gate]] = {gate.name: gate for gate in GATES}


def build(document: Mapping[str, Any]) -> Gate:
    """Return the gate a canonical pipeline document describes: `{"gate": …, option: value}`."""
    options = {
        re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key): tuple(value)
        if isinstance(value, list)
        else value
        for key, value in document.items()
        if key != "gate"
    }
    return BY_NAME[document["gate"]](**options)


def runs_team_code(document: Mapping[str, Any]) -> bool:
    """Say whether the model team's own code has to run for a gate of a pipeline document."""
    return getattr(BY_NAME[document["gate"]], "runs_team_code", False)


def written(gate: Gate) -> dict[str, Any]:
    """Return a gate as a canonical pipeline document writes it, the reverse of `build`.

    The only writer: documents and digests of two gates that are equal are the same.
    """
    options = asdict(gate)  # type: ignore[call-overload]  # Gate is a Protocol of dataclasses
    return {"gate": gate.name} | {
        re.sub(r"_([a-z])", lambda match: match[1].upper(), name): plain(value)
        for name, value in options.items()
        if value is not None
    }
