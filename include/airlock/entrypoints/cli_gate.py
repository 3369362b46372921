"""`airlock gate waive`: a client of the REST API."""

from __future__ import annotations

import uuid
from typing import Annotated
from urllib.parse import quote

import typer

from airlock.entrypoints.cli_delegate import moment_of
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.release_text import print_subject, print_waivers
from airlock.entrypoints.terminal import AsUser, SessionFile, connect, say

gates = typer.Typer(help="Look at gates, and waive what a soft one found.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    gates.command("waive")(waive_command)
    app.add_typer(gates, name="gate")


def waive_command(
    release_id: Annotated[str, typer.Argument(help="The release's id.", metavar="RELEASE")],
    gate: Annotated[str, typer.Argument(help="The gate, as the release shows it.", metavar="GATE")],
    reason: Annotated[str, typer.Option(help="Why; it becomes part of the record.")],
    until: Annotated[str, typer.Option(help="The day it ends, at most 90 days away.")],
    subject: Annotated[
        str, typer.Option(help="Only for this subject (sha256:...); default: the one shown.")
    ] = "",
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Accept, by name and until a day, that a soft GATE did not pass for a RELEASE."""
    day = f"{until}T23:59:59" if len(until) == len("2026-11-24") else until
    end = moment_of(day or "none")
    path = f"{AIRLOCK}/releases/{quote(release_id, safe='')}"
    with connect(as_user, session) as client:
        seen = client.get(path)
        print_subject(seen)
        body = {
            "gate": gate,
            "reason": reason,
            "until": end.isoformat(),
            "subjectDigest": subject or seen["subject"]["digest"],
        }
        view = client.post(f"{path}/waivers", body, key=uuid.uuid4().hex)
    print_waivers(view)
    say(f"Release {release_id} is {view['state']}.")
