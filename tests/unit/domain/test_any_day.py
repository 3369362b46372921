"""No day, hour or zone changes what time does: asked at 400 days x the hours that went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from airlock.domain.approval.approval_conditions import (
    EVERYBODY,
    Conditions,
    Finding,
    check_conditions,
    enforce,
)
from airlock.domain.approval.calendar import DEFAULTS, BusinessClock, Timing, timing
from airlock.domain.approval.release import Release, State
from airlock.domain.approval.timers import Kind, Late, check_in_time, is_escalated, timers_for
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import Invalid, Refused
from airlock.domain.people.delegation import Delegation
from tests.any_day import DAYS, FIRST_DAY, SPECIAL, ZONES, days, moments

TICK = timedelta(microseconds=1)
QUARTER = timedelta(minutes=15)
pytestmark = pytest.mark.unit
each_zone = pytest.mark.parametrize("zone", ZONES, ids=str)


def test_the_battery_holds_the_days_that_go_wrong() -> None:
    assert set(SPECIAL) <= set(days())
    assert FIRST_DAY.weekday() == 0
    for zone in ("Europe/Berlin", "Australia/Lord_Howe"):
        local = [datetime.combine(day, datetime.min.time(), ZoneInfo(zone)) for day in days()]
        assert len({at.utcoffset() for at in local}) == 2, "both changes are in the 400 days"
    assert len(list(days())) == DAYS


def approval(tier: str) -> Mapping[str, Any]:
    return {"tiers": {tier: {}}, "grantHours": 336}


def waiting(opened: datetime) -> Release:
    """Return a release with only the fields that timers read."""
    release = SimpleNamespace(
        id="rel-1",
        state=State.AWAITING_APPROVAL,
        round=1,
        level=1,
        level_opened_at=stamp(opened),
        emergency=None,
    )
    return cast("Release", release)


@each_zone
@pytest.mark.parametrize("tier", DEFAULTS)
def test_no_timer_is_due_early_and_no_level_ends_early(zone: ZoneInfo, tier: str) -> None:
    promised, rules = timing(approval(tier), tier), DEFAULTS[tier]
    for opened in moments(zone, days()):
        release = waiting(opened)
        due = {timer.key: moment(timer.due_at) - opened for timer in timers_for(release, promised)}
        reminders = [span for key, span in due.items() if f"/{Kind.REMIND}/" in key]
        assert min(reminders) == timedelta(hours=rules["remindHours"])
        assert max(reminders) < timedelta(hours=rules["expireHours"])
        assert due[f"rel-1/{Kind.EXPIRE}/1-1-1"] == timedelta(hours=rules["expireHours"])
        end = opened + timedelta(hours=rules["expireHours"])
        check_in_time(release, promised, stamp(end - TICK))
        with pytest.raises(Late):
            check_in_time(release, promised, stamp(end))
        first = opened + timedelta(hours=rules["remindHours"])
        assert not is_escalated(release, promised, stamp(first - TICK))
        assert is_escalated(release, promised, stamp(first)) == promised.escalate


def working_quarters(clock: BusinessClock, start: datetime, end: datetime) -> int:
    """Count quarters of an hour that begin in working time, one by one: slow, and plain."""
    count, at = 0, start
    while at < end:
        local = at.astimezone(clock.zone)
        minute = local.hour * 60 + local.minute
        working = local.weekday() in clock.weekdays and local.date() not in clock.holidays
        count += working and clock.opens <= minute < clock.closes
        at += QUARTER
    return count


@each_zone
@pytest.mark.parametrize("opening", [(9 * 60, 17 * 60), (0, 24 * 60)], ids=["9 to 17", "all day"])
def test_a_business_clock_counts_working_time_alone(
    zone: ZoneInfo, opening: tuple[int, int]
) -> None:
    clock = BusinessClock(zone, *opening, holidays=frozenset({date(2027, 12, 31)}))
    for day in days():
        start = datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)
        for span in (QUARTER, timedelta(hours=9)):
            end = clock.after(start, span)
            assert working_quarters(clock, start, end) * QUARTER == span, (start, span)


@each_zone
def test_a_business_deadline_is_never_before_the_promise_nor_in_the_night(zone: ZoneInfo) -> None:
    clock = BusinessClock(zone)
    rules = Timing(clock=clock, remind=timedelta(hours=4), expire=timedelta(hours=16))
    before = datetime.min.replace(tzinfo=UTC)
    for opened in sorted(moments(zone, days())):
        end = rules.deadline(opened)
        local = end.astimezone(zone)
        assert end >= opened + timedelta(hours=16)
        assert 9 * 60 < local.hour * 60 + local.minute <= 17 * 60
        assert local.weekday() < 5
        assert end >= before, "who opens later is over no earlier"
        assert max(rules.reminders(opened)) < end
        before = end


@each_zone
def test_a_window_begins_and_ends_when_it_says(zone: ZoneInfo) -> None:
    for start in moments(zone, days()):
        end = (start.astimezone(zone) + timedelta(days=1)).astimezone(UTC)
        lent = Delegation(
            id="d", giver="a", taker="b", start=stamp(start), end=stamp(end), reason="", made_at=""
        )
        effects = [lent.holds(stamp(at)) for at in (start - TICK, start, end - TICK, end)]
        assert effects == [False, True, True, False]
        finding = Finding(
            id="f", release="r", model="m", text="t", owner="o", due=stamp(end), raised_by="p"
        )
        assert [finding.overdue(stamp(at)) for at in (end - TICK, end)] == [False, True]
        until = [("lena", Conditions(expires_at=stamp(end)))]
        enforce(until, EVERYBODY, stamp(end - TICK))
        with pytest.raises(Refused, match="was good until"):
            enforce(until, EVERYBODY, stamp(end))
        check_conditions(until[0][1], stamp(end - TICK))
        with pytest.raises(Invalid, match="in the future"):
            check_conditions(until[0][1], stamp(end))


@each_zone
def test_times_sort_as_they_are_written(zone: ZoneInfo) -> None:
    at = sorted(moments(zone, days()))
    assert [stamp(instant) for instant in at] == sorted(stamp(instant) for instant in at)
    assert [moment(stamp(instant)) for instant in at] == at
