"""`airlock audit list|verify`: the log, read and checked through the REST API."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.sentences import sentence
from airlock.entrypoints.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
    table,
)

audit = typer.Typer(help="Read and check the log.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    audit.command("list")(list_command)
    audit.command("verify")(verify_command)
    app.add_typer(audit, name="audit")


def list_command(
    stream: Annotated[str, typer.Option(help="One stream only, such as a release's id.")] = "",
    limit: Annotated[int, typer.Option(help="How many events at most.", min=1, max=1000)] = 100,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the latest events of the log."""
    with connect(as_user, session) as client:
        found = client.get(f"{AIRLOCK}/audit/events", stream=stream, limit=limit)
    if as_json:
        print_json(found)
        return
    table(("when (UTC)", "stream", "no", "who", "by", "what"), [_row(event) for event in found])


def _row(event: dict[str, Any]) -> list[object]:
    when = event["at"][:23].replace("T", " ")
    who, what = event["who"]["id"], sentence(event)
    return [when, event["stream"], event["seq"], who, event["channel"], what]


def verify_command(
    as_user: AsUser = "", session: SessionFile = None, as_json: AsJson = False
) -> None:
    """Check every chain, every release against its events, and every grant's signature."""
    with connect(as_user, session) as client:
        report = client.get(f"{AIRLOCK}/audit/verification")
    if as_json:
        print_json(report)
    else:
        counts = f"{report['events']} events in {report['streams']} streams, "
        counts += f"{report['releases']} releases, {report['grants']} grants"
        say(f"Checked {counts}: " + ("nothing is damaged." if report["ok"] else "DAMAGED."))
        for damage in report["damages"]:
            say(f"  {damage}")
    if not report["ok"]:
        raise typer.Exit(1)
