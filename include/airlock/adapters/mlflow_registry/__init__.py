"""MLflow as the model registry."""

from airlock.adapters.mlflow_registry.records import CandidateRecord, RegisteredCandidate
from airlock.adapters.mlflow_registry.registry import MlflowRegistry

__all__ = ["CandidateRecord", "MlflowRegistry", "RegisteredCandidate"]
