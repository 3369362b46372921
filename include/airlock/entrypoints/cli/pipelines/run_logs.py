"""`airlock pipeline logs`: what the tasks of a run said, through Airflow's public REST API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from airlock.domain.errors import NotFound
from airlock.entrypoints.cli.pipelines.runs import dag_path, run_path, tasks
from airlock.entrypoints.client import Client
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
)


def logs_command(
    name: Annotated[str, typer.Argument(help="The pipeline, as `airlock pipeline list` shows it.")],
    run: Annotated[str, typer.Option(help="The run; by default the last one.")] = "",
    task: Annotated[str, typer.Option(help="One task of it; by default all that began.")] = "",
    lines: Annotated[int, typer.Option(help="How many lines from each log's end.", min=1)] = 100,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what the tasks of a pipeline's last run said."""
    with connect(as_user, session) as client:
        run_id = run or _last_run(client, name)
        begun = _begun(tasks(client, name, run_id), name, run_id, task)
        logs = [(_title(row), _log(client, name, run_id, row)[-lines:]) for row in begun]
    if as_json:
        print_json({"run": run_id, "tasks": [{"task": title, "lines": log} for title, log in logs]})
        return
    say(f"{name}, run {run_id}")
    for title, log in logs:
        say(f"\n{title}")
        for line in log:
            say(f"  {line}")


def _last_run(client: Client, name: str) -> str:
    path = f"{dag_path(name)}/dagRuns"
    runs = client.get(path, order_by="-run_after", limit=1)["dag_runs"]
    if not runs:
        raise NotFound(
            f"{name} has not run yet", next_step=f"`airlock pipeline run {name}` starts a run."
        )
    return str(runs[0]["dag_run_id"])


def _begun(
    rows: Iterable[Mapping[str, Any]], name: str, run_id: str, task: str
) -> list[Mapping[str, Any]]:
    """Return the tasks that have a log, in the order in which they began."""
    begun = [row for row in rows if row.get("start_date") and row.get("try_number")]
    begun.sort(key=lambda row: (str(row["start_date"]), str(row["task_id"])))
    chosen = [row for row in begun if task in ("", str(row["task_id"]))]
    if task and not chosen:
        names = ", ".join(dict.fromkeys(str(row["task_id"]) for row in begun)) or "none"
        raise NotFound(
            f"task {task!r} has not begun in run {run_id} of {name}; begun: {names}",
            next_step="Name one of these, or leave --task away.",
        )
    return chosen


def _title(row: Mapping[str, Any]) -> str:
    index = int(row.get("map_index", -1))
    index_text = f" [{index}]" if index >= 0 else ""
    return f"{row['task_id']}{index_text}: {row['state'] or 'not begun'}, try {row['try_number']}"


def _log(client: Client, name: str, run_id: str, row: Mapping[str, Any]) -> list[str]:
    task, number = quote(str(row["task_id"]), safe=""), int(row["try_number"])
    path = f"{run_path(name, run_id)}/taskInstances/{task}/logs/{number}"
    response = client.get(path, full_content=True, map_index=int(row.get("map_index", -1)))
    return [line for entry in response["content"] for line in _lines(entry)]


def _lines(entry: Mapping[str, Any] | str) -> Iterator[str]:
    """Yield an entry of Airflow's log as people read it; markers of groups are left out."""
    if isinstance(entry, str):
        yield from entry.splitlines()
        return
    event = str(entry.get("event", ""))
    if event.startswith(("::group::", "::endgroup::")):
        return
    head = " ".join(str(entry[key]) for key in ("timestamp", "level") if entry.get(key))
    first, *rest = event.splitlines() or [""]
    yield f"{head} {first}".strip()
    yield from rest
    for error in entry.get("error_detail") or []:
        yield f"{error.get('exc_type')}: {error.get('exc_value')}"
