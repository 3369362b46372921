"""A real PostgreSQL: each role reaches what it needs and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from airlock.domain.errors import Refused
from airlock_platform.databases import postgres as embedded
from airlock_platform.databases import preparation
from airlock_platform.databases.preparation import prepare
from airlock_platform.databases.server import OWNERS, ROLE_DATABASE, Server, external_server
from tests.support import short_folder

EVERYTHING = [
    (role, database)
    for role in ROLE_DATABASE
    for database in ("airflow", "mlflow", "airlock", "postgres", "template1")
]


@pytest.mark.parametrize(("role", "database"), EVERYTHING)
def test_a_role_reaches_its_own_database_only(postgres: Server, role: str, database: str) -> None:
    if ROLE_DATABASE[role] == database:
        with psycopg.connect(postgres.dsn(role, database)) as connection:
            row = connection.execute("select current_user, current_database()").fetchone()
            assert row == (role, database)
    else:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(postgres.dsn(role, database))


@pytest.mark.parametrize("role", ROLE_DATABASE)
def test_a_wrong_or_missing_password_is_refused_even_from_this_machine(
    postgres: Server, role: str
) -> None:
    database = ROLE_DATABASE[role]
    for password in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                f"host=127.0.0.1 port={postgres.port} user={role} dbname={database}",
                password=password,
            )


@pytest.mark.attack
@pytest.mark.parametrize("role", ["airlock_decider", "airlock_worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create role mine",
        "create database mine",
        "set role airlock_owner",
        "alter role current_user superuser",
        "grant airlock_owner to current_user",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'true'",
    ],
)
def test_working_roles_can_create_and_become_nothing(
    postgres: Server, role: str, statement: str
) -> None:
    with (
        psycopg.connect(postgres.dsn(role), autocommit=True) as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("owner", OWNERS)
def test_an_owner_can_run_its_migrations(postgres: Server, owner: str) -> None:
    with psycopg.connect(postgres.dsn(owner)) as connection:
        connection.execute("create table trial (id int)")
        connection.rollback()


def test_preparing_twice_changes_nothing_and_renews_passwords(postgres: Server) -> None:
    prepare(postgres)
    with psycopg.connect(postgres.dsn("airlock_worker")) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.fixture
def folder() -> Iterator[Path]:
    found = short_folder("trial")
    yield found
    shutil.rmtree(found)


def test_an_administrator_without_superuser_rights_is_enough(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Managed servers give no superuser."""
    monkeypatch.setattr(embedded, "prepare", lambda _: None)
    with embedded.ephemeral_postgres(folder) as bare:
        with psycopg.connect(bare.dsn("postgres"), autocommit=True) as admin:
            admin.execute("create role boss login createdb createrole password 'b'")
        url = f"postgresql://boss:b@127.0.0.1:{bare.port}/postgres"
        for _ in range(2):
            prepare(external_server(url, bare.passwords))
        for owner in OWNERS:
            with psycopg.connect(bare.dsn(owner)) as connection:
                connection.execute("create table trial (id int)")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(bare.dsn("airlock_worker", "airflow"))


def test_a_role_that_exists_with_more_rights_is_refused(postgres: Server) -> None:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as admin:
        admin.execute("alter role mlflow_app createdb")
        with pytest.raises(Refused, match="mlflow_app exists already and has more rights"):
            preparation._refuse_mighty_roles(admin)
    prepare(postgres)
    with psycopg.connect(postgres.dsn("postgres")) as admin:
        preparation._refuse_mighty_roles(admin)


def test_nothing_listens_but_the_loopback_port(postgres: Server) -> None:
    with psycopg.connect(postgres.dsn("postgres")) as connection:
        shown = {
            name: connection.execute(f"show {name}").fetchone()
            for name in ("listen_addresses", "unix_socket_directories", "password_encryption")
        }
    assert shown == {
        "listen_addresses": ("127.0.0.1",),
        "unix_socket_directories": ("",),
        "password_encryption": ("scram-sha-256",),
    }


def test_a_cluster_is_made_once_and_a_half_made_one_again(folder: Path) -> None:
    data = folder / "postgres"
    data.mkdir()
    (data / "rubbish").write_text("")
    assert embedded.initialise(data, "secret")
    assert not (data / "rubbish").exists()
    assert not embedded.initialise(data, "other")
