"""What waits in the database, as `airlock status` counts it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from airlock.domain.errors import Refused
from airlock.ports import Backlog, Queue
from airlock.services.approvals import decide
from airlock.services.notifications.outbox_relay import Delivery
from airlock.testing import FakeAirflow, FakeClock, World

MakeWorld = Callable[..., World]


def backlog(world: World) -> Backlog:
    with world.store.begin() as unit:
        return unit.backlog(unit.now() - timedelta(hours=24))


def post(world: World, kind: str, key: str, release: str = "rel-none") -> None:
    with world.store.begin() as unit:
        unit.post(kind, key, {"release": release})
        unit.commit()


def test_where_nothing_waits_there_is_nothing_to_count(world: World) -> None:
    found = backlog(world)
    assert {found.messages, found.chat, found.timers, found.proposals} == {Queue(0)}
    assert found.given_up == ()


def test_the_oldest_of_each_queue_is_named(make_world: MakeWorld) -> None:
    clock = FakeClock()
    world = make_world(clock)
    post(world, "note", "first")
    clock.pass_(hours=1)
    post(world, "note", "second")
    post(world, "chat", "rel-none/chat/opened")
    found = backlog(world)
    assert (found.messages.count, found.messages.about, found.chat.count) == (2, "first", 1)
    assert found.messages.since < found.chat.since


def test_timers_count_once_they_are_due(make_world: MakeWorld) -> None:
    clock = FakeClock()
    world = make_world(clock)
    release_id = world.open()
    decide.settle(world.store, world.signer, release_id)
    assert backlog(world).timers == Queue(0)
    clock.pass_(days=60)
    timers = backlog(world).timers
    assert timers.count > 0
    assert timers.about.startswith(release_id)


def test_what_was_given_up_is_named_with_its_reason_for_a_day(make_world: MakeWorld) -> None:
    clock = FakeClock()
    world = make_world(clock)
    post(world, "note", "lost")
    post(world, "chat", "rel-none/chat/opened")

    def nobody_looks() -> None:
        raise Refused("it has not looked yet")

    with world.store.begin() as unit:
        unit.post("detect", "asked", {})
        unit.commit()
    Delivery(world.store, world.keys, FakeAirflow(), 0.0, looked=nobody_looks).run()
    (one,) = backlog(world).given_up
    assert (one.kind, one.key) == ("note", "lost")
    assert "rel-none" in one.error
    clock.pass_(hours=25)
    assert backlog(world).given_up == ()
