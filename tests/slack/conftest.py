"""A migrated PostgreSQL database with the roles of production, one copy for each who asks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock_platform.databases.server import Server


@dataclass(frozen=True)
class Stores:
    """One database as its two roles open it, and the decider's address of it."""

    decider: SqlStore
    worker: SqlStore
    url: str


@pytest.fixture(scope="session")
def make_stores(postgres: Server) -> Iterator[Callable[[], Stores]]:
    """Return what makes a new database and opens it as the decider and as the worker."""
    upgrade(postgres.url("airlock_owner"))
    opened: list[SqlStore] = []

    def make() -> Stores:
        name = f"slack_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE airlock OWNER airlock_owner')
        urls = [postgres.url(role, name) for role in ("airlock_decider", "airlock_worker")]
        decider, worker = map(SqlStore, urls)
        opened.extend((decider, worker))
        return Stores(decider, worker, urls[0])

    yield make
    for store in opened:
        store.close()
