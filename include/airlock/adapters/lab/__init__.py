"""The lab: runs user code and heavy libraries in child processes, and names every failure."""

from airlock.adapters.lab.lab import Lab
from airlock.adapters.lab.requests import (
    Champion,
    Compare,
    EvaluateRequest,
    EvaluateResult,
    LabData,
    LatencyRequest,
    LatencyResult,
    Limits,
    TrainRequest,
    TrainResult,
    ValidateRequest,
    ValidateResult,
)

__all__ = [
    "Champion",
    "Compare",
    "EvaluateRequest",
    "EvaluateResult",
    "Lab",
    "LabData",
    "LatencyRequest",
    "LatencyResult",
    "Limits",
    "TrainRequest",
    "TrainResult",
    "ValidateRequest",
    "ValidateResult",
]
