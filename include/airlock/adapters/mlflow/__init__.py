"""MLflow as the model registry."""

from airlock.adapters.mlflow.records import CandidateRecord, RegisteredCandidate
from airlock.adapters.mlflow.registry import MlflowRegistry

__all__ = ["CandidateRecord", "MlflowRegistry", "RegisteredCandidate"]
