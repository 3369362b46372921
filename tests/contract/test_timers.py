"""Time on both databases: reminders, expiry, late clicks, outages, business hours."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airlock.domain.approval.release import Decision, State
from airlock.domain.approval.timers import Kind, Late
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.ports import PromotionRequest
from airlock.services.approvals import deadlines, decide
from airlock.services.audit import access_log
from airlock.services.notifications import outbox_relay
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, FakeAirflow, FakeClock, World, pipeline_document
from tests.any_day import SPECIAL, ZONES, moments

MakeWorld = Callable[..., World]


@pytest.fixture
def timed(make_world: MakeWorld, clock: FakeClock) -> World:
    """Return a world of the high tier on that clock."""
    return make_world(clock=clock)


def opened(world: World, run: str = "run-1") -> str:
    """Open a release and let the decider arm its timers, as the delivery process does."""
    release_id = world.open(run)
    decide.settle(world.store, world.signer, release_id)
    return release_id


def told(world: World, release_id: str, what: str) -> list[dict[str, Any]]:
    return [one for one in access_log.events(world.store, release_id) if one["what"] == what]


def state(world: World, release_id: str) -> State:
    return releases.outcome(world.store, release_id).state


def low_world(make_world: MakeWorld, clock: FakeClock) -> World:
    return make_world(clock=clock, pipeline=pipeline_document(impact="none"))


@pytest.mark.parametrize(
    ("hours", "minutes", "reminders"), [(71, 59, 0), (72, 1, 1), (143, 59, 1), (144, 1, 2)]
)
def test_high_is_reminded_every_72_hours(
    timed: World, clock: FakeClock, hours: int, minutes: int, reminders: int
) -> None:
    release_id = opened(timed)
    clock.pass_(hours=hours, minutes=minutes)
    deadlines.sweep(timed.store)
    assert len(told(timed, release_id, "LevelReminded")) == reminders
    assert state(timed, release_id) is State.AWAITING_APPROVAL
    assert deadlines.sweep(timed.store).fired == 0  # fired once


@pytest.mark.parametrize(
    ("hours", "minutes", "after"),
    [(215, 59, State.AWAITING_APPROVAL), (216, 1, State.EXPIRED)],
)
def test_high_expires_after_three_times_72_hours(
    timed: World, clock: FakeClock, hours: int, minutes: int, after: State
) -> None:
    release_id = opened(timed)
    clock.pass_(hours=hours, minutes=minutes)
    deadlines.sweep(timed.store)
    assert state(timed, release_id) is after


@pytest.mark.parametrize(
    ("hours", "reminders", "after"),
    [
        (47.98, 0, State.AWAITING_APPROVAL),
        (48.02, 1, State.AWAITING_APPROVAL),
        (167.98, 1, State.AWAITING_APPROVAL),
        (168.02, 1, State.EXPIRED),
    ],
)
def test_low_is_reminded_at_48_hours_and_expires_at_seven_days(
    make_world: MakeWorld, clock: FakeClock, hours: float, reminders: int, after: State
) -> None:
    world = low_world(make_world, clock)
    release_id = opened(world)
    clock.pass_(hours=hours)
    deadlines.sweep(world.store)
    assert len(told(world, release_id, "LevelReminded")) == reminders
    assert state(world, release_id) is after


@pytest.mark.parametrize(
    ("day", "zone"), list(zip(SPECIAL, (*ZONES, *ZONES), strict=False)), ids=str
)
def test_opened_in_the_last_minute_of_any_day_nothing_ends_or_passes_early(
    make_world: MakeWorld, clock: FakeClock, day: date, zone: ZoneInfo
) -> None:
    world = low_world(make_world, clock)
    clock.at = at = next(moments(zone, (day,)))
    release_id = opened(world)
    for hours, reminders, after in (
        (47.98, 0, State.AWAITING_APPROVAL),
        (167.98, 1, State.AWAITING_APPROVAL),
        (168.02, 1, State.EXPIRED),
    ):
        clock.at = at + timedelta(hours=hours)
        deadlines.sweep(world.store)
        assert len(told(world, release_id, "LevelReminded")) == reminders
        assert state(world, release_id) is after


def test_time_never_approves(timed: World, clock: FakeClock) -> None:
    """Invariant 7, whatever is due and however late the sweep comes."""
    release_id = opened(timed)
    for name in ("lena", "carla", "mara"):
        timed.approve(release_id, name)
        clock.pass_(hours=100)
        deadlines.sweep(timed.store)
        assert state(timed, release_id) is State.AWAITING_APPROVAL
    clock.pass_(days=4000)
    deadlines.sweep(timed.store)
    assert state(timed, release_id) is State.EXPIRED
    with timed.store.begin() as unit:
        assert unit.grant_of(release_id) is None
        assert not any("Approved" in e.content["what"] for e in unit.entries(release_id))


def test_each_level_has_its_own_time_from_the_moment_it_opened(
    timed: World, clock: FakeClock
) -> None:
    release_id = opened(timed)
    clock.pass_(hours=215)
    timed.approve(release_id, "lena")
    clock.pass_(hours=71)
    deadlines.sweep(timed.store)
    assert [e["data"]["level"] for e in told(timed, release_id, "LevelReminded")] == []
    clock.pass_(hours=2)
    deadlines.sweep(timed.store)
    assert [e["data"]["level"] for e in told(timed, release_id, "LevelReminded")] == [2]


def test_what_was_due_during_an_outage_fires_once_and_in_order(
    timed: World, clock: FakeClock
) -> None:
    release_id = opened(timed)
    clock.pass_(days=30)
    swept = deadlines.sweep(timed.store)
    assert (swept.fired, swept.cancelled) == (4, 0)
    whats = [e["what"] for e in access_log.events(timed.store, release_id)][3:]
    assert whats == ["DeliveryOverdue", "LevelReminded", "LevelReminded", "ReleaseExpired"]
    assert deadlines.sweep(timed.store) == deadlines.Swept()


def test_a_decided_level_cancels_its_timers(timed: World, clock: FakeClock) -> None:
    release_id = opened(timed)
    timed.approve(release_id, "lena")
    with timed.store.begin() as unit:
        timers = unit.timers_of(release_id)
    assert {fired for one, fired in timers if one.level == 1} == {False}
    assert {fired for one, fired in timers if one.level == 2} == {None}
    timed.vote(release_id, "carla", Decision.REJECT)
    clock.pass_(days=30)
    assert deadlines.sweep(timed.store) == deadlines.Swept()
    assert state(timed, release_id) is State.REJECTED


def test_arming_twice_makes_no_second_timer(timed: World) -> None:
    release_id = opened(timed)
    with timed.store.begin() as unit:
        before = unit.timers_of(release_id)
    decide.settle(timed.store, timed.signer, release_id)
    assert deadlines.arm_missing(timed.store) == 0
    with timed.store.begin() as unit:
        assert unit.timers_of(release_id) == before
        assert [one.kind for one, _ in before].count(Kind.EXPIRE) == 1


def test_a_release_nobody_armed_is_found(timed: World, clock: FakeClock) -> None:
    release_id = timed.open()
    assert deadlines.arm_missing(timed.store) == 1
    clock.pass_(hours=217)
    deadlines.sweep(timed.store)
    assert state(timed, release_id) is State.EXPIRED


def test_a_late_click_is_refused_even_if_no_sweep_has_run(timed: World, clock: FakeClock) -> None:
    """Invariant 15: the deadline holds by the database's clock, timers or not."""
    release_id = timed.open()  # not even armed
    opened_at = releases.outcome(timed.store, release_id).level_opened_at
    clock.pass_(hours=216)
    with pytest.raises(Late, match="was to be answered before 2026-12-03T12:00"):
        timed.approve(release_id, "lena")
    assert told(timed, release_id, "VoteRefused")[-1]["data"]["rule"] == "Late"
    assert state(timed, release_id) is State.AWAITING_APPROVAL
    clock.at = clock.at.replace(day=3, hour=11, minute=59, second=59)
    assert opened_at is not None
    assert timed.approve(release_id, "lena").level == 2


