"""What Airlock asks of the guard beside an MLflow server: to take a grant, to freeze files.

The guard answers at the server's own address, with the server's own login. Its "no" is Refused,
a server that does not answer is Unreachable; a server without a guard moves nothing for us,
because the alias it moves would not be protected afterwards.
"""

from __future__ import annotations

import os
from typing import Any

from airlock.domain.errors import NotFound, Refused, Unauthenticated, Unreachable

_TIMEOUT_S = 60


def freeze(uri: str, model: str, version: str) -> bool:
    """Let a version's files never change again; False if there is no guard to do it."""
    try:
        _post(uri, "freeze", {"model": model, "version": version}, "freezing the files")
    except NoGuard:
        return False
    return True


def deliver(uri: str, envelope: str) -> bool:
    """Hand in a grant; return whether it is the one that moved the alias to where it is.

    Raises:
        Refused: if there is no guard, or the guard does not take the grant.
    """
    document = _post(uri, "grants", {"envelope": envelope}, "handing in the grant")
    try:
        return bool(document["serving"])
    except (KeyError, TypeError) as error:
        reason = f"its answer is not a guard's: {error!r}"
        raise _unreachable(uri, "handing in the grant", reason) from error


class NoGuard(Refused):
    """The MLflow server is not guarded."""


def _post(uri: str, resource: str, body: dict[str, str], doing: str) -> Any:
    import requests

    try:
        answer = requests.post(
            f"{uri.rstrip('/')}/airlock/{resource}", json=body, auth=_login(), timeout=_TIMEOUT_S
        )
    except requests.RequestException as error:
        raise _unreachable(uri, doing, str(error)) from error
    if answer.ok:
        try:
            return answer.json()
        except ValueError as error:
            raise _unreachable(uri, doing, f"its answer is no JSON: {error}") from error
    reason = _message(answer)
    if answer.status_code >= 500 or answer.status_code in (408, 429):
        raise _unreachable(uri, doing, reason)
    if answer.status_code == 401:
        raise Unauthenticated(f"MLflow at {uri} does not know who we are while {doing}: {reason}")
    if answer.status_code == 404 and "airlock" not in reason and "RESOURCE" not in answer.text:
        raise NoGuard(
            f"MLflow at {uri} has no guard, so an alias it moved would not be protected",
            next_step="Start it as `airlock up` does: mlflow server --app-name airlock ...",
        )
    kind = NotFound if answer.status_code == 404 else Refused
    raise kind(f"MLflow refused {doing}: {reason}")


def _login() -> Any:
    """Return the login MLflow's own client would use: of the environment, or of its file."""
    from mlflow.utils.credentials import read_mlflow_creds
    from requests.auth import AuthBase

    class Bearer(AuthBase):
        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"
            return request

    login = read_mlflow_creds()
    if login.username and login.password:
        return (login.username, login.password)
    return Bearer() if os.environ.get("MLFLOW_TRACKING_TOKEN") else None


def _message(answer: Any) -> str:
    try:
        return " ".join(str(answer.json().get("message", answer.text)).split())[:400]
    except (ValueError, AttributeError):
        return " ".join(answer.text.split())[:400]


def _unreachable(uri: str, doing: str, reason: str) -> Unreachable:
    return Unreachable(
        f"MLflow at {uri} did not answer while {doing}: {reason[:400]}",
        next_step="see that MLflow runs (airlock status), then run it again; it resumes",
    )
