"""How a time is written: UTC, nine fractional digits, ending in Z; it sorts as it reads.

The clock itself is the database's; nothing in the domain reads one.
"""

from __future__ import annotations

from datetime import UTC, datetime


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
