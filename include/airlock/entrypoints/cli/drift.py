"""`airlock detect run|list`: is MLflow as it was released?

The delivery process looks by itself. `run` is for platforms without one; it is a decider and runs
where the API server runs. `list` reads the log through the REST API, as whoever may read it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.platform_location import RoleName, take_role
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
    table,
)
from airlock.services.registry import drift_log
from airlock.services.registry.drift import Round

detect = typer.Typer(help="Changes behind Airlock's back.", no_args_is_help=True)

_COLUMNS = ("id", "found", "kind", "thing", "old", "new", "mended")


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    detect.command("run")(run_command)
    detect.command("list")(list_command)
    app.add_typer(detect, name="detect")


def run_command(role: RoleName = "", as_json: AsJson = False) -> None:
    """Compare aliases, grants and all files that serve, once. Exit code 1: something is wrong."""
    from airlock import bootstrap  # every other command would pay for importing it up there

    take_role(role, ("operator",))
    detector = bootstrap.decider().detector
    looked, hashed = detector.look(), detector.weigh()
    findings = [finding.to_document() for finding in (*looked.drifts, *hashed.drifts)]
    if as_json:
        print_json({**_counts(looked), "hashed": hashed.hashed, "found": findings})
    else:
        say(_sentence(looked, hashed))
        if findings:
            columns = ("id", "kind", "thing", "old", "new", "why")
            table(columns, [[finding[column] for column in columns] for finding in findings])
    if findings:
        raise typer.Exit(1)


def list_command(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what in MLflow is not as it was released, as far as it was found."""
    with connect(as_user, session) as client:
        events = client.get(f"{AIRLOCK}/audit/events", stream=drift_log.STREAM, limit=1000)
    rows = [
        finding
        for finding in drift_log.fold(events).values()
        if everything or "mended" not in finding
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        say("No finding is open. `airlock status` shows whether anybody looks.")
        return
    table(_COLUMNS, [[_short(row.get(column)) for column in _COLUMNS] for row in rows])


def _counts(looked: Round) -> dict[str, Any]:
    names = ("lines", "unprotected", "aliases", "grants", "set_back")
    return {name: value for name, value in asdict(looked).items() if name in names}


def _sentence(looked: Round, hashed: Round) -> str:
    if not looked.lines and not looked.aliases and not looked.grants:
        return "Nothing was compared: nothing is released, and MLflow has no protected alias."
    left_out = f" ({looked.unprotected} with an unprotected alias)" if looked.unprotected else ""
    return (
        f"Compared {looked.lines} lines{left_out}, {looked.aliases} protected aliases and "
        f"{looked.grants} spent grants, hashed {hashed.hashed} versions: "
        f"{len(looked.drifts) + len(hashed.drifts) or 'nothing'} found."
    )


def _short(value: object) -> object:
    text = str(value) if value is not None else None
    return text[:19].replace("T", " ") if text and text.endswith("000Z") else text
