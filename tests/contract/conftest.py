"""The same tests over SQLite and over a real PostgreSQL with the real roles."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airlock.adapters.embedded.server import Server
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.testing import FakeClock, World


@dataclass(frozen=True)
class Database:
    """One fresh database: a URL for each role (on SQLite they are all the same)."""

    kind: str
    urls: dict[str, str]
    opened: list[SqlStore] = field(default_factory=list)

    def store(self, role: str, clock: FakeClock | None = None) -> SqlStore:
        """Return a store in one role, if asked with a clock of the test's own.

        It keeps its connections, as a decider's does: a log-in costs more than a transaction.
        """
        made = SqlStore(self.urls[role], clock=clock)
        self.opened.append(made)
        return made

    def close(self) -> None:
        """Close what the test has opened."""
        for one in self.opened:
            one.close()


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """Migrate the database `airlock` once; each test gets a copy."""
    upgrade(postgres.url("airlock_owner"))
    return "airlock"


@pytest.fixture(scope="session")
def admin(postgres: Server) -> Iterator[psycopg.Connection]:
    """Return one connection that may make and drop databases."""
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_database(
    postgres: Server, template: str, admin: psycopg.Connection
) -> Iterator[Database]:
    """Return a copy of the migrated database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {template} OWNER airlock_owner')
    # Rights on a database are not copied with it.
    admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO airlock_decider, airlock_worker')
    roles = ("airlock_owner", "airlock_decider", "airlock_worker", "postgres")
    database = Database("postgres", {role: postgres.url(role, name) for role in roles})
    yield database
    database.close()
    admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a SQLite file once; each test gets a copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    """Return a copy of the migrated SQLite file."""
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}"
    database = Database("sqlite", dict.fromkeys(("airlock_decider", "airlock_worker"), url))
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """Return each kind of database in turn."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def make_world(database: Database) -> Callable[..., World]:
    """Return a factory of worlds on the database, worker and decider apart."""

    def make(clock: FakeClock | None = None, **options: Any) -> World:
        worker = database.store("airlock_worker", clock)
        return World(database.store("airlock_decider", clock), worker=worker, **options)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Return a world of the high tier."""
    return make_world()
