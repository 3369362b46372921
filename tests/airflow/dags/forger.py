"""Code in a task that tries to go round Airlock with all the rights a task has."""

from __future__ import annotations

import os

from airflow.sdk import dag, task

#: What an attacker would try, as plain SQL in the worker's role.
ATTEMPTS = {
    "vote": "INSERT INTO vote SELECT * FROM vote WHERE false",
    "vote-default": "INSERT INTO vote (release, person) VALUES ('{release}', 'carla')",
    "grant": "INSERT INTO release_grant (id) VALUES ('grant-0')",
    "policy": "INSERT INTO configuration (kind, digest) VALUES ('policy', 'sha256:0')",
    "role": "INSERT INTO role_grant (person, role) VALUES ('ana', 'algorithm_lead')",
    "decider": "SET ROLE airlock_decider",
    "owner": "SET ROLE airlock_owner",
    "ddl": "ALTER TABLE vote DISABLE TRIGGER ALL",
    "log-update": "UPDATE audit_event SET body = body",
    "log-delete": "DELETE FROM audit_event",
    "log-truncate": "TRUNCATE audit_event",
}


@dag(dag_id="forger", schedule=None, catchup=False, tags=["test"])
def forger() -> None:
    """Try everything, and report what PostgreSQL said."""

    @task
    def attempt() -> dict[str, str]:
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import DBAPIError

        engine = create_engine(os.environ["AIRLOCK_DATABASE_URL"])
        said: dict[str, str] = {}
        for name, statement in ATTEMPTS.items():
            try:
                with engine.begin() as connection:
                    connection.execute(text(statement))
                said[name] = "done"
            except DBAPIError as error:
                said[name] = str(error.orig).splitlines()[0]
        said["who"] = engine.url.username or ""
        engine.dispose()
        return said

    attempt()


forger()
