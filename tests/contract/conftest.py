"""The same tests over SQLite and over a real PostgreSQL with the real roles."""

from __future__ import annotations

import copy
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.policy import Rulebook
from airlock.testing import FakeClock, World
from airlock.testing.approvers import enrol, persons
from airlock.testing.documents import PEOPLE, RULEBOOK
from airlock_platform.databases.server import Server
from tests.support import sample

BuiltOnce = Callable[[str, Callable[[], tuple[World, Any]]], tuple[World, Any]]
EARLY = datetime(2019, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Database:
    """One fresh database: a URL for each role (on SQLite they are all the same)."""

    kind: str
    urls: dict[str, str]
    admin: psycopg.Connection | None = None
    opened: list[SqlStore] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the database's name, or the path of the file."""
        return str(make_url(self.urls["airlock_decider"]).database)

    def store(self, role: str, clock: FakeClock | None = None) -> SqlStore:
        """Return a store in one role, if asked with a clock of the test's own.

        It keeps its connections, as a decider's does: a log-in costs more than a transaction.
        """
        made = SqlStore(self.urls[role], clock=clock)
        self.opened.append(made)
        return made

    def close(self) -> None:
        """Close what the test has opened."""
        for store in self.opened:
            store.close()
        self.opened.clear()

    def save(self, folder: Path) -> str:
        """Keep a copy of what is in it, on SQLite below *folder*; return the copy's name."""
        self.close()
        name = f"saved_{uuid.uuid4().hex[:12]}"
        if self.admin is None:
            return str(shutil.copy(self.name, folder / name))
        copy_of(self.admin, self.name, name)
        return name

    def restore(self, saved: str) -> None:
        """Put back what was kept, in place of what is there."""
        self.close()
        if self.admin is None:
            shutil.copy(saved, self.name)
            return
        self.admin.execute(f'DROP DATABASE "{self.name}" WITH (FORCE)')
        copy_of(self.admin, saved, self.name)


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """Migrate the database `airlock` once; each test gets a copy."""
    upgrade(postgres.url("airlock_owner"))
    return "airlock"


@pytest.fixture(scope="session")
def enrolled_template(postgres: Server, template: str, admin: psycopg.Connection) -> str:
    """Enrol the people of most tests once, which takes longer than most tests."""
    name = "airlock_enrolled"
    copy_of(admin, template, name)
    enrol_people(postgres.url("airlock_decider", name))
    return name


def copy_of(admin: psycopg.Connection, template: str, name: str) -> None:
    """Copy a database with its rights, which are not copied with it."""
    admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {template} OWNER airlock_owner')
    admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO airlock_decider, airlock_worker')


def begins_empty(request: pytest.FixtureRequest) -> bool:
    """Say whether a test is about people who are not known or enrolled yet."""
    return request.node.get_closest_marker("nobody_enrolled") is not None


def enrol_people(url: str) -> None:
    """Enrol the people of `World` for their roles, before every clock of a test begins."""
    store = SqlStore(url, pooled=False, clock=FakeClock(EARLY))
    enrol(store, Rulebook.from_document(RULEBOOK), persons(PEOPLE))


@pytest.fixture(scope="session")
def admin(postgres: Server) -> Iterator[psycopg.Connection]:
    """Return one connection that may make and drop databases."""
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_database(
    request: pytest.FixtureRequest,
    postgres: Server,
    template: str,
    enrolled_template: str,
    admin: psycopg.Connection,
) -> Iterator[Database]:
    """Return a migrated database in which the people of `World` are enrolled."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    copy_of(admin, template if begins_empty(request) else enrolled_template, name)
    roles = ("airlock_owner", "airlock_decider", "airlock_worker", "postgres")
    database = Database("postgres", {role: postgres.url(role, name) for role in roles}, admin)
    yield database
    database.close()
    admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a SQLite file once; each test gets a copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def enrolled_file(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """Enrol the people of most tests once in a SQLite file."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("sqlite") / "enrolled.db")
    enrol_people(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path, enrolled_file: Path
) -> Iterator[Database]:
    """Return a SQLite file in which the people of `World` are enrolled."""
    template = sqlite_template if begins_empty(request) else enrolled_file
    url = f"sqlite:///{shutil.copy(template, tmp_path / 'airlock.db')}"
    database = Database("sqlite", dict.fromkeys(("airlock_decider", "airlock_worker"), url))
    yield database
    database.close()


@pytest.fixture(params=sample(["postgres", "sqlite"], 2))
def database(request: pytest.FixtureRequest) -> Database:
    """Return each kind of database in turn: what runs in production, and all in `make test-all`."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock only the test moves: Tuesday 2026-11-24, noon in UTC."""
    return FakeClock()


@pytest.fixture
def make_world(database: Database) -> Callable[..., World]:
    """Return a factory of worlds on the database, worker and decider apart."""

    def make(clock: FakeClock | None = None, **options: Any) -> World:
        worker = database.store("airlock_worker", clock)
        return World(database.store("airlock_decider", clock), worker=worker, **options)

    return make


@pytest.fixture(scope="session")
def saved_worlds() -> dict[tuple[str, str], tuple[str, World, Any, datetime]]:
    """Keep what `built_once` has built: the saved database, the world, the rest, the time."""
    return {}


@pytest.fixture
def built_once(
    database: Database, clock: FakeClock, saved_worlds: Any, tmp_path_factory: Any
) -> BuiltOnce:
    """Return a function that builds a world for the first test that asks, and copies it for each.

    It takes a name for what is built and what builds it: world and anything else.
    """

    def once(name: str, build: Callable[[], tuple[World, Any]]) -> tuple[World, Any]:
        key = (name, database.kind)
        if key not in saved_worlds:
            world, rest = build()
            saved = database.save(tmp_path_factory.mktemp("saved"))
            saved_worlds[key] = (saved, world, rest, clock.at)
        saved, world, rest, clock.at = saved_worlds[key]
        database.restore(saved)
        decider, worker = (
            database.store(f"airlock_{role}", clock) for role in ("decider", "worker")
        )
        return world.over(decider, worker), copy.deepcopy(rest)

    return once


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Return a world of the high tier."""
    return make_world()
