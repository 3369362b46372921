"""Airflow's REST API as `airlock-service`: wake a task, note on or start a run, events, log-ins.

Rules:
* A task is woken only when Airflow says it is parked (`awaiting_input`). One that has gone on,
  ended or been deleted needs no waking.
* "Not yet" (still being parked, or another answer is just being processed) is False: try again.
* What is sent decides nothing; the woken task asks Airlock's own database.
* Only an answer that is Airflow's counts, which is a JSON object with what was asked for. Anything
  else, such as the page of a proxy, is "could not tell": try again, whatever its status says.
* The password is read from its file at each login, so it can be changed while this runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from airlock.adapters.http_budget import BudgetClient
from airlock.domain.errors import Refused, Unreachable
from airlock.domain.people.enrolment import SeenAccount
from airlock.ports import Account, Parked, RunRecord

USER = "airlock-service"
#: What the only option of a Required Action is called; the operator writes the same.
DONE_OPTION = "Done"
_TIMEOUT_S = 20.0
#: States on the way to being parked: the task is at work and will park in a moment.
_ON_THE_WAY = frozenset({"running", "queued", "scheduled", "up_for_retry", "restarting"})
_PARKED = "awaiting_input"
_NOTE_LIMIT = 1000
_USERS, _PAGE = "/auth/fab/v1/users", 100
_ACCOUNTS = "/airlock/api/v1/accounts"


class AirflowRest:
    """`airlock.ports.Airflow` over HTTP."""

    def __init__(self, url: str, password_file: Path, client: httpx.Client | None = None) -> None:
        self._url = url
        self._password_file = password_file
        self._client = client or BudgetClient(base_url=url, timeout=_TIMEOUT_S)
        self._token = ""

    def wake(self, parked: Parked, note: str) -> bool:
        """Wake a parked task.

        Returns:
            False if it cannot be woken yet; True if it was woken or does not wait any more.

        Raises:
            Unreachable: if Airflow did not answer.
            Refused: if Airflow does not let the service account do this.
        """
        task = _task(parked.dag_id, parked.run_id, parked.task_id)
        response = self._ask("GET", task)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return True
        state = _field(_json(response), "state")
        if state != _PARKED:
            return state not in _ON_THE_WAY
        answer = {"chosen_options": [DONE_OPTION], "params_input": {}}
        # -1 is the map index of a task that is not mapped.
        resumed = self._ask("PATCH", f"{task}/-1/hitlDetails", json=answer)
        return resumed.status_code != HTTPStatus.CONFLICT

    def note(self, dag_id: str, run_id: str, note: str) -> None:
        """Write a note onto a DAG run; a run that is gone needs none."""
        text = note if len(note) <= _NOTE_LIMIT else f"{note[: _NOTE_LIMIT - 1]}…"
        self._ask("PATCH", f"{_run(dag_id, run_id)}?update_mask=note", json={"note": text})

    def start(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a DAG run; one of this id that there is already is the one that was wanted."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        response = self._ask("POST", f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns", json=body)
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise Unreachable(
                f"Airflow has no DAG {dag_id} yet", next_step="See its import errors in Airflow."
            )

    def run(self, origin: str) -> RunRecord | None:
        """Return a run as Airflow knows it; None if it has none of that name."""
        dag_id, _, run_id = origin.partition("/")
        if not dag_id or not run_id:
            return None
        response = self._ask("GET", _run(dag_id, run_id))
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        document = _json(response)
        try:
            began = document["start_date"]
            record = RunRecord(
                dag_id=str(document["dag_id"]),
                run_id=str(document["dag_run_id"]),
                state=str(document["state"]),
                triggered_by=str(document.get("triggering_user_name") or ""),
                started_at=datetime.fromisoformat(began) if began else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"Airflow's answer about {origin} is no run: {error!r}") from error
        # Names are compared as texts: an address that only leads there is not the run.
        return record if (record.dag_id, record.run_id) == (dag_id, run_id) else None

    def has_task(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Say whether a run has such a task instance."""
        response = self._ask("GET", _task(dag_id, run_id, task_id))
        return response.status_code != HTTPStatus.NOT_FOUND

    def failed_tasks(self, dag_id: str, run_id: str) -> tuple[str, ...]:
        """Return the tasks of a run that have failed, by name; a hundred at most."""
        parameters = {"state": "failed", "limit": 100, "order_by": "end_date"}
        response = self._ask("GET", f"{_run(dag_id, run_id)}/taskInstances", params=parameters)
        rows = _json(response).get("task_instances")
        if not isinstance(rows, list):
            raise Unreachable(f"Airflow's answer about the tasks of {dag_id}/{run_id} is no list")
        return tuple(str(row["task_id"]) for row in rows if isinstance(row, dict))

    def last(self, asset: str) -> Mapping[str, Any] | None:
        """Return the extra of the newest event of an asset, None if it had none."""
        parameters = {"asset_id": self._asset(asset), "order_by": "-timestamp", "limit": 1}
        document = _json(self._ask("GET", "/api/v2/assets/events", params=parameters))
        events = _field(document, "asset_events")
        return dict(events[0]["extra"] or {}) if events else None

    def post(self, asset: str, extra: Mapping[str, Any]) -> None:
        """Post an event on an asset; DAGs that wait for it start."""
        body = {"asset_id": self._asset(asset), "extra": dict(extra)}
        self._ask("POST", "/api/v2/assets/events", json=body)

    def _asset(self, name: str) -> int:
        document = _json(self._ask("GET", "/api/v2/assets", params={"name_pattern": name}))
        numbers = [
            int(asset["id"]) for asset in document.get("assets", ()) if asset["name"] == name
        ]
        if not numbers:
            raise Unreachable(
                f"Airflow has no asset {name} yet",
                next_step="It is there once Airflow has read the pipeline's DAG.",
            )
        return numbers[0]

    def accounts(self) -> tuple[Account, ...] | None:
        """Return everybody but ourselves; None if Airflow's login keeps no list.

        Airlock's app in the API server knows most: what enrolments are made for, too. Where it is
        not mounted, Airflow's own list has to do.
        """
        answer = self._ask("GET", _ACCOUNTS)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return self._listed()
        try:
            accounts = _json(answer)["accounts"]
            return None if accounts is None else tuple(map(_account_row, accounts))
        except (KeyError, TypeError) as error:
            raise Unreachable(f"Airflow's answer is no list of accounts: {error!r}") from error

    def _listed(self) -> tuple[Account, ...] | None:
        accounts: list[Account] = []
        count, total = 0, 1
        while count < total:
            page = self._ask("GET", _USERS, params={"limit": _PAGE, "offset": count})
            if page.status_code == HTTPStatus.NOT_FOUND:
                return None
            document = _json(page)
            total = int(_field(document, "total_entries"))
            users = _field(document, "users")
            if not users:
                raise Unreachable(f"Airflow listed {count} of {total} users")
            count += len(users)
            accounts += [_account(user) for user in users if user["username"] != USER]
        return tuple(accounts)

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request, logging in first if needed; only 2xx, 404 and 409 come back."""
        if not self._token:
            self._login()
        answer = self._send(method, path, **more)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._login()
            answer = self._send(method, path, **more)
        # A page of something in between says nothing of a task, not even with its 404. Which login
        # there is, is asked of addresses that not every login has, and any 404 answers that.
        if not answer.is_server_error and not (_is_about_logins(path) and _is_absent(answer)):
            _json(answer)
        if answer.is_success or answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            return answer
        raise _failure(f"{method} {path}", answer)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._reach(lambda: self._client.request(method, path, headers=headers, **more))

    def _login(self) -> None:
        self._token = ""
        try:
            password = self._password_file.read_text().strip()
        except OSError as error:
            raise Unreachable(
                f"the password of {USER} cannot be read: {error}",
                next_step="AIRLOCK_SERVICE_PASSWORD_FILE names its file; `airlock up` writes it.",
            ) from error
        body = {"username": USER, "password": password}
        answer = self._reach(lambda: self._client.post("/auth/token", json=body))
        if not answer.is_success:
            # Not a refusal: the account may be made, or its password changed, at any moment.
            raise Unreachable(
                f"Airflow does not let {USER} log in (HTTP {answer.status_code})",
                next_step="`airlock up` makes the account and its password.",
            )
        self._token = str(_field(_json(answer), "access_token"))

    def _reach(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            return send()
        except httpx.HTTPError as error:
            raise Unreachable(
                f"Airflow at {self._url} did not answer: {type(error).__name__}",
                next_step="`airlock status` shows whether it runs.",
            ) from error


def _is_about_logins(path: str) -> bool:
    return path in (_ACCOUNTS, _USERS)


def _is_absent(answer: httpx.Response) -> bool:
    return answer.status_code == HTTPStatus.NOT_FOUND


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _task(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}"


def _account_row(row: dict[str, Any]) -> Account:
    identity = row["seen"]
    return Account(
        user=row["user"],
        name=row["name"],
        roles=frozenset(row["roles"]),
        active=row["active"] is True,
        identity=SeenAccount(identity["issuer"], identity["subject"], identity["marks"])
        if identity
        else None,
    )


def _account(user: dict[str, Any]) -> Account:
    return Account(
        user=user["username"],
        name=f"{user['first_name']} {user['last_name']}".strip(),
        roles=frozenset(role["name"] for role in user["roles"] or ()),
        active=user["active"] is True,
    )


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unreachable(
            f"what answers at {answer.url.copy_with(query=None)} is not Airflow: expected a JSON "
            f"object, found HTTP {answer.status_code} with {answer.text[:80]!r}",
            next_step="See that AIRLOCK_AIRFLOW_URL leads to Airflow's API server.",
        )
    return document


def _field(document: dict[str, Any], name: str) -> Any:
    if name not in document:
        raise Unreachable(
            f"Airflow's answer has no {name!r}",
            next_step="See that AIRLOCK_AIRFLOW_URL leads to Airflow's API server.",
        )
    return document[name]


def _failure(request: str, answer: httpx.Response) -> Refused | Unreachable:
    message = f"{request} was answered with HTTP {answer.status_code}: {answer.text[:200]}"
    too_many = answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
    if answer.is_server_error or too_many:
        return Unreachable(message)
    return Refused(message, next_step=f"Check what {USER} may do in Airflow.")
