"""`airlock release request`: ask again for what was rejected, with a reference to the rejection."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from airlock.domain.errors import Refused
from airlock.entrypoints.cli_runs import trigger
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.terminal import AsUser, SessionFile, connect, say


def request_command(
    after_rejection: Annotated[
        str, typer.Option(help="The rejected release whose bytes may come back.", metavar="ID")
    ],
    why: Annotated[str, typer.Option(help="Why it is asked again; the approvers read it.")],
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Run the pipeline again and let its release name an earlier rejection.

    A no is final: bytes that were rejected are refused unless the request names that rejection.
    """
    with connect(as_user, session) as client:
        rejected = client.get(f"{AIRLOCK}/releases/{quote(after_rejection, safe='')}")
        if rejected["state"] != "REJECTED":
            raise Refused(
                f"release {after_rejection} is {rejected['state']}, not REJECTED: there is no "
                "rejection to name",
                next_step="`airlock release list --state REJECTED` lists those there are.",
            )
        conf: dict[str, Any] = {"after_rejection": rejected["id"], "reason": why}
        run_id = trigger(client, rejected["model"], conf)
        say(f"Started run {run_id} of {rejected['model']}, which names {rejected['id']}.")
        say("Its release then waits for approval, with your reason and that reference.")
