"""The moments at which time-dependent parts are asked: 400 days, at the hours that went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: A Monday; 400 days hold 31 December 2027, 29 February 2028 and every change of the clocks.
FIRST_DAY = date(2027, 11, 29)
DAYS = 400
ZONES = (
    ZoneInfo("UTC"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Australia/Lord_Howe"),  # its clocks change by half an hour
    ZoneInfo("Pacific/Kiritimati"),  # +14
    ZoneInfo("Etc/GMT+12"),  # -12
)
#: The minute before and after midnight, and the hours around both changes of the clocks.
HOURS = (time(23, 59), time(0, 0), time(0, 1), time(1, 59), time(2, 30), time(3, 0))
#: Days on which every zone's hours are asked where each of the 400 would take too long.
SPECIAL = (
    date(2027, 11, 29),  # a Monday
    date(2027, 12, 31),
    date(2028, 1, 1),
    date(2028, 2, 29),
    date(2028, 3, 26),  # Berlin goes to summer time
    date(2028, 4, 2),  # Lord Howe goes to winter time
    date(2028, 10, 1),  # Lord Howe goes to summer time
    date(2028, 10, 29),  # Berlin goes to winter time
)


def days() -> Iterator[date]:
    """Every one of the 400 days."""
    return (FIRST_DAY + timedelta(days=number) for number in range(DAYS))


def moments(zone: ZoneInfo, of: Iterator[date] | tuple[date, ...] = SPECIAL) -> Iterator[datetime]:
    """Every hour of HOURS on some days, on the clock of a zone, as UTC."""
    for day in of:
        for hour in HOURS:
            yield datetime.combine(day, hour, zone).astimezone(UTC)
