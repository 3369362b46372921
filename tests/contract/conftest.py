"""The same tests over SQLite and over a real PostgreSQL with the real roles."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

    def store(self, role: str, clock: FakeClock | None = None) -> SqlStore:
        """Return a store in one role, if asked with a clock of the test's own."""
        return SqlStore(self.urls[role], pooled=False, clock=clock)


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """Migrate the database `airlock` once; each test gets a copy."""
    upgrade(postgres.url("airlock_owner"))
    return "airlock"


@pytest.fixture
def postgres_database(postgres: Server, template: str) -> Iterator[Database]:
    """Return a copy of the migrated database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = psycopg.connect(postgres.dsn("postgres"), autocommit=True)
    admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {template} OWNER airlock_owner')
    roles = ("airlock_owner", "airlock_decider", "airlock_worker", "postgres")
    yield Database("postgres", {role: postgres.url(role, name) for role in roles})
    admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a SQLite file once; each test gets a copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(tmp_path: Path, sqlite_template: Path) -> Database:
    """Return a copy of the migrated SQLite file."""
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}"
    return Database("sqlite", dict.fromkeys(("airlock_decider", "airlock_worker"), url))


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
