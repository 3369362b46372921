"""Jobs: user code and heavy libraries run in child processes, and every failure has a name."""

from airlock.adapters.jobs.requests import (
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
from airlock.adapters.jobs.runner import Lab

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
