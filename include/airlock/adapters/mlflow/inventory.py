"""Everything an MLflow server has, read page by page and never changed: for an audit of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from airlock.adapters.mlflow.http_errors import translated
from airlock.adapters.mlflow.registry import MlflowRegistry

_PAGE = 100
_SIGNATURE = "signature/model.sig"


@dataclass(frozen=True, slots=True)
class Listed:
    """One model version."""

    model: str
    version: str
    aliases: tuple[str, ...]
    stage: str
    run_id: str


class MlflowInventory:
    """Lists and fetches what a server has."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._registry = MlflowRegistry(tracking_uri)

    def versions(self) -> Iterator[Listed]:
        """Yield every version of every model."""
        client = self._client()
        with translated("listing the registered models", self._uri):
            models = _all(lambda token: client.search_registered_models(None, _PAGE, None, token))
            aliases = {model.name: dict(model.aliases) for model in models}
            versions = _all(lambda token: client.search_model_versions(None, _PAGE, None, token))
        for version in sorted(versions, key=lambda version: (version.name, int(version.version))):
            names = aliases.get(version.name, {})
            yield Listed(
                model=version.name,
                version=str(version.version),
                aliases=tuple(
                    sorted(n for n, v in names.items() if str(v) == str(version.version))
                ),
                stage=str(version.current_stage or "None"),
                run_id=str(version.run_id or ""),
            )

    def fetch(self, model: str, version: str, into: Path) -> Path:
        """Download a version."""
        return self._registry.download(model, version, into)

    def version_at(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at."""
        return self._registry.alias(model, alias)

    def signed(self, run_id: str) -> bool:
        """Say whether a run keeps a model signature."""
        if not run_id:
            return False
        with translated(f"looking for the signature of run {run_id}", self._uri):
            files = self._client().list_artifacts(run_id, _SIGNATURE.partition("/")[0])
        return any(file.path == _SIGNATURE for file in files)

    def open_to_anybody(self) -> bool:
        """Say whether the server answers a reader who has not logged in."""
        if not self._uri.startswith("http"):
            return True
        url = f"{self._uri.rstrip('/')}/api/2.0/mlflow/registered-models/search"
        try:
            return httpx.get(url, timeout=30).is_success
        except httpx.HTTPError:
            return False

    def server_version(self) -> str | None:
        """Return the version of MLflow the server runs, if it says so."""
        if not self._uri.startswith("http"):
            return None
        try:
            answer = httpx.get(f"{self._uri.rstrip('/')}/version", timeout=30)
        except httpx.HTTPError:
            return None
        return answer.text.strip()[:40] if answer.is_success else None

    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)


def _all(page: Callable[[str | None], Any]) -> list[Any]:
    entries: list[Any] = []
    token: str | None = None
    while True:
        answer = page(token)
        entries += answer
        token = answer.token
        if not token:
            return entries
