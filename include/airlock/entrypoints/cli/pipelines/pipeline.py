"""`airlock pipeline list|show|run|logs|init`; `list`, `run` and `logs` ask Airflow."""

from __future__ import annotations

from typing import Annotated, Any

import typer
import yaml

from airlock.config.load import load_pipelines
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.entrypoints.cli.pipelines import init, run_logs
from airlock.entrypoints.cli.pipelines.runs import broken, follow, returned, trigger
from airlock.entrypoints.client import AIRFLOW, AIRLOCK, Client
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    advised,
    connect,
    print_json,
    say,
    settings,
    table,
)

pipelines = typer.Typer(help="Run pipelines.", no_args_is_help=True)

#: Tag of the DAGs that are no pipelines but part of the platform.
_PLATFORM = "platform"
_ENDED_WELL = ("promoted", "measured", "kept")


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    pipelines.command("list")(list_command)
    pipelines.command("show")(show_command)
    pipelines.command("run")(run_command)
    pipelines.command("logs")(run_logs.logs_command)
    init.register(pipelines)
    app.add_typer(pipelines, name="pipeline")


def list_command(
    as_user: AsUser = "", session: SessionFile = None, as_json: AsJson = False
) -> None:
    """List the pipelines Airflow knows, and say which files it could not use."""
    with connect(as_user, session) as client:
        dags = client.get(f"{AIRFLOW}/dags", tags="airlock", limit=100, order_by="dag_id")["dags"]
        refused = client.get(f"{AIRFLOW}/importErrors", limit=100)["import_errors"]
    rows = [_pipeline(dag) for dag in dags if _PLATFORM not in _tags(dag)]
    if as_json:
        print_json({"pipelines": rows, "refused": [error["stack_trace"] for error in refused]})
        return
    columns = ("name", "schedule", "owner", "paused", "tags", "description")
    table(columns, [[row[column] for column in columns] for row in rows])
    for error in refused:
        say(f"\nAirflow could not use {error['filename']}:\n{error['stack_trace'].strip()}")


def show_command(
    name: Annotated[str, typer.Argument(help="The pipeline, as its file names it.")],
    as_json: AsJson = False,
) -> None:
    """Show a pipeline of this checkout as it counts: every default said, and its digest."""
    here = settings()
    loaded = load_pipelines(here.config_dir, here.root)
    config = loaded.get(name)
    if config is None:
        names = ", ".join(pipeline.name for pipeline in loaded.valid) or "none"
        raise NotFound(
            f"there is no valid pipeline {name!r} in {here.config_dir}/pipelines; valid: {names}",
            next_step="`airlock policy check` says what is wrong with the files.",
        )
    recipe = Recipe(config.document)
    if as_json:
        print_json({"digest": recipe.digest, "document": config.document})
        return
    say(f"{name}, owner {recipe.owner}, for {recipe.environment}")
    say(f"digest {recipe.digest}")
    say(yaml.safe_dump(config.document["spec"], sort_keys=False, allow_unicode=True).rstrip())


def _pipeline(dag: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": dag["dag_id"],
        "schedule": dag.get("timetable_summary") or "by hand",
        "owner": ", ".join(dag.get("owners") or []),
        "paused": "yes" if dag["is_paused"] else "no",
        "tags": ", ".join(_tags(dag)),
        "description": dag.get("description") or "",
    }


def _tags(dag: dict[str, Any]) -> list[str]:
    return sorted(tag["name"] for tag in dag.get("tags") or [])


def run_command(
    name: Annotated[str, typer.Argument(help="The pipeline, as `airlock pipeline list` shows it.")],
    since: Annotated[str, typer.Option(help="First day of the data, such as 2018-01-01.")] = "",
    until: Annotated[str, typer.Option(help="Last day of the data.")] = "",
    reason: Annotated[str, typer.Option(help="Why this run.")] = "",
    raise_tier: Annotated[str, typer.Option(help="Ask for a higher tier: medium or high.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure; open no release.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the run has ended.")] = False,
    timeout: Annotated[int, typer.Option(help="Seconds to stay at most.", min=1)] = 3600,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Start a run of a pipeline; its release then waits for approval."""
    options = {"since": since, "until": until, "reason": reason, "raise_tier": raise_tier}
    conf: dict[str, Any] = {key: value for key, value in options.items() if value}
    if dry_run:
        conf["dry_run"] = True
    with connect(as_user, session) as client:
        run_id = trigger(client, name, conf)
        if not as_json:
            say(f"Started run {run_id} of {name} at {client.session.url}.")
        ended = _wait(client, name, run_id, timeout, quiet=as_json) if wait else None
    if as_json:
        print_json({"pipeline": name, "run": run_id, "outcome": ended})
    conclusion = _conclude(name, ended) if ended else ""
    if conclusion and not as_json:
        say(conclusion)


def _wait(client: Client, name: str, run_id: str, seconds: int, *, quiet: bool) -> dict[str, Any]:
    def changed(task: str, state: str) -> None:
        if quiet or state == "upstream_failed":  # it did not run; what failed is said
            return
        say(f"  {state:<15} {task}")
        if state == "awaiting_input":
            _hint(client, name, run_id)

    state = follow(client, name, run_id, changed, seconds)
    outcome = returned(client, name, run_id, "outcome")
    if isinstance(outcome, dict):
        return outcome
    return {"outcome": state, "why": "" if state == "success" else broken(client, name, run_id)}


def _hint(client: Client, name: str, run_id: str) -> None:
    for row in client.get(f"{AIRLOCK}/releases", model=name, state="AWAITING_APPROVAL"):
        if row["origin"]["runId"] == run_id:
            say(f"  Release {row['id']} waits at level {row['level']}. An approver answers:")
            say(f"    {client.session.url}/airlock/releases/{row['id']}")
            say(advised(f'    `airlock release approve {row["id"]} --as APPROVER --reason "..."`'))


def _conclude(name: str, ended: dict[str, Any]) -> str:
    """Return how a run ended in words; raise what its end stands for."""
    outcome, why = str(ended["outcome"]), str(ended.get("why") or "")
    text = f"{name}: {outcome}" + (f" ({why})" if why else "")
    if outcome == "failed":
        raise Unreachable(text, next_step="The log of that task in Airflow has the rest.")
    if outcome not in _ENDED_WELL and outcome != "success":
        raise Refused(text)
    return text
