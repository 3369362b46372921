"""One broken row, message or policy stops nothing else, and what is mended goes on by itself."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, text

from airlock.domain.approval.release import State
from airlock.domain.errors import Refused
from airlock.services.approvals import deadlines, decide
from airlock.services.notifications.outbox_relay import Delivery
from airlock.services.queries import releases
from airlock.testing import FakeAirflow, FakeClock, World
from tests.contract.conftest import Database

REJECTED_JSON = ("no JSON", "[1]", "null", '"text"', "{}", '{"release": 7}', '{"release": null}')
_TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"


def edit(database: Database, statement: str, **values: Any) -> None:
    """Write as the database's administrator, past every rule."""
    url = database.urls.get("postgres", database.urls["airlock_decider"])
    with create_engine(url).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        else:
            for name in connection.execute(text(_TRIGGERS)).scalars().all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text(statement), values)


def delivery(world: World, airflow: FakeAirflow) -> Delivery:
    return Delivery(world.store, world.keys, airflow, guard_seconds=0)


def test_messages_that_cannot_be_read_are_set_aside_and_the_others_delivered(
    world: World, database: Database
) -> None:
    release_id = world.open()
    for number, payload in enumerate(REJECTED_JSON):
        edit(
            database,
            "INSERT INTO outbox (id, kind, key, payload, posted_at, due_at, attempts, error, lane) "
            "VALUES (:id, 'note', :key, :payload, '2026', '2026', 0, '', '')",
            id=-100 + number,
            key=f"broken/{number}",
            payload=payload,
        )
    airflow = FakeAirflow()
    for _ in range(2):
        delivery(world, airflow).run()
    assert airflow.notes, "the messages behind the broken ones arrived"
    with world.store.begin() as unit:
        assert unit.claim() == ()
        assert unit.get(release_id).state is State.AWAITING_APPROVAL
        keys = [f"broken/{number}" for number in range(len(REJECTED_JSON))]
        assert unit.delivered(keys) == frozenset(), "set aside is not delivered"


def test_a_broken_release_row_hides_no_other_and_says_so_itself(
    make_world: Any, database: Database
) -> None:
    world = make_world(FakeClock())
    broken = world.open("run-1")
    edit(database, "UPDATE release SET environment = 'elsewhere' WHERE id = :id", id=broken)
    sound = world.open("run-2")
    for release in (broken, sound):
        decide.settle(world.store, world.signer, release)
    edit(database, "UPDATE release SET subject = 'broken' WHERE id = :id", id=broken)
    assert [row["id"] for row in releases.listing(world.store).rows] == [sound]
    assert [row["id"] for row in releases.inbox(world.store, world.actor("lena")).rows] == [sound]
    with pytest.raises(Refused, match="is damaged and cannot be read") as caught:
        releases.outcome(world.store, broken)
    assert "audit verify" in caught.value.next_step
    world.approve(sound, "lena")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE release SET subject = 'broken' WHERE id = :id",
        "UPDATE release SET subject = replace(subject, 'sha256:', 'sha257:') WHERE id = :id",
        "UPDATE release SET level_opened_at = 'yesterday' WHERE id = :id",
    ],
)
def test_a_release_that_cannot_be_judged_delays_no_other_timer(
    make_world: Any, database: Database, damage: str
) -> None:
    clock = FakeClock()
    world = make_world(clock)
    broken = world.open("run-1")
    decide.settle(world.store, world.signer, broken)
    edit(database, "UPDATE release SET environment = 'elsewhere' WHERE id = :id", id=broken)
    sound = world.open("run-2")
    decide.settle(world.store, world.signer, sound)
    edit(database, damage, id=broken)
    clock.pass_(days=60)
    deadlines.sweep(world.store)
    assert releases.outcome(world.store, sound).state is State.EXPIRED


def test_what_was_set_aside_is_tried_again_when_it_is_mended(
    make_world: Any, database: Database
) -> None:
    clock = FakeClock()
    world = make_world(clock)
    release_id = world.open()
    decide.settle(world.store, world.signer, release_id)
    away = "UPDATE configuration SET kind = 'gone' WHERE kind = 'policy'"
    edit(database, away)
    clock.pass_(days=60)
    fresh = world.store.__class__(database.urls["airlock_decider"], clock=clock)
    deadlines.sweep(fresh)
    with fresh.begin() as unit:
        assert unit.get(release_id).state is State.AWAITING_APPROVAL
    edit(database, "UPDATE configuration SET kind = 'policy' WHERE kind = 'gone'")
    deadlines.sweep(fresh)
    with fresh.begin() as unit:
        assert unit.get(release_id).state is State.EXPIRED
    fresh.close()
