"""Starting and following DAG runs through Airflow's public REST API, as the logged-in user."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.entrypoints.client import AIRFLOW, Client

_ENDED = ("success", "failed")
_POLL_SECONDS = 1.0

#: (task id, state) whenever a task changed
OnChange = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One DAG run."""

    dag_id: str
    run_id: str


def trigger(client: Client, dag_id: str, conf: Mapping[str, Any]) -> str:
    """Start a run and return its id.

    Raises:
        Refused: if the DAG is paused, so that the run would wait for ever.
    """
    dag = client.get(dag_path(dag_id))
    if dag["is_paused"]:
        raise Refused(
            f"{dag_id} is paused in Airflow, so a run would never start",
            next_step="Switch it on in Airflow's list of DAGs, then try again.",
        )
    run = client.post(f"{dag_path(dag_id)}/dagRuns", {"logical_date": None, "conf": dict(conf)})
    return str(run["dag_run_id"])


def follow(client: Client, dag_id: str, run_id: str, on_change: OnChange, seconds: float) -> str:
    """Wait until a run has ended and return its state.

    Raises:
        Unreachable: if it has not ended in time.
    """
    deadline = time.monotonic() + seconds
    states: dict[str, str] = {}
    while True:
        state = str(client.get(run_path(dag_id, run_id))["state"])
        for task in tasks(client, dag_id, run_id):
            name, now = str(task["task_id"]), str(task["state"] or "")
            if now and states.get(name) != now:
                states[name] = now
                on_change(name, now)
        if state in _ENDED:
            return state
        if time.monotonic() > deadline:
            raise Unreachable(
                f"run {run_id} of {dag_id} is still {state} after {seconds:.0f} s",
                next_step="It goes on without this command; look at it in Airflow.",
            )
        time.sleep(_POLL_SECONDS)


def tasks(client: Client, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return the task instances of a run."""
    instances: list[dict[str, Any]] = client.get(
        f"{run_path(dag_id, run_id)}/taskInstances", limit=100
    )["task_instances"]
    return instances


def returned(
    client: Client, dag_id: str, run_id: str, task_id: str, key: str = "return_value"
) -> Any:
    """Return what a task of a run returned, or left under another *key*; None if nothing."""
    path = f"{run_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}"
    try:
        return client.get(f"{path}/xcomEntries/{key}", deserialize=True)["value"]
    except NotFound:
        return None


def no_release(client: Client, name: str, run: Run) -> Refused:
    """Return how a run ended that opened no release: the run's own sentence.

    A task is pointed at only if there is one that failed for itself.
    """
    outcome = returned(client, run.dag_id, run.run_id, "outcome")
    result = outcome if isinstance(outcome, dict) else {}
    why = str(result.get("why") or broken(client, run.dag_id, run.run_id))
    failed = _first_failure(tasks(client, run.dag_id, run.run_id))
    page = run_page(client.session.url, run, failed)
    return Refused(
        f"run {run.run_id} of {name} ended without a release: {why}",
        next_step=f"The log of task {failed} says why: {page}" if failed else f"See it at {page}",
    )


def broken(client: Client, dag_id: str, run_id: str) -> str:
    """Say what broke in a run whose task `outcome` has left nothing."""
    failed = _first_failure(tasks(client, dag_id, run_id))
    if not failed:
        return "it left no sentence, and no task of it failed"
    why = returned(client, dag_id, run_id, failed, "why")
    return f"task {failed} failed: {why or 'its log says why'}"


def _first_failure(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the task that failed first; those that only report it are left out."""
    failed = [row for row in rows if row["state"] == "failed" and row["task_id"] != "outcome"]
    failed.sort(key=lambda row: str(row.get("end_date") or "~"))
    return str(failed[0]["task_id"]) if failed else ""


def run_page(url: str, run: Run, task: str = "") -> str:
    """Return where Airflow shows a run, or a task of it."""
    page = f"{url}/dags/{quote(run.dag_id, safe='')}/runs/{quote(run.run_id, safe='')}"
    return f"{page}/tasks/{quote(task, safe='')}" if task else page


def run_path(dag_id: str, run_id: str) -> str:
    """Return the address of a run."""
    return f"{dag_path(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def dag_path(dag_id: str) -> str:
    """Return the address of a DAG."""
    return f"{AIRFLOW}/dags/{quote(dag_id, safe='')}"
