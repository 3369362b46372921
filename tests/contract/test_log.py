"""The log: it only grows, it explains every state, and damage is found and named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from airlock.services.audit import access_log
from airlock.testing import World
from tests.contract.conftest import Database


@pytest.fixture
def told(world: World) -> World:
    """Return a world with one promoted and one refused release."""
    release_id = world.open("one")
    world.approve_all(release_id)
    world.promote(release_id)
    return world


def report(world: World) -> access_log.Report:
    return access_log.verify(world.store, world.keys)


def attack(database: Database, *statements: str) -> None:
    """Do as somebody who owns the whole database would."""
    off = {
        "postgres": "ALTER TABLE audit_event DISABLE TRIGGER ALL",
        "sqlite": "DROP TRIGGER log_no_update",
    }
    engine = create_engine(database.urls.get("postgres", database.urls["airlock_decider"]))
    with engine.begin() as connection:
        connection.execute(text(off[database.kind]))
        if database.kind == "sqlite":
            connection.execute(text("DROP TRIGGER log_no_delete"))
        for statement in statements:
            connection.execute(text(statement))


def test_an_untouched_log_verifies(told: World) -> None:
    found = report(told)
    assert found.ok, found.damages
    assert found.events > 10
    assert (found.releases, found.grants) == (1, 1)


def test_nobody_updates_or_deletes_an_entry(told: World, database: Database) -> None:
    for statement in ("UPDATE audit_event SET what = 'x'", "DELETE FROM audit_event"):
        for url in set(database.urls.values()):
            with (
                pytest.raises(DBAPIError, match=r"only grows|permission denied"),
                create_engine(url).begin() as connection,
            ):
                connection.execute(text(statement))
    assert report(told).ok


@pytest.mark.tamper
@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE audit_event SET body = body || ' ' WHERE seq = 4", "entry 4: the bytes do not"),
        ("DELETE FROM audit_event WHERE seq = 5", "entry 5: expected entry 5, found entry 6"),
        ("DELETE FROM audit_event WHERE seq >= 8", "entries missing"),
        ("UPDATE vote SET person = 'luis' WHERE person = 'lena'", "/1/lena: the log tells"),
        ("UPDATE release SET requester = 'eve'", "requester is eve, the log says ana"),
        ("UPDATE release SET why = 'all good'", "why is all good, the log says"),
    ],
)
def test_damage_is_found_and_named(
    told: World, database: Database, damage: str, found: str
) -> None:
    if database.kind == "postgres":
        damage = damage.replace("body || ' '", "body || '\\x20'::bytea")
    attack(database, damage.replace("WHERE seq", "WHERE stream LIKE 'rel-%' AND seq"))
    damages = report(told).damages
    assert any(found in line for line in damages), damages


@pytest.mark.tamper
def test_a_vote_without_its_event_is_found(told: World, database: Database) -> None:
    attack(
        database,
        "INSERT INTO vote SELECT release, round, 'eve', level, decision, reason, channel, at, "
        "capacity, behind, conditions FROM vote WHERE person = 'lena'",
    )
    assert any("/1/eve: is there, but" in line for line in report(told).damages)


@pytest.mark.tamper
def test_two_entries_swapped_are_found(told: World, database: Database) -> None:
    attack(
        database,
        "UPDATE audit_event SET seq = 100 WHERE stream LIKE 'rel-%' AND seq = 2",
        "UPDATE audit_event SET seq = 2 WHERE stream LIKE 'rel-%' AND seq = 3",
        "UPDATE audit_event SET seq = 3 WHERE stream LIKE 'rel-%' AND seq = 100",
    )
    assert any("entry 2" in line for line in report(told).damages)


def test_every_event_says_who_when_what_why_and_under_which_policy(told: World) -> None:
    for event in access_log.events(told.store, limit=500):
        if not event["stream"].startswith("rel-"):
            continue
        assert event["who"]["id"]
        assert len(event["at"]) == 30
        assert event["at"].endswith("Z")
        assert event["policy"] == told.rulebook.digest
        assert {"what", "resource", "old", "new", "why", "channel"} <= event.keys()


def test_events_are_read_newest_but_told_in_order(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    for number in range(3):
        world.request(world.measure(f"run-{number}", auc=0.1))
    shown = access_log.events(world.store, limit=4)
    assert len(shown) == 4
    assert [event["at"] for event in shown] == sorted(event["at"] for event in shown)
