"""Airlock's operators for Airflow.

    from airlock_airflow import release_task_group, PerformanceRegressionGateOperator

Everything is imported when it is first used, so that a DAG file pays only for what it names.
What decides is never here: an operator asks `airlock` and translates the answer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airlock_airflow.approving import ApprovalGateOperator
    from airlock_airflow.gates import (
        ArtifactFormatGateOperator,
        CoverageGateOperator,
        DataValidationGateOperator,
        DependencyAuditGateOperator,
        DriftGateOperator,
        FairnessGateOperator,
        FootprintGateOperator,
        GateOperator,
        LabelBalanceGateOperator,
        LatencyGateOperator,
        LeakageGateOperator,
        MetricsThresholdGateOperator,
        ModelCardGateOperator,
        PerformanceRegressionGateOperator,
        ReproducibilityGateOperator,
        ServingCheckGateOperator,
        StaticAnalysisGateOperator,
        TrainServingSkewGateOperator,
    )
    from airlock_airflow.platform import (
        DetectChangesOperator,
        SendMailOperator,
        SweepTimersOperator,
    )
    from airlock_airflow.releasing import (
        OutcomeOperator,
        PromoteModelOperator,
        RequestReleaseOperator,
        release_task_group,
    )
    from airlock_airflow.steps import StepOperator

_HOMES = {
    "ApprovalGateOperator": "approving",
    "ArtifactFormatGateOperator": "gates",
    "CoverageGateOperator": "gates",
    "DataValidationGateOperator": "gates",
    "DependencyAuditGateOperator": "gates",
    "DetectChangesOperator": "platform",
    "FairnessGateOperator": "gates",
    "FootprintGateOperator": "gates",
    "DriftGateOperator": "gates",
    "GateOperator": "gates",
    "LabelBalanceGateOperator": "gates",
    "LatencyGateOperator": "gates",
    "LeakageGateOperator": "gates",
    "MetricsThresholdGateOperator": "gates",
    "ModelCardGateOperator": "gates",
    "OutcomeOperator": "releasing",
    "PerformanceRegressionGateOperator": "gates",
    "PromoteModelOperator": "releasing",
    "ReproducibilityGateOperator": "gates",
    "RequestReleaseOperator": "releasing",
    "SendMailOperator": "platform",
    "StaticAnalysisGateOperator": "gates",
    "ServingCheckGateOperator": "gates",
    "StepOperator": "steps",
    "SweepTimersOperator": "platform",
    "TrainServingSkewGateOperator": "gates",
    "release_task_group": "releasing",
}

__all__ = [
    "ApprovalGateOperator",
    "ArtifactFormatGateOperator",
    "CoverageGateOperator",
    "DataValidationGateOperator",
    "DependencyAuditGateOperator",
    "DetectChangesOperator",
    "DriftGateOperator",
    "FairnessGateOperator",
    "FootprintGateOperator",
    "GateOperator",
    "LabelBalanceGateOperator",
    "LatencyGateOperator",
    "LeakageGateOperator",
    "MetricsThresholdGateOperator",
    "ModelCardGateOperator",
    "OutcomeOperator",
    "PerformanceRegressionGateOperator",
    "PromoteModelOperator",
    "ReproducibilityGateOperator",
    "RequestReleaseOperator",
    "SendMailOperator",
    "ServingCheckGateOperator",
    "StaticAnalysisGateOperator",
    "StepOperator",
    "SweepTimersOperator",
    "TrainServingSkewGateOperator",
    "release_task_group",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"airlock_airflow has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"airlock_airflow.{_HOMES[name]}"), name)
