"""`airlock login`, `airlock whoami` and `airlock mlflow-token`, the way into MLflow."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from airlock.domain.errors import Invalid
from airlock.entrypoints.client import AIRLOCK, log_in, save_session, session_file
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
    settings,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    app.command("login")(login)
    app.command("whoami")(whoami)
    app.command("mlflow-token")(mlflow_token)


def login(
    url: Annotated[str, typer.Option(help="Airflow's address; default: this machine's.")] = "",
    user: Annotated[str, typer.Option(help="The user name in Airflow; asked for if absent.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    session: SessionFile = None,
) -> None:
    """Log in with the Airflow user name and password; only the token is kept."""
    name = user or typer.prompt("User name")
    password = (
        sys.stdin.readline().rstrip("\r\n")
        if password_stdin
        else str(typer.prompt("Password", hide_input=True))
    )
    if not password:
        raise Invalid("the password is empty", next_step="Type it, or pipe it in.")
    file = session or session_file(os.environ)
    save_session(log_in(url or settings().airflow_url, name, password), file)
    say(f"Logged in as {name}. The login is kept in {file}.")


def whoami(as_user: AsUser = "", session: SessionFile = None, as_json: AsJson = False) -> None:
    """Say who is logged in, with the roles held now."""
    with connect(as_user, session) as client:
        person = client.get(f"{AIRLOCK}/me")
    if as_json:
        print_json(person)
        return
    say(f"{person['id']} ({person['name']}) at {client.session.url}")
    say(f"roles: {', '.join(person['roles']) or 'none'}")
    say(f"permissions: {', '.join(person['permissions']) or 'none'}")


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
