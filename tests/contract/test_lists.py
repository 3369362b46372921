"""Lists of releases: nothing is hidden behind the newest 200, and the most urgent comes first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from airlock.domain.approval.release import State
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import Invalid
from airlock.services.approvals import decide
from airlock.services.notifications import inbox
from airlock.services.queries import releases
from airlock.services.rows import Rows
from airlock.testing import World
from tests.contract.conftest import Database
from tests.seeding import clone


def administrator(database: Database) -> str:
    return database.urls.get("postgres", database.urls["airlock_decider"])


def open_many(world: World, database: Database, count: int) -> list[str]:
    """Return the ids of *count* releases that wait at level 1, all opened at the same moment."""
    first = world.open()
    decide.settle(world.store, world.signer, first)
    return [first, *clone(administrator(database), first, count - 1, log=False)]


def expire_at(database: Database, due: dict[str, str]) -> None:
    with create_engine(administrator(database)).begin() as connection:
        for release, at in due.items():
            statement = "UPDATE timer SET due_at = :at WHERE release = :of AND kind = 'expire'"
            connection.execute(text(statement), {"at": at, "of": release})


def walk(world: World, limit: int, **chosen: Any) -> Iterator[dict[str, Any]]:
    after, ended = "", False
    while not ended:
        page = releases.listing(world.store, after=after, limit=limit, **chosen)
        assert len(page.rows) <= limit
        yield from page.rows
        after, ended = page.next, not page.next


def test_an_empty_list_is_one_empty_page(world: World) -> None:
    assert releases.listing(world.store) == Rows([])
    assert releases.inbox(world.store, world.actor("lena")) == Rows([])
    assert releases.models(world.store) == ()


@pytest.mark.parametrize(("count", "limit"), [(201, 50), (201, 201), (200, 200), (10_000, 1_000)])
def test_every_release_is_on_one_page(
    world: World, database: Database, count: int, limit: int
) -> None:
    ids = open_many(world, database, count)
    rows = [row["id"] for row in walk(world, limit)]
    assert sorted(rows) == sorted(ids)


def test_filters_count_before_pages_are_cut(world: World, database: Database) -> None:
    open_many(world, database, 201)
    oldest = next(row for row in reversed(list(walk(world, 50))))
    assert [row["id"] for row in walk(world, 50, model=oldest["model"])] == [oldest["id"]]
    assert list(walk(world, 50, states=[State.PROMOTED])) == []
    assert len(releases.models(world.store)) == 201


def test_a_release_opened_meanwhile_shifts_nothing(world: World, database: Database) -> None:
    ids = open_many(world, database, 120)
    first = releases.listing(world.store, limit=60)
    clone(administrator(database), ids[0], 1)
    second = releases.listing(world.store, after=first.next, limit=60)
    together = [row["id"] for row in (*first.rows, *second.rows)]
    assert len(set(together)) == 120


def test_the_most_urgent_of_201_is_the_first_in_every_inbox(
    world: World, database: Database
) -> None:
    ids = open_many(world, database, 201)
    with world.store.begin() as unit:
        now = unit.now()
    urgent, next_urgent = ids[0], ids[100]
    expire_at(
        database,
        {urgent: stamp(now + timedelta(minutes=1)), next_urgent: stamp(now + timedelta(hours=1))},
    )
    lena = world.actor("lena")
    page = releases.inbox(world.store, lena)
    assert [row["id"] for row in page.rows[:2]] == [urgent, next_urgent]
    assert len(page.rows) == 50
    assert page.next
    in_chat = inbox.waiting(world.store, "lena", "http://airflow")
    assert [item["id"] for item in in_chat[:2]] == [urgent, next_urgent]
    assert moment(in_chat[0]["deadline"])

    seen, after = [row["id"] for row in page.rows], page.next
    while after:
        page = releases.inbox(world.store, lena, after=after)
        seen, after = [*seen, *(row["id"] for row in page.rows)], page.next
    assert sorted(seen) == sorted(ids)


def test_whose_turn_it_is_not_has_an_empty_inbox(world: World, database: Database) -> None:
    open_many(world, database, 201)
    for name in ("carla", "ana"):
        assert releases.inbox(world.store, world.actor(name)) == Rows([])


def test_what_somebody_decided_is_found_among_many(world: World, database: Database) -> None:
    ids = open_many(world, database, 201)
    world.approve(ids[0], "lena")
    decided = inbox.inbox(world.store, "lena", "http://airflow")["decided"]
    assert [item["id"] for item in decided] == [ids[0]]


@pytest.mark.parametrize("after", ["x", "/", "2026/", "/rel-1"])
def test_a_made_up_place_is_refused_with_the_way_on(world: World, after: str) -> None:
    with pytest.raises(Invalid, match="no place where a page ended"):
        releases.listing(world.store, after=after)
    with pytest.raises(Invalid, match="no place where a page ended"):
        releases.inbox(world.store, world.actor("lena"), after=after)
