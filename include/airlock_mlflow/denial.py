"""How the guard says no, and how it says that it could not tell.

A refusal is always PERMISSION_DENIED, which is 403: MLflow's clients repeat 429 and 5xx for
minutes. Only a failure of the guard itself (its database, its keys, its clock) is 503: the request
may well be allowed, and trying again is right.
"""

from __future__ import annotations

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, TEMPORARILY_UNAVAILABLE

ASK = "Ask for a release in Airlock: run the model's pipeline (`airlock pipeline run NAME`)"


class Denied(MlflowException):  # type: ignore[misc] # MLflow ships no types
    """A rule said no. `action` was tried on `target`."""

    def __init__(self, action: str, target: str, why: str, next_step: str = ASK) -> None:
        super().__init__(f"airlock: {why}. {next_step}.", error_code=PERMISSION_DENIED)
        self.action, self.target, self.why = action, target, why
        self.recorded = False


class Closed(MlflowException):  # type: ignore[misc] # MLflow ships no types
    """The guard itself does not work, so that nothing passes; trying again is right."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"airlock: the guard could not tell, so nothing passes: {why}",
            error_code=TEMPORARILY_UNAVAILABLE,
        )
