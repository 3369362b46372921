"""MLflow as the detector sees it: the guard's own addresses, and what an ordinary client is told.

It logs in with tokens it signs itself: one to read what auditors read, another to revoke grants,
which no person's token allows. It needs no account and no MLflow library. A server that does not
answer, answers something else or has no guard is Unreachable: nothing could be compared, which is
never the same as "nothing found".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from airlock.adapters.http_budget import BudgetClient
from airlock.domain.clock import stamp
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.domain.people.access_token import REVOKE, issue
from airlock.domain.promotion.grant import Standing
from airlock.domain.registry_drift import Sighting, SpentThere
from airlock.ports import Signer

NAME = "airlock-detector"
_READ, _REVOKE = frozenset({"audit:read"}), frozenset({REVOKE})
_RENEW_S = 3600.0
_TIMEOUT_S, _HASHING_S = 30.0, 1800.0
_MODELS = "/api/2.0/mlflow/registered-models"
_ATTEMPTS = 5
T = TypeVar("T")


class MlflowWatch:
    """The guarded MLflow server at *uri*."""

    def __init__(self, uri: str, signer: Signer) -> None:
        self._uri, self._signer = uri.rstrip("/"), signer
        self._client = BudgetClient(base_url=self._uri, timeout=_TIMEOUT_S, trust_env=False)
        self._tokens: dict[frozenset[str], tuple[str, float]] = {}

    def sightings(self) -> tuple[Sighting, ...]:
        """Return every protected alias as it is in the registry's database."""
        rows = self._get("/airlock/state")
        keys = ("model", "alias", "version", "location", "problem", "grant", "released", "sequence")
        return self._read(
            lambda: tuple(Sighting(**{key: row[key] for key in keys}) for row in rows)
        )

    def ledger(self) -> tuple[frozenset[str], tuple[SpentThere, ...]]:
        """Return the protected aliases' names, and every grant spent there."""
        ledger = self._get("/airlock/ledger")
        return self._read(
            lambda: (
                frozenset(map(str, ledger["protected"])),
                tuple(
                    SpentThere(
                        grant=row["grant_id"],
                        model=row["model"],
                        alias=row["alias"],
                        version=str(row["version"]),
                    )
                    for row in ledger["spent"]
                ),
            )
        )

    def resolve_alias(self, model: str, alias: str) -> str | None:
        """Return the version an ordinary client gets, or None."""
        try:
            document = self._get(f"{_MODELS}/alias", name=model, alias=alias)
        except Refused:
            return None
        return self._read(lambda: str(document["model_version"]["version"]))

    def digest(self, model: str, version: str) -> str | None:
        """Hash the files of a version where they lie; None if there are none."""
        document = self._get("/airlock/digest", _HASHING_S, model=model, version=version)
        return self._read(lambda: None if document["digest"] is None else str(document["digest"]))

    def attempts(self, model: str) -> tuple[Mapping[str, Any], ...]:
        """Return the last refusals about a model: who, what, from where, when."""
        rows = self._get("/airlock/refusals", model=model, limit=_ATTEMPTS)
        return self._read(
            lambda: tuple(
                {
                    "who": row["who"],
                    "what": row["what"],
                    "from": row["source"],
                    "at": stamp(datetime.fromtimestamp(row["at_ms"] / 1000, UTC)),
                }
                for row in rows
            )
        )

    def standing(self, grant_id: str) -> Standing:
        """Return the standing of a grant in the ledger; UNSPENT if it was never delivered."""
        document = self._get(f"/airlock/grants/{grant_id}")
        return self._read(lambda: Standing(document["standing"]))

    def revoke(self, grant_id: str, envelope: str) -> Standing:
        """Let a grant never be spent; return REVOKED, or SPENT if it was spent before."""
        path = f"/airlock/grants/{grant_id}/revoke"
        document = self._ask("POST", path, _REVOKE, json={"envelope": envelope})
        return self._read(lambda: Standing(document["standing"]))

    def set_back(self, model: str, alias: str, version: str) -> None:
        """Set an alias back to what was released last, by the plain call of any client."""
        body = {"name": model, "alias": alias, "version": version}
        self._ask("POST", f"{_MODELS}/alias", json=body)

    # -- asking ------------------------------------------------------------------------------

    def _get(self, path: str, timeout: float | None = None, **params: Any) -> Any:
        return self._ask("GET", path, params=params, timeout=timeout or _TIMEOUT_S)

    def _ask(self, method: str, path: str, may: frozenset[str] = _READ, **options: Any) -> Any:
        try:
            answer = self._client.request(method, path, headers=self._login(may), **options)
        except httpx.HTTPError as error:
            raise self._silent(f"{type(error).__name__} {error}".strip()) from error
        if answer.is_success:
            return self._read(answer.json)
        reason = self._reason(answer)
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise self._silent(reason)
        if answer.status_code == 404 and path.startswith("/airlock/"):
            raise Unreachable(
                f"MLflow at {self._uri} has no guard, so nothing can be compared",
                next_step="Start it as `airlock up` does: mlflow server --app-name airlock ...",
            )
        if not isinstance(_json(answer), dict):  # the page of something in between refuses nothing
            raise self._silent(reason)
        kind = NotFound if answer.status_code == 404 else Refused
        raise kind(f"MLflow refused the detector: {reason}")

    def _login(self, may: frozenset[str]) -> dict[str, str]:
        token, renew_at = self._tokens.get(may, ("", 0.0))
        if time.monotonic() >= renew_at:
            signer = self._signer
            token = issue(NAME, may, datetime.now(UTC), signer.key_id, signer.sign)
            self._tokens[may] = (token, time.monotonic() + _RENEW_S)
        return {"Authorization": f"Bearer {token}"}

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (KeyError, TypeError, ValueError) as error:
            raise self._silent(f"its answer is not a guard's: {error!r}") from error

    @staticmethod
    def _reason(answer: httpx.Response) -> str:
        try:
            return " ".join(str(answer.json().get("message", answer.text)).split())[:400]
        except (ValueError, AttributeError):
            return " ".join(answer.text.split())[:400]

    def _silent(self, reason: str) -> Unreachable:
        return Unreachable(
            f"MLflow at {self._uri} could not be compared: {reason[:400]}",
            next_step="See that MLflow runs (`airlock status`); it is tried again by itself.",
        )


def _json(answer: httpx.Response) -> Any:
    """Return the JSON of an answer, None if it has none."""
    try:
        return answer.json()
    except ValueError:
        return None
