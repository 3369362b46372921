"""What the roles of the database can do is one table in the repository, and nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from airlock.domain.approval.release import State
from airlock.testing import World
from airlock_platform.databases.preparation import WORKER_CONNECTIONS
from airlock_platform.databases.server import Server
from tests.contract import rights_kit
from tests.contract.conftest import Database

pytestmark = pytest.mark.attack


def dsn(database: Database, role: str) -> str:
    return database.urls[role].replace("+psycopg", "")


@pytest.fixture
def places(postgres_database: Database) -> list[tuple[str, str]]:
    with psycopg.connect(dsn(postgres_database, "postgres")) as admin:
        return rights_kit.columns(admin)


@pytest.mark.parametrize("role", rights_kit.ROLES)
def test_every_right_on_every_table_and_column_is_in_the_table_of_rights(
    postgres_database: Database, places: list[tuple[str, str]], role: str
) -> None:
    """`python -m tests.contract.rights_kit` writes it anew; read the difference first."""
    with psycopg.connect(dsn(postgres_database, role)) as connection:
        found = rights_kit.tried(connection, places)
    assert found == rights_kit.written()[role]


def test_a_new_column_needs_a_line(
    postgres_database: Database, places: list[tuple[str, str]]
) -> None:
    with psycopg.connect(dsn(postgres_database, "postgres")) as admin:
        admin.execute("ALTER TABLE vote ADD COLUMN weight integer")
        there = rights_kit.columns(admin)
    assert set(there) - set(rights_kit.written()["airlock_worker"]) == {("vote", "weight")}


def test_the_worker_can_change_nothing_in_any_table() -> None:
    """However the table of rights is edited: the worker reads, and at most stops an upgrade."""
    for place, right in rights_kit.written()["airlock_worker"].items():
        assert right in ("nothing", "select", "lock up to ACCESS SHARE"), place


def test_what_the_worker_must_not_even_read() -> None:
    worker = rights_kit.written()["airlock_worker"]
    for table in ("proposal", "answered", "audit_event", "audit_stream", "audit_leaf", "parked"):
        assert {right for place, right in worker.items() if place[0] == table} == {"nothing"}
    assert not any(
        place[0].startswith("chat_") and right != "nothing" for place, right in worker.items()
    )


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMP TABLE mine (x int)",
        "CREATE TABLE mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE PUBLICATION mine",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_creat(-1)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock(1)",
        "SELECT pg_notify('airlock_proposal', '')",
        "SELECT nextval('outbox_id_seq')",
        "SELECT setval('audit_event_id_seq', 9)",
        "SELECT nextval('proposal_id_seq')",
        "SET ROLE airlock_decider",
        "SET SESSION AUTHORIZATION airlock_owner",
        "SET session_replication_role = replica",
        "SET temp_file_limit = -1",
        "ALTER ROLE airlock_worker CONNECTION LIMIT 1000",
        "COPY vote FROM PROGRAM 'true'",
        "COPY vote TO '/tmp/votes'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_authid",
        "ALTER TABLE vote DISABLE TRIGGER ALL",
        "DROP FUNCTION propose(text, text, text)",
        "COMMENT ON TABLE vote IS 'mine'",
        "REFRESH MATERIALIZED VIEW vote",
        "VACUUM FULL vote",
        "REINDEX TABLE vote",
        "CREATE STATISTICS mine ON release, round FROM vote",
    ],
)
def test_the_worker_can_do_nothing_else_either(postgres_database: Database, statement: str) -> None:
    with psycopg.connect(dsn(postgres_database, "airlock_worker"), autocommit=True) as worker:
        if statement.startswith("VACUUM"):  # it skips, with a warning, what is somebody else's
            worker.execute(statement)
            return
        with pytest.raises(psycopg.Error) as caught:
            worker.execute(statement)
    unknown = (psycopg.errors.UndefinedObject, psycopg.errors.SyntaxError)
    assert not isinstance(caught.value, unknown)


def test_other_databases_are_closed_to_it(postgres: Server) -> None:
    for database in ("airflow", "mlflow", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(postgres.dsn("airlock_worker", database))


def test_the_workers_sessions_begin_with_limits(postgres_database: Database) -> None:
    with psycopg.connect(dsn(postgres_database, "airlock_worker")) as worker:
        found = {
            name: worker.execute("SELECT current_setting(%s)", (name,)).fetchone()
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "temp_file_limit",
            )
        }
    assert found == {
        "statement_timeout": ("1min",),
        "lock_timeout": ("10s",),
        "idle_in_transaction_session_timeout": ("1min",),
        "temp_file_limit": ("256MB",),
    }


@pytest.fixture
def held(postgres_database: Database) -> Iterator[int]:
    """Hold every connection and every lock a worker can get, all time-outs off."""
    with ExitStack() as stack:
        for _ in range(WORKER_CONNECTIONS):
            stack.enter_context(holding(postgres_database))
        with (
            pytest.raises(psycopg.OperationalError, match="too many connections for role"),
            holding(postgres_database),
        ):
            pass
        yield WORKER_CONNECTIONS


@contextmanager
def holding(database: Database) -> Iterator[None]:
    with psycopg.connect(dsn(database, "airlock_worker")) as worker:
        worker.execute("SET statement_timeout = 0")
        worker.execute("SET idle_in_transaction_session_timeout = 0")
        worker.execute("LISTEN airlock_proposal")
        worker.execute("SELECT public.propose('run', 'o', '{}')")
        for (table, _), right in rights_kit.written()["airlock_worker"].items():
            if right.startswith("lock"):
                worker.execute(f'LOCK TABLE "{table}" IN ACCESS SHARE MODE')
        yield


def test_a_vote_goes_through_while_a_worker_holds_all_it_can(
    postgres_database: Database, request: pytest.FixtureRequest
) -> None:
    """Row 9 of issue 11: it held rows, tables and 178 connections, and nobody could vote."""
    world = World(postgres_database.store("airlock_decider"))
    release_id = world.open()
    assert request.getfixturevalue("held") == WORKER_CONNECTIONS
    fresh = postgres_database.store("airlock_decider")
    assert world.approve_all(release_id).state is State.APPROVED
    with fresh.begin() as unit:
        assert unit.get(release_id).state is State.APPROVED
