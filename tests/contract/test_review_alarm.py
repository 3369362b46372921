"""The alarm about a broken glass nobody has reviewed: after 24 hours, and every day after that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airlock.domain.approval.break_glass import REVIEW, Broken
from airlock.domain.approval.release import State
from airlock.domain.clock import moment, stamp
from airlock.services.approvals import break_glass, deadlines, review_reminders
from airlock.services.audit import access_log
from airlock.services.notifications import outbox_relay
from airlock.services.queries import releases
from airlock.testing import FakeAirflow, FakeClock, World
from tests.contract.test_break_glass import book, broken


@pytest.fixture
def world(make_world: Callable[..., World], clock: FakeClock) -> World:
    return make_world(clock, rulebook=book())


def rung(world: World, release_id: str) -> list[dict[str, Any]]:
    events = access_log.events(world.store, release_id, 1000)
    return [event["data"] for event in events if event["what"] == "ReviewOverdue"]


@pytest.mark.parametrize(
    ("hours", "minutes", "alarms"),
    [(0, 0, []), (23, 59, []), (24, 1, [1]), (47, 59, [1]), (48, 1, [1, 2])],
)
def test_a_review_that_is_overdue_rings_after_24_hours_and_every_day(
    world: World, clock: FakeClock, hours: int, minutes: int, alarms: list[int]
) -> None:
    release_id = broken(world)
    start = clock.at
    world.promote(release_id)
    for day in (24, 48):
        if hours >= day:
            clock.at = start
            clock.pass_(hours=day, minutes=1)
            deadlines.sweep(world.store)
    clock.at = start
    clock.pass_(hours=hours, minutes=minutes)
    deadlines.sweep(world.store)
    assert [data["number"] for data in rung(world, release_id)] == alarms
    deadlines.sweep(world.store)
    assert len(rung(world, release_id)) == len(alarms), "each rings once"
    assert releases.outcome(world.store, release_id).state is State.PROMOTED


def test_the_alarm_tells_the_auditors_and_those_who_broke_the_glass(
    world: World, clock: FakeClock
) -> None:
    release_id = broken(world)
    clock.pass_(hours=24, minutes=1)
    deadlines.sweep(world.store)
    with world.store.begin() as unit:
        (told,) = [m for m in unit.claim(100) if m.key.endswith("/notify/review-1-1")]
    assert told.payload["people"] == ["carla", "lena", "sam"]
    airflow = FakeAirflow()
    clock.pass_(minutes=2)
    outbox_relay.Delivery(world.store, world.signer, airflow).run()
    note = airflow.notes["credit/run-1"]
    assert note.startswith(
        f"{release_id}: the emergency INC-7 was to be reviewed before 25 Nov 2026"
    )
    assert note.endswith("Broken by lena and carla. Told: carla, lena, sam.")


def test_a_reviewed_emergency_rings_no_more(world: World, clock: FakeClock) -> None:
    release_id = broken(world)
    clock.pass_(hours=25)
    deadlines.sweep(world.store)
    break_glass.review(world.store, release_id, world.actor("sam"), "it was right to do so")
    clock.pass_(days=10)
    deadlines.sweep(world.store)
    assert [data["number"] for data in rung(world, release_id)] == [1]
    assert access_log.verify(world.store, world.keys).ok


def test_after_an_outage_the_alarm_rings_once_and_goes_on(world: World, clock: FakeClock) -> None:
    release_id = broken(world)
    clock.pass_(days=3, hours=1)
    deadlines.sweep(world.store)
    assert [data["number"] for data in rung(world, release_id)] == [1]
    clock.pass_(hours=22)
    deadlines.sweep(world.store)
    assert [data["number"] for data in rung(world, release_id)] == [1]
    clock.pass_(hours=2)
    deadlines.sweep(world.store)
    assert [data["number"] for data in rung(world, release_id)] == [1, 4]


def test_the_alarm_outlives_what_becomes_of_the_release(world: World, clock: FakeClock) -> None:
    release_id = broken(world)
    clock.pass_(hours=5)
    deadlines.sweep(world.store)
    assert releases.outcome(world.store, release_id).state is State.EXPIRED
    clock.pass_(hours=20)
    deadlines.sweep(world.store)
    assert len(rung(world, release_id)) == 1


def test_an_emergency_nobody_armed_gets_its_alarm_once(world: World, clock: FakeClock) -> None:
    release_id = world.open()
    with world.store.begin() as unit:  # as it was kept before there were alarms
        at = stamp(unit.now())
        unit.put_broken(
            Broken(
                release=release_id,
                round=1,
                model="credit",
                incident="INC-1",
                people=("lena", "carla"),
                broken_at=at,
                review_due=stamp(moment(at) + REVIEW),
            )
        )
        unit.commit()
    clock.pass_(hours=25)
    deadlines.sweep(world.store)
    assert rung(world, release_id) == []
    for _ in range(2):
        review_reminders.arm_missing(world.store)
        deadlines.sweep(world.store)
    assert [data["number"] for data in rung(world, release_id)] == [1]
