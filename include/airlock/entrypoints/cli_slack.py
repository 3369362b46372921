"""`airlock slack`: what has to do with Slack."""

from __future__ import annotations

import typer

from airlock.entrypoints import cli_slack_check

app = typer.Typer(help="Releases in Slack.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Releases in Slack."""


def register(main_app: typer.Typer) -> None:
    """Add the commands to the main program."""
    cli_slack_check.register(app)
    main_app.add_typer(app, name="slack")
