"""`airlock user roles`: who could do what, now or at any moment since they were known."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.terminal import AsJson, AsUser, SessionFile, connect, print_json, say

user = typer.Typer(help="People and their rights.", no_args_is_help=True)


@user.callback()
def main() -> None:
    """People and their rights."""


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    user.command("roles")(roles_command)
    app.add_typer(user, name="user")


def roles_command(
    name: Annotated[str, typer.Argument(help="The user name in Airflow.")],
    at: Annotated[
        str, typer.Option(help="A moment such as 2026-11-24T12:00:00Z; default: now.")
    ] = "",
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the roles and permissions somebody held at a moment."""
    with connect(as_user, session) as client:
        found = client.get(f"{AIRLOCK}/people/{quote(name, safe='')}/rights", at=at)
    if as_json:
        print_json(found)
        return
    say(f"{found['person']} at {found['at'][:19].replace('T', ' ')} UTC")
    say(f"active: {'yes' if found['active'] else 'no'}")
    say(f"roles: {', '.join(found['roles']) or 'none'}")
    say(f"permissions: {', '.join(found['permissions']) or 'none'}")
    if found["answersFor"]:
        say(f"may answer for: {', '.join(found['answersFor'])}")
