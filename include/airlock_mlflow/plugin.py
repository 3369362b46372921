"""What MLflow's entry points name. MLflow loads these while it is itself still being imported.

So nothing of MLflow is imported here before it is used; `boot` checks that MLflow has found them.
"""

from __future__ import annotations

from typing import Any


def registry_store(store_uri: str = "", **_: Any) -> Any:
    """Return the guarded registry; the environment says which database."""
    from airlock_mlflow.guard import guard
    from airlock_mlflow.store import GuardedStore

    return GuardedStore(guard())


def artifact_repository(artifact_uri: str, *rest: Any, **more: Any) -> Any:
    """Return the server's own store for files, or the part of it an address names."""
    from airlock_mlflow import artifacts

    return artifacts.artifact_repository(artifact_uri, *rest, **more)
