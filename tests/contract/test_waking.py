"""Whoever empties the outbox is woken by a commit: at once, by nothing else, and for ever again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.outbox import listening
from airlock.adapters.sql_store.outbox.listening import OUTBOX, FileWatch, Listener, outbox_watch
from airlock.entrypoints.workers import delivery
from airlock.entrypoints.workers.steps import Round, Step
from airlock.ports import Parked, Waiting
from airlock.services.notifications.outbox_relay import Delivery
from airlock.testing import FakeAirflow, World
from tests.contract.conftest import Database

#: Longer than any test: whoever is back before has been woken.
FOR_EVER = 3600.0
PATIENCE_S = 30


def post(store: SqlStore, key: str, *, commit: bool = True) -> None:
    with store.begin() as unit:
        unit.post("note", key, {"release": "x"})
        if commit:
            unit.commit()


def admin(database: Database) -> psycopg.Connection:
    return psycopg.connect(database.urls["postgres"].replace("+psycopg", ""), autocommit=True)


def woken(watch: Waiting, act: Callable[[], object]) -> bool:
    """Say whether *act* ends a wait without an end."""
    watch.wait(0)  # whatever was there before it listened
    waiting = threading.Thread(target=watch.wait, args=(FOR_EVER,), daemon=True)
    waiting.start()
    act()
    waiting.join(PATIENCE_S)
    return not waiting.is_alive()


def test_a_committed_message_wakes(database: Database) -> None:
    store, watch = database.store("airlock_decider"), outbox_watch(database.urls["airlock_decider"])
    assert woken(watch, lambda: post(store, "one"))
    assert woken(watch, lambda: post(store, "two"))
    watch.close()


def test_a_decision_wakes(make_world: Callable[..., World], database: Database) -> None:
    world, watch = make_world(), outbox_watch(database.urls["airlock_decider"])
    release_id = world.open()
    watch.wait(0)
    assert woken(watch, lambda: world.approve(release_id, "lena"))
    watch.close()


def test_what_is_rolled_back_or_posts_nothing_sends_nothing(postgres_database: Database) -> None:
    store = postgres_database.store("airlock_decider")
    url = postgres_database.urls["airlock_decider"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as ear:
        ear.execute(f"LISTEN {OUTBOX}")
        post(store, "lost", commit=False)
        with store.begin() as unit:
            unit.remember("key", "request", "answer")
            unit.commit()
        post(store, "kept")
        for key in ("kept-too", "kept-as-well"):
            post(store, key)
        heard = list(ear.notifies(timeout=PATIENCE_S, stop_after=3))
    assert len(heard) == 3


def test_a_rolled_back_message_leaves_the_file_as_it_was(sqlite_database: Database) -> None:
    store = sqlite_database.store("airlock_decider")
    watch = FileWatch(sqlite_database.urls["airlock_decider"])
    post(store, "first")  # to connect writes, too
    watch.wait(0)
    before = watch._last_version
    post(store, "lost", commit=False)
    watch.wait(0)
    assert watch._last_version == before
    post(store, "kept")
    watch.wait(0)
    assert watch._last_version != before
    watch.close()


def end_listeners(database: Database) -> int:
    """End the connections that listen, as a server that is restarted does."""
    with admin(database) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
            "AND datname = current_database()"
        ).fetchall()
    return len(ended)


def test_a_dropped_connection_heals_and_listens_again(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "FIRST_PAUSE_S", 0.0)
    store = postgres_database.store("airlock_decider")
    watch = Listener(postgres_database.urls["airlock_decider"], OUTBOX)
    for round_ in range(3):
        watch.wait(0)
        assert end_listeners(postgres_database) == 1
        watch.wait(0.1)  # finds the connection gone
        assert woken(watch, partial(post, store, f"key-{round_}"))
    watch.close()


def test_a_database_that_is_away_leaves_the_looking_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "airlock.store")
    slept: list[float] = []
    monkeypatch.setattr("airlock.adapters.sql_store.outbox.listening.time.sleep", slept.append)
    watch = Listener("postgresql+psycopg://nobody:very-secret@127.0.0.1:1/none", OUTBOX)
    for _ in range(5):
        watch.wait(0.25)
    assert slept == [0.25] * 5
    assert caplog.text.count("not woken by airlock_outbox") == 1
    assert "very-secret" not in caplog.text


def park(world: World, release_id: str) -> None:
    with world.store.begin() as unit:
        unit.park(Parked(release_id, 1, "credit", "run-1", "level_1", unit.now()))
        unit.commit()


def test_nothing_is_lost_while_the_wake_up_is_gone(
    make_world: Callable[..., World],
    postgres_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The looking now and then delivers what nobody was woken for."""
    monkeypatch.setattr(delivery, "PERIOD_S", 0.05)
    store = postgres_database.store("airlock_decider")
    world = World(store, worker=postgres_database.store("airlock_worker"))
    airflow, stop, done = FakeAirflow(), threading.Event(), threading.Event()
    release_id = world.open()
    park(world, release_id)

    def deliver() -> None:
        Delivery(store, world.signer, airflow, 0.0).run()
        if airflow.woken:
            done.set()

    watch = Listener(postgres_database.urls["airlock_decider"], OUTBOX)
    work = Round([Step("deliver messages", deliver)])
    thread = threading.Thread(target=delivery._repeat, args=(work, watch.wait, stop))
    with admin(postgres_database) as connection:
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM airlock_decider")
    thread.start()
    try:
        world.approve(release_id, "lena")
        assert done.wait(PATIENCE_S)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        watch.close()
    assert [task.task_id for task in airflow.woken] == ["level_1"]


@pytest.mark.parametrize("how", ["refused", "ended"])
def test_a_wake_up_that_fails_undoes_nothing(postgres_database: Database, how: str) -> None:
    store = postgres_database.store("airlock_decider")
    with admin(postgres_database) as connection:
        if how == "refused":
            connection.execute(
                "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM airlock_decider"
            )

        @event.listens_for(store._engine, "before_cursor_execute")
        def end(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
            if how == "ended" and "pg_notify" in statement:
                pid = cursor.connection.info.backend_pid
                connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))

        post(store, "kept")
    with store.begin() as unit:
        assert [message.key for message in unit.claim()] == ["kept"]
