"""How a time is written: UTC, nine fractional digits, ending in Z; it sorts as it reads.

Sentences hold times as `stamp` writes them, so that nothing is lost in the log; whoever shows a
sentence to people passes it through `spelled` first, which puts them on the reader's clock.

The clock itself is the database's; nothing in the domain reads one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

#: A time as `stamp` writes it, wherever it stands in a text.
_STAMPED = re.compile(r"(?<![\w.])2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def stamp(at: datetime) -> str:
    """Write an aware time as `2026-11-21T09:30:00.123456000Z`.

    Raises:
        ValueError: if *at* has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("a time without a zone is not a time")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def moment(text: str) -> datetime:
    """Read back what `stamp` wrote, to the microsecond."""
    return datetime.fromisoformat(text[:-4] + "+00:00")


def readable(at: datetime, zone: tzinfo | None = UTC, seconds: bool = True) -> str:
    """Return an aware time for people, with its zone; None is the zone of this machine."""
    here = at.astimezone(zone)
    return here.strftime(f"%d %b %Y, %H:%M{':%S' if seconds else ''} ") + zone_name(here)


def zone_name(at: datetime) -> str:
    """Return what the zone of an aware time is called then, such as CET or UTC+05:45."""
    name = at.strftime("%Z")
    return name if name[:1].isalpha() else f"UTC{at.isoformat(timespec='minutes')[-6:]}"


def spelled(text: str, zone: tzinfo | None = UTC) -> str:
    """Return a text for people: every stamp in it on the clock of *zone*, with the zone."""

    def localize(match: re.Match[str]) -> str:
        try:
            return readable(moment(match[0]), zone)
        except (ValueError, OverflowError):  # somebody wrote what only looks like a time
            return match[0]

    return _STAMPED.sub(localize, text)


def time_left(until: datetime, now: datetime) -> str:
    """Say how long it is until a time: the two largest units, or that it is over."""
    minutes = (until - now) // timedelta(minutes=1)
    if minutes < 1:
        return "less than a minute left" if until > now else "its time is over"
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    counts = ((days, "day"), (hours, "hour"), (minutes, "minute"))
    first = next(place for place, (n, _) in enumerate(counts) if n)
    units = [f"{n} {word}{'s' if n != 1 else ''}" for n, word in counts[first : first + 2] if n]
    return f"{' '.join(units)} left"
