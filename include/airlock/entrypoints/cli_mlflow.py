"""`airlock mlflow-token`: the way into MLflow, for a browser and for MLflow's own client."""

from __future__ import annotations

import typer

from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.terminal import AsJson, AsUser, SessionFile, connect, print_json, say


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("mlflow-token")(mlflow_token)


def mlflow_token(
    as_user: AsUser = "", session: SessionFile = None, as_json: AsJson = False
) -> None:
    """Print a login for MLflow, valid for a working day: name and password."""
    with connect(as_user, session) as client:
        login = client.post(f"{AIRLOCK}/mlflow-token", {})
    if as_json:
        print_json(login)
        return
    say(f"export MLFLOW_TRACKING_USERNAME={login['user']}")
    say(f"export MLFLOW_TRACKING_PASSWORD={login['token']}")
    say(f"# until {login['expires'][:19]}Z; a browser asks for the same two")
