"""`airlock slack check`: is Slack set up as it has to be, and what is to be mended if not.

It asks Slack, and Airlock's database if there is one; it needs no running Airflow and changes
nothing. Exit code 1: something is wrong. 3: something could not be looked at.
"""

from __future__ import annotations

from typing import Annotated

import typer

from airlock.entrypoints.presentation.terminal import AsJson, print_json, say

_SIGNS = {"ok": "ok     ", "wrong": "WRONG  ", "unknown": "unknown", "note": "note   "}
_WRONG, _UNKNOWN = 1, 3


def register(app: typer.Typer) -> None:
    """Add the command to the group `slack`."""
    app.command("check")(check_command)


def check_command(
    socket: Annotated[
        bool, typer.Option("--socket", help="Also ask for a Socket Mode connection.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at token, scopes, app, channel, clock, address, policy and links; say what to mend."""
    # Slack's library and the database's: every other command would pay for importing them up there.
    from airlock.entrypoints.slack.diagnostics import as_documents, look

    checks = look(socket=socket)
    states = {check.state for check in checks}
    if as_json:
        print_json({"ok": not states & {"wrong", "unknown"}, "checks": as_documents(checks)})
    else:
        for check in checks:
            say(f"{_SIGNS[check.state]} {check.name:<10} {check.detail}")
            if check.next_step:
                say(f"{'':<18} {check.next_step}")
    if "wrong" in states:
        raise typer.Exit(_WRONG)
    if "unknown" in states:
        raise typer.Exit(_UNKNOWN)
