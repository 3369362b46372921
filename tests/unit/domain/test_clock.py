"""Times as the log has them and as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.clock import moment, readable, spelled, stamp, time_left, zone_name
from airlock_evidence.words import in_words

NOON = datetime(2026, 12, 3, 12, 0, 0, 106, UTC)


@given(st.integers(946_684_800, 32_503_679_999))
def test_no_stamp_is_left_in_what_people_read(seconds: int) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    text = f"nobody completed level 1 before {stamp(at)}; it is {stamp(at)}"
    for rendering in (spelled(text), in_words(text)):
        assert "000Z" not in rendering
        assert rendering.count("UTC") == 2
    assert spelled(text) == in_words(text), "the bundle's program writes times as Airlock does"
    assert moment(stamp(at)) == at


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (UTC, "03 Dec 2026, 12:00:00 UTC"),
        (ZoneInfo("Europe/Berlin"), "03 Dec 2026, 13:00:00 CET"),
        (ZoneInfo("Asia/Kathmandu"), "03 Dec 2026, 17:45:00 UTC+05:45"),
        (ZoneInfo("Pacific/Kiritimati"), "04 Dec 2026, 02:00:00 UTC+14:00"),
    ],
)
def test_a_time_in_a_sentence_is_on_the_readers_clock(zone: ZoneInfo, expected: str) -> None:
    assert spelled(f"late: {stamp(NOON)}.", zone) == f"late: {expected}."
    assert readable(NOON, zone) == expected


def test_the_name_of_a_zone_is_that_of_the_day() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert zone_name(NOON.astimezone(berlin)) == "CET"
    assert zone_name(NOON.replace(month=7).astimezone(berlin)) == "CEST"


@pytest.mark.parametrize(
    "text",
    [
        "manual__2026-12-03T12:00:00+00:00",  # the id of a run
        "2026-13-03T12:00:00.000000000Z",  # no time, typed by somebody
        "x2026-12-03T12:00:00.000000000Z",
        "2026-12-03T12:00:00Z",
    ],
)
def test_what_is_no_stamp_stays_as_it_is(text: str) -> None:
    assert spelled(text, ZoneInfo("Pacific/Kiritimati")) == text
    assert in_words(text) == text


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (timedelta(days=2, hours=3, minutes=59), "2 days 3 hours left"),
        (timedelta(days=1), "1 day left"),
        (timedelta(hours=1, minutes=1), "1 hour 1 minute left"),
        (timedelta(minutes=5, seconds=30), "5 minutes left"),
        (timedelta(seconds=30), "less than a minute left"),
        (timedelta(), "its time is over"),
        (timedelta(hours=-3), "its time is over"),
    ],
)
def test_the_time_left_is_said_in_two_units(left: timedelta, expected: str) -> None:
    assert time_left(NOON + left, NOON) == expected
