"""The Slack app's secrets in a connection of Airflow, the Slack provider's way.

`password` is the bot token; `extra` holds `signing_secret` and `app_token`. Airflow looks in its
secrets backends, in `AIRFLOW_CONN_*` and in its database, in its own order. In the API server it is
asked directly; for a process without Airflow this file is a program that answers through its
standard output: `python -m airlock_airflow.slack_connection ID`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.domain.errors import AirlockError, Invalid, Unreachable

if TYPE_CHECKING:
    from airlock.config.settings import Settings

#: `slack` comes with Airflow's Slack provider, which need not be there; `generic` always is.
TYPES = ("slack", "generic")

log = logging.getLogger("airlock.slack")


def settings_of_the_app() -> Settings:
    """Return the API server's settings with what their connection holds.

    A connection that is refused takes Slack away and nothing else.
    """
    from airlock.config.connected import connected
    from airlock_airflow import edge

    chosen = edge.settings()
    try:
        return connected(chosen, read)
    except Invalid as error:
        log.error("Airlock goes on without Slack: %s", edge.error_line(error))
        return replace(chosen, slack=None)


def read(name: str) -> dict[str, str]:
    """Return the values of the connection, empty where it has none.

    Raises:
        Invalid: if there is no such connection, or it is of another type.
        Unreachable: if Airflow's database did not answer.
    """
    connection = _connection(name)
    if connection.conn_type not in TYPES:
        raise Invalid(
            f"the connection {name!r} of Airflow is of the type {connection.conn_type!r}; "
            f"expected {' or '.join(TYPES)}",
            next_step="Change its type, or let AIRLOCK_SLACK_CONNECTION name another one.",
        )
    extra = connection.extra_dejson
    return {
        "bot_token": connection.password or "",
        "signing_secret": str(extra.get("signing_secret") or ""),
        "app_token": str(extra.get("app_token") or ""),
    }


def _connection(name: str) -> Any:
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models.connection import Connection

    try:
        return Connection.get_connection_from_secrets(name)
    except AirflowNotFoundException:
        _see_that_the_database_answers()  # Airflow says "not found" in both cases
        raise Invalid(
            f"Airflow has no connection {name!r}",
            next_step=f"Make it: `airflow connections add {name} --conn-type slack ...` as in "
            "docs/howto/slack.md, or let AIRLOCK_SLACK_CONNECTION name another one.",
        ) from None


def _see_that_the_database_answers() -> None:
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import func, select
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            session.execute(select(func.count()).select_from(Connection))
    except SQLAlchemyError as error:
        raise Unreachable(
            f"Airflow's database did not answer ({type(error).__name__})",
            next_step="See that it runs and that AIRFLOW__DATABASE__SQL_ALCHEMY_CONN is right.",
        ) from None


def main(name: str) -> int:
    """Write the answer into the pipe that was this process's standard output, and nothing else."""
    pipe = os.dup(1)
    os.dup2(2, 1)  # whatever Airflow prints while it is imported goes elsewhere
    try:
        answer = read(name)
    except AirlockError as error:
        kind = "unreachable" if isinstance(error, Unreachable) else "invalid"
        answer = {"error": error.message, "next_step": error.next_step, "kind": kind}
    with os.fdopen(pipe, "w") as stream:
        json.dump(answer, stream)
    return int("error" in answer)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
