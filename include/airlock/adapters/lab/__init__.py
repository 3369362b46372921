"""The lab: runs user code and heavy libraries in child processes, and names every failure."""

from airlock.adapters.lab.lab import Lab
from airlock.adapters.lab.requests import (
    Champion,
    Compare,
    EvaluateRequest,
    EvaluateResult,
    FairnessRequest,
    LabData,
    LatencyRequest,
    LatencyResult,
    Limits,
    Slice,
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
    "FairnessRequest",
    "Lab",
    "LabData",
    "LatencyRequest",
    "LatencyResult",
    "Limits",
    "Slice",
    "TrainRequest",
    "TrainResult",
    "ValidateRequest",
    "ValidateResult",
]