def test_an_approval_not_used_in_14_days_expires(timed: World, clock: FakeClock) -> None:
    release_id = opened(timed)
    timed.approve_all(release_id)
    clock.pass_(days=13, hours=23, minutes=59)
    deadlines.sweep(timed.store)
    assert state(timed, release_id) is State.APPROVED
    clock.pass_(minutes=2)
    with pytest.raises(Late, match="was to be promoted before"):  # late by the clock, sweep or not
        timed.promote(release_id)
    deadlines.sweep(timed.store)
    assert state(timed, release_id) is State.EXPIRED
    with pytest.raises(Refused, match="is EXPIRED"):
        timed.promote(release_id)


def test_a_promotion_under_way_is_not_expired_under_its_feet(
    timed: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_id = opened(timed)
    timed.approve_all(release_id)
    clock.pass_(days=13, hours=23, minutes=59)
    move = timed.registry.set_alias

    def slowly(model: str, alias: str, version: str, envelope: str) -> None:
        clock.pass_(seconds=90)
        assert deadlines.sweep(timed.store).fired == 0
        move(model, alias, version, envelope)

    monkeypatch.setattr(timed.registry, "set_alias", slowly)
    assert timed.promote(release_id).after == "1"
    clock.pass_(minutes=20)
    deadlines.sweep(timed.store)
    assert state(timed, release_id) is State.PROMOTED


def test_expiry_frees_the_line_and_tells_airflow(timed: World, clock: FakeClock) -> None:
    release_id = opened(timed)
    clock.pass_(hours=217)
    deadlines.sweep(timed.store)
    airflow = FakeAirflow()
    while outbox_relay.Delivery(timed.store, timed.signer, airflow).run():
        clock.pass_(seconds=1)
    note = airflow.notes["credit/run-1"]
    assert note.startswith(
        f"{release_id} expired: nobody completed level 1 before 03 Dec 2026, 12:00:00 UTC"
    )
    assert timed.request(timed.measure("next")).outcome == "opened"


def test_the_log_still_verifies_after_timers(timed: World, clock: FakeClock) -> None:
    release_id = opened(timed)
    clock.pass_(hours=100)
    deadlines.sweep(timed.store)
    timed.approve(release_id, "lena")
    clock.pass_(hours=300)
    deadlines.sweep(timed.store)
    report = access_log.verify(timed.store, timed.keys)
    assert (report.damages, state(timed, release_id)) == ((), State.EXPIRED)


def test_a_level_nobody_was_told_of_raises_an_alarm_after_15_minutes(
    timed: World, clock: FakeClock
) -> None:
    release_id = opened(timed)
    clock.pass_(minutes=14)
    deadlines.sweep(timed.store)
    assert told(timed, release_id, "DeliveryOverdue") == []
    clock.pass_(minutes=2)
    deadlines.sweep(timed.store)
    assert "nobody could be told" in told(timed, release_id, "DeliveryOverdue")[0]["why"]


def test_a_level_somebody_was_told_of_raises_none(timed: World, clock: FakeClock) -> None:
    release_id = opened(timed)
    outbox_relay.Delivery(timed.store, timed.signer, FakeAirflow()).run()
    timed.approve(release_id, "lena")
    outbox_relay.Delivery(timed.store, timed.signer, FakeAirflow()).run()
    clock.pass_(minutes=16)
    assert deadlines.sweep(timed.store).fired == 0
    assert told(timed, release_id, "DeliveryOverdue") == []


def test_business_hours_leave_out_the_week_end(make_world: MakeWorld, clock: FakeClock) -> None:
    book: dict[str, Any] = deepcopy(dict(RULEBOOK))
    book["approval"]["spec"]["clock"] = {"kind": "business", "timeZone": "Europe/Berlin"}
    book["approval"]["spec"]["tiers"]["high"]["timers"] = {"remindHours": 16, "expireHours": 40}
    world = make_world(clock=clock, rulebook=book)
    release_id = opened(world)  # Tuesday 13:00 in Berlin
    clock.pass_(hours=47)  # Thursday 12:00: 15 working hours
    deadlines.sweep(world.store)
    assert told(world, release_id, "LevelReminded") == []
    clock.pass_(hours=1, minutes=1)
    deadlines.sweep(world.store)
    assert len(told(world, release_id, "LevelReminded")) == 1
    clock.pass_(days=4, hours=22)  # Tuesday 11:01: a wall clock would be long past 40 hours
    deadlines.sweep(world.store)
    assert state(world, release_id) is State.AWAITING_APPROVAL
    clock.pass_(hours=2)
    deadlines.sweep(world.store)
    assert state(world, release_id) is State.EXPIRED


def test_a_sweep_takes_batches_and_leaves_nothing(
    timed: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BATCH", 2)
    monkeypatch.setattr(deadlines, "SMALLEST", 1)
    release_id = opened(timed)
    clock.pass_(days=30)
    swept = deadlines.sweep(timed.store)
    assert (swept.fired, state(timed, release_id)) == (4, State.EXPIRED)


def test_somebody_who_may_not_decide_can_ask_for_a_sweep(timed: World, clock: FakeClock) -> None:
    release_id = opened(timed)
    assert deadlines.ask(timed.worker, timed.proposals, "airlock_timers/1") == 0
    clock.pass_(hours=216, minutes=1)
    with pytest.raises(Unreachable, match="timers have been due for 5 minutes"):
        deadlines.ask(
            timed.worker, timed.proposals, "airlock_timers/1"
        )  # the alarm, and the request all the same
    assert state(timed, release_id) is State.AWAITING_APPROVAL
    while outbox_relay.Delivery(timed.store, timed.signer, FakeAirflow()).run():
        clock.pass_(seconds=1)
    assert state(timed, release_id) is State.EXPIRED
    assert deadlines.ask(timed.worker, timed.proposals, "airlock_timers/1") == 0


def test_what_will_never_be_delivered_is_in_the_log(timed: World, clock: FakeClock) -> None:
    release_id = opened(timed)

    class Refusing(FakeAirflow):
        def note(self, dag_id: str, run_id: str, note: str) -> None:
            raise NotFound("the run is gone")

    outbox_relay.Delivery(timed.store, timed.signer, Refusing()).run()
    failed = told(timed, release_id, "DeliveryFailed")
    assert [(one["why"], one["data"]["kind"]) for one in failed] == [("the run is gone", "note")]
    clock.pass_(minutes=16)
    deadlines.sweep(timed.store)
    assert told(timed, release_id, "DeliveryOverdue")


def test_a_notice_names_who_may_answer_and_the_next_authority(
    timed: World, clock: FakeClock
) -> None:
    release_id = opened(timed)
    airflow = FakeAirflow()
    outbox_relay.Delivery(timed.store, timed.signer, airflow).run()
    clock.pass_(hours=72, minutes=1)
    deadlines.sweep(timed.store)
    outbox_relay.Delivery(timed.store, timed.signer, airflow).run()
    assert airflow.notes["credit/run-1"] == (
        f"{release_id}: level 1 (lead) still waits, opened 24 Nov 2026, 12:00:00 UTC. "
        "May answer: lena, luis. Informed: ana, carla."
    )


def test_what_expired_while_a_promotion_was_dead_expires_when_that_is_settled(
    timed: World, clock: FakeClock
) -> None:
    release_id = opened(timed)
    timed.approve_all(release_id)
    clock.pass_(days=13, hours=23, minutes=59)
    timed.promoter.begin(PromotionRequest(release=release_id, attempt="dead"))
    for _ in range(3):
        clock.pass_(minutes=2)
        assert deadlines.sweep(timed.store).fired == 0
        assert state(timed, release_id) is State.PROMOTING
    assert timed.promoter.settle_all() == 1
    assert state(timed, release_id) is State.APPROVED
    clock.pass_(minutes=2)
    assert deadlines.sweep(timed.store).fired == 1
    assert state(timed, release_id) is State.EXPIRED
