"""`airlock slack check`: is Slack set up as it has to be, and what is to be mended if not.

It asks Slack, and Airlock's database if there is one; it needs no running Airflow and changes
nothing. Exit code 1: something is wrong. 3: something could not be looked at.
"""

from __future__ import annotations

from typing import Annotated

import typer

from airlock.entrypoints.terminal import AsJson, print_json, say

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
    from airlock.entrypoints.slack_checks import told
    from airlock.entrypoints.slack_look import look

    found = look(socket=socket)
    states = {one.state for one in found}
    if as_json:
        print_json({"ok": not states & {"wrong", "unknown"}, "checks": told(found)})
    else:
        for one in found:
            say(f"{_SIGNS[one.state]} {one.name:<10} {one.found}")
            if one.next_step:
                say(f"{'':<18} {one.next_step}")
    if "wrong" in states:
        raise typer.Exit(_WRONG)
    if "unknown" in states:
        raise typer.Exit(_UNKNOWN)
