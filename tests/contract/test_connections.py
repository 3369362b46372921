"""Connections kept for the next transaction: nothing half done is kept, nothing dead is used."""

from __future__ import annotations

import contextlib
import time

import psycopg
import pytest

from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.store import FRESH_S, OVERFLOW, POOL
from airlock.domain.errors import Unreachable
from airlock.services.audit.transparency_log import system_event
from airlock.testing import World
from tests.contract.conftest import Database

pytestmark = pytest.mark.nobody_enrolled


def test_what_was_not_committed_is_gone(database: Database) -> None:
    store = SqlStore(database.urls["airlock_decider"])
    for _ in range(3):  # the same connection, taken again
        with store.begin() as unit:
            unit.people()
            unit.log("lost", system_event("Said", "nothing", "never to be kept"))
    with store.begin() as unit:
        assert [name for name, _ in unit.streams()] == []
    store.close()


def test_reading_keeps_no_lock_and_no_transaction(postgres_database: Database) -> None:
    store = SqlStore(postgres_database.urls["airlock_decider"])
    world = World(store, worker=postgres_database.store("airlock_worker"))
    release_id = world.open()
    with store.begin() as unit:
        unit.lock(release_id)
    with psycopg.connect(postgres_database.urls["postgres"].replace("+psycopg", "")) as admin:
        busy = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        mine = f"{busy} AND datname = current_database() AND pid <> pg_backend_pid()"
        assert admin.execute(mine).fetchone() == (0,)
    assert world.approve(release_id, "lena").level == 2
    store.close()


def test_a_connection_that_died_while_idle_is_replaced(postgres_database: Database) -> None:
    store = SqlStore(postgres_database.urls["airlock_decider"])
    with store.begin() as unit:
        unit.now()
    url = postgres_database.urls["postgres"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as admin:
        others = "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        killed = admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {others}")
        assert killed.fetchall() == [(True,)]
    time.sleep(FRESH_S + 0.2)
    with store.begin() as unit:
        assert unit.people() == ()
    store.close()


def test_a_process_whose_connections_are_all_at_work_says_so(
    postgres_database: Database,
) -> None:
    store = SqlStore(postgres_database.urls["airlock_decider"])
    store._engine.pool._timeout = 0.01
    with contextlib.ExitStack() as busy:
        for _ in range(POOL + OVERFLOW):
            busy.enter_context(store.begin())
        with pytest.raises(Unreachable, match="all 15 connections of this process") as caught:
            store.begin()
        assert caught.value.next_step
    with store.begin() as unit:
        assert unit.people() == ()
    store.close()
