"""The zone of whoever reads a page: chosen once, kept in a cookie, used by every page and form.

No script runs on the pages, so a browser cannot say where it is; until its user has, times are
shown and typed in UTC. Whatever is shown says its zone. It changes how times look, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from airlock.domain.clock import zone_name

COOKIE = "airlock_zone"
_AREAS = frozenset(
    ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe",
     "Indian", "Pacific")
)  # fmt: skip
_reader: ContextVar[tzinfo] = ContextVar("reader_zone", default=UTC)


@cache
def zones() -> tuple[str, ...]:
    """Return the zones people can choose from, UTC first."""
    places = (name for name in available_timezones() if name.partition("/")[0] in _AREAS)
    return ("UTC", *sorted(places))


def zone_called(name: str) -> tzinfo:
    """Return a zone by its name; UTC for whatever is none."""
    return ZoneInfo(name) if name != "UTC" and name in zones() else UTC


def reader_zone() -> tzinfo:
    """Return the zone of whoever reads what is made now."""
    return _reader.get()


def reader_zone_name(at: datetime | None = None) -> str:
    """Return what that zone is called now, or at a time."""
    return zone_name((at or datetime.now(UTC)).astimezone(reader_zone()))


@contextmanager
def read_in(zone: tzinfo) -> Iterator[None]:
    """Make pages for somebody in *zone* until the block ends."""
    before = _reader.set(zone)
    try:
        yield
    finally:
        _reader.reset(before)
