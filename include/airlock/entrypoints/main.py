"""The command `airlock`.

One place catches Airlock's own errors: one sentence, one next step, one exit code (0 done,
1 refused by a rule, 2 wrong use, 3 could not tell). Everything else is an accident and shows
its traceback.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated

import typer

from airlock.domain.errors import AirlockError
from airlock.entrypoints import platform_location, witness_server
from airlock.entrypoints.cli import (
    audit,
    completion,
    delegation,
    drift,
    evidence,
    gate,
    release,
    security,
    session,
    user,
)
from airlock.entrypoints.cli.pipelines import pipeline, policy
from airlock.entrypoints.cli.platform import keys, lifecycle, person, status
from airlock.entrypoints.demo import command as demo_command
from airlock.entrypoints.presentation.terminal import advised, begin, printable
from airlock.entrypoints.workers import delivery, slack, timers

app = typer.Typer(
    name="airlock",
    help="Release machine-learning models under control.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(requested: bool) -> None:
    if requested:
        typer.echo(f"airlock {installed('airlock')}")
        raise typer.Exit


@app.callback()
def options(
    home: Annotated[
        Path | None,
        typer.Option("--home", help="The platform whose state is in this folder (.airlock)."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_say_version, help="Say the version and end."
        ),
    ] = False,
) -> None:
    """Release machine-learning models under control."""
    platform_location.choose(home)


for part in (
    lifecycle,
    status,
    session,
    pipeline,
    release,
    policy,
    audit,
    evidence,
    gate,
    delegation,
    delivery,
    keys,
    security,
    timers,
    slack,
    drift,
    user,
    person,
    witness_server,
    demo_command,
    completion,
):
    part.register(app)


def main() -> None:
    """Run the command line and translate errors to exit codes."""
    begin()
    try:
        app()
    except AirlockError as error:
        sys.stderr.write(f"{printable(advised(error.message))}\n")
        if error.next_step:
            sys.stderr.write(f"What to do: {printable(advised(error.next_step))}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
