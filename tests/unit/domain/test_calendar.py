"""Wall and business clocks: nights, week-ends, holidays, clock changes, ends of years."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airlock.domain.approval.calendar import BusinessClock, Timing, WallClock, clock, timing
from airlock.domain.errors import Invalid

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = BusinessClock(BERLIN, holidays=frozenset({date(2026, 12, 25), date(2027, 1, 1)}))
ROUND_THE_CLOCK = BusinessClock(BERLIN, 0, 24 * 60, tuple(range(7)))

#: what is claimed -> clock, start in Berlin, hours, end in Berlin
CASES = {
    "within a day": (OFFICE, "2026-11-24 10:00", 3, "2026-11-24 13:00"),
    "a span ends at closing time, not the next morning": (
        OFFICE,
        "2026-11-24 09:00",
        8,
        "2026-11-24 17:00",
    ),
    "a night does not count": (OFFICE, "2026-11-24 16:00", 2, "2026-11-25 10:00"),
    "before opening is as at opening": (OFFICE, "2026-11-24 03:00", 1, "2026-11-24 10:00"),
    "after closing is as at the next opening": (OFFICE, "2026-11-24 22:00", 1, "2026-11-25 10:00"),
    "a week-end does not count": (OFFICE, "2026-11-27 16:00", 2, "2026-11-30 10:00"),
    "Saturday noon is Monday morning": (OFFICE, "2026-11-28 12:00", 1, "2026-11-30 10:00"),
    "Christmas and the week-end after it": (OFFICE, "2026-12-24 16:00", 2, "2026-12-28 10:00"),
    "New Year's Day of the next year": (OFFICE, "2026-12-31 16:00", 2, "2027-01-04 10:00"),
    "72 working hours are nine working days": (OFFICE, "2026-11-23 09:00", 72, "2026-12-03 17:00"),
    "the day with 23 hours": (ROUND_THE_CLOCK, "2027-03-28 00:00", 23, "2027-03-29 00:00"),
    "the day with 25 hours": (ROUND_THE_CLOCK, "2026-10-25 00:00", 25, "2026-10-26 00:00"),
    "wall: Friday noon and 72 h is Monday noon": (
        WallClock(),
        "2026-11-27 12:00",
        72,
        "2026-11-30 12:00",
    ),
    "wall: through the spring change it looks an hour later": (
        WallClock(),
        "2027-03-26 12:00",
        72,
        "2027-03-29 13:00",
    ),
    "wall: through the autumn change it looks an hour earlier": (
        WallClock(),
        "2026-10-23 12:00",
        72,
        "2026-10-26 11:00",
    ),
    "wall: through the end of a leap February": (
        WallClock(),
        "2028-02-27 12:00",
        72,
        "2028-03-01 12:00",
    ),
    "wall: through the end of a year": (WallClock(), "2026-12-30 12:00", 72, "2027-01-02 12:00"),
}


def berlin(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=BERLIN)


@pytest.mark.parametrize("claim", CASES)
def test_a_span_of_hours(claim: str) -> None:
    on, start, hours, end = CASES[claim]
    deadline = on.after(berlin(start), timedelta(hours=hours))
    assert deadline.tzinfo is UTC
    assert deadline.astimezone(BERLIN).strftime("%Y-%m-%d %H:%M") == end


def test_an_opening_time_that_does_not_exist_is_when_the_clocks_have_changed() -> None:
    early = BusinessClock(BERLIN, 150, 600, tuple(range(7)))  # from 02:30 on
    deadline = early.after(berlin("2027-03-28 00:00"), timedelta(minutes=1))
    assert deadline.astimezone(BERLIN).strftime("%H:%M") == "03:31"


def test_a_clock_without_working_time_is_refused_not_endless() -> None:
    first = date(2026, 1, 1)
    never = frozenset(first + timedelta(days=n) for n in range(4200))
    with pytest.raises(Invalid, match="no 1:00:00 of working time"):
        BusinessClock(BERLIN, holidays=never).after(berlin("2026-11-24 10:00"), timedelta(hours=1))
    for opens, closes, days in ((600, 600, (0,)), (600, 500, (0,)), (0, 1441, (0,)), (0, 60, ())):
        with pytest.raises(Invalid):
            BusinessClock(BERLIN, opens, closes, days)


FIRST = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.integers(0, 4 * 365 * 24 * 60).map(lambda minutes: FIRST + timedelta(minutes=minutes))
spans = st.integers(0, 400).map(lambda quarters: timedelta(minutes=15 * quarters))


@given(moments, spans, spans)
@example(datetime(2026, 1, 5, 15, 45, tzinfo=UTC), timedelta(minutes=15), timedelta())  # closing
def test_working_time_adds_up_and_never_runs_faster_than_the_wall(
    start: datetime, first: timedelta, second: timedelta
) -> None:
    there = OFFICE.after(start, first)
    assert OFFICE.after(there, second) == OFFICE.after(start, first + second)
    assert there >= start + first


@given(moments, spans)
def test_round_the_clock_is_the_wall_clock(start: datetime, span: timedelta) -> None:
    assert ROUND_THE_CLOCK.after(start, span) == WallClock().after(start, span)


def approval(**clock_: object) -> dict[str, object]:
    tiers = {"high": {"levels": []}, "medium": {"timers": {"remindHours": 24}}, "low": {}}
    return {"tiers": tiers, "grantHours": 336, "clock": clock_}


def test_the_mandated_times_hold_where_a_policy_says_nothing() -> None:
    high = timing(approval(), "high")
    hours = [(at - berlin("2026-11-24 12:00")) for at in high.reminders(berlin("2026-11-24 12:00"))]
    assert hours == [timedelta(hours=72), timedelta(hours=144)]
    assert high.deadline(berlin("2026-11-24 12:00")) == berlin("2026-12-03 12:00")
    assert (high.escalate, high.unused) == (False, timedelta(days=14))
    low = timing(approval(), "low")
    assert (low.remind, low.expire) == (timedelta(hours=48), timedelta(days=7))
    assert (low.escalate, len(low.reminders(berlin("2026-11-24 12:00")))) == (True, 1)
    assert timing(approval(), "medium").remind == timedelta(hours=24)


def test_a_business_clock_from_its_document() -> None:
    business_clock = clock(
        {
            "kind": "business",
            "timeZone": "Europe/Berlin",
            "hours": {"from": "08:30", "to": "24:00"},
            "holidays": ["2026-12-25"],
        }
    )
    assert business_clock == BusinessClock(
        BERLIN, 510, 1440, holidays=frozenset({date(2026, 12, 25)})
    )
    assert clock({}) == clock({"kind": "wall"}) == WallClock() == Timing().clock
