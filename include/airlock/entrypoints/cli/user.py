"""`airlock user roles|erase|link-slack`: rights at a moment; texts erased; accounts in Slack."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from airlock.domain.errors import Invalid
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
)

user = typer.Typer(help="People and their rights.", no_args_is_help=True)


@user.callback()
def main() -> None:
    """People and their rights."""


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    user.command("roles")(roles_command)
    user.command("erase")(erase_command)
    user.command("link-slack")(link_slack_command)
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
        rights = client.get(f"{AIRLOCK}/people/{quote(name, safe='')}/rights", at=at)
    if as_json:
        print_json(rights)
        return
    say(f"{rights['person']} at {rights['at']}")
    say(f"active: {'yes' if rights['active'] else 'no'}")
    say(f"roles: {', '.join(rights['roles']) or 'none'}")
    say(f"permissions: {', '.join(rights['permissions']) or 'none'}")
    if rights["answersFor"]:
        say(f"may answer for: {', '.join(rights['answersFor'])}")


def erase_command(
    name: Annotated[str, typer.Argument(help="The user name in Airflow.", metavar="ID")],
    reason: Annotated[str, typer.Option(help="Why; goes into the log, so name nobody in it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")] = False,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Erase every text somebody wrote, and the display name; it cannot be undone.

    What was decided stays, and so do ids. Not covered: the user in Airflow, MLflow's tags, git,
    and copies already exported.
    """
    if not yes:
        question = f"Erase everything {name} has written? It cannot be undone"
        typer.confirm(question, abort=True, err=as_json)
    with connect(as_user, session) as client:
        path = f"{AIRLOCK}/people/{quote(name, safe='')}/erasure"
        erasure = client.post(path, {"reason": reason})
    if as_json:
        print_json(erasure)
        return
    say(f"Erased {erasure['texts']} texts of {erasure['person']} and the display name.")


def link_slack_command(
    end: Annotated[bool, typer.Option("--end", help="End the link instead.")] = False,
    of: Annotated[
        str, typer.Option(help="With --end: of somebody else; needs people:erase.", metavar="NAME")
    ] = "",
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a one-time code to type in Slack, so that your account there counts as you."""
    if of and not end:
        raise Invalid(
            "a code is made for whoever is logged in, not for somebody else",
            next_step=f"{of} runs this command, or opens the page Slack in Airflow.",
        )
    with connect(as_user, session) as client:
        if end:
            path = f"people/{quote(of, safe='')}" if of else "me"
            response = client.delete(f"{AIRLOCK}/{path}/slack")
        else:
            response = client.post(f"{AIRLOCK}/me/slack/code", {})
    if as_json:
        print_json(response)
    elif end:
        say("The link is ended." if response["ended"] else "There was no link.")
    else:
        say(f"Type in Slack, from your own account: {response['type']}")
        say(f"It works once, until {response['expiresAt']}.")
