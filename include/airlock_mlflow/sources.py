"""What the source of a new version really names: where its files would lie."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.tracking.client import MlflowClient

#: A source may name a run or a version, whose files may again be named by a run.
_STEPS = 5


def location_of(store: Any, source: str) -> str:
    """Return the real location of the files of a version with this source."""
    for _ in range(_STEPS):
        location = _step(store, source)
        if location == source:
            break
        source = location
    return source


def _step(store: Any, source: str) -> str:
    parts = urlsplit(source)
    if parts.scheme == "models" and not parts.netloc:
        parsed = _parse_model_uri(source)
        if parsed.model_id is not None:
            return str(MlflowClient().get_logged_model(parsed.model_id).artifact_location)
        return str(store.get_model_version_download_uri(parsed.name, parsed.version))
    if parts.scheme == "runs" and not parts.netloc:
        run_id, _, path = parts.path.strip("/").partition("/")
        return f"{MlflowClient().get_run(run_id).info.artifact_uri}/{path}".rstrip("/")
    return source


def is_copy(source: str) -> bool:
    """Say whether a version's source is another version, as MLflow's client copies them."""
    parts = urlsplit(source)
    return parts.scheme == "models" and not parts.netloc and "/" in parts.path.strip("/")
