"""A request that is sent twice is done once, also when both arrive at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from airlock.domain.errors import Conflict, Forbidden
from airlock.services.approvals import delegation
from airlock.services.audit import access_log
from airlock.services.idempotency import Once
from airlock.services.queries import duties
from airlock.testing import World


def lend(world: World, taker: str = "vera", key: str = "once", giver: str = "lena") -> str:
    with world.store.begin() as unit:
        start = unit.now().replace(minute=0, second=0, microsecond=0)
    end = start + timedelta(days=1)
    actor = world.actor(giver)
    made = delegation.delegate(
        world.store, world.rulebook, actor, taker, start, end, "on leave", key
    )
    return made.id


def test_without_a_key_every_request_is_a_new_one(world: World) -> None:
    assert lend(world, key="") != lend(world, key="")
    assert len(duties.delegation_rows(world.store).rows) == 2


def test_the_same_key_does_it_once_and_for_nothing_else(world: World) -> None:
    assert lend(world) == lend(world)
    with pytest.raises(Conflict, match="idempotency key was used for another request"):
        lend(world, taker="luis")
    assert lend(world, giver="carla") != lend(world), "another person's key is another key"
    assert len(duties.delegation_rows(world.store).rows) == 2


def test_what_was_refused_is_not_kept(world: World) -> None:
    with pytest.raises(Forbidden):
        lend(world, taker="admin")
    assert lend(world)


@pytest.mark.race
def test_of_many_at_the_same_moment_one_is_done(world: World) -> None:
    def one(_: int) -> str:
        try:
            return lend(world)
        except Conflict as error:
            return f"Conflict: {error.message}"

    with ThreadPoolExecutor(8) as pool:
        said = set(pool.map(one, range(24)))
    ids = {text for text in said if text.startswith("del-")}
    assert len(ids) == 1
    assert said - ids <= {
        "Conflict: another request with this idempotency key is being answered right now"
    }
    told = [event["what"] for event in access_log.events(world.store, "access")]
    assert told.count("Delegated") == len(duties.delegation_rows(world.store).rows) == 1


def test_a_long_name_and_a_long_key_fit(world: World) -> None:
    actor = world.actor("x" * 120)
    once = Once.of("break-glass", actor, "k" * 200, reason="x" * 10_000)
    with world.store.begin() as unit:
        once.keep(unit, "done")
        unit.commit()
    with world.store.begin() as unit:
        assert once.answered(unit) == "done"
