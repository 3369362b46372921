"""Deadlines: from when a level opened to when somebody is reminded and when it is over.

Rules:
* A span is counted on a clock of the policy's choice. The *wall* clock counts every hour: 72 h
  after Friday noon is Monday noon, whatever a time zone did in between. The *business* clock
  counts the working time of one place: working days, from opening to closing time, no holidays.
* Working time is real time: on the day the clocks change, a window that loses an hour counts one
  hour less. Opening and closing are read on the clock of the place, everything else is UTC.
* A span that ends at closing time ends then, not the next morning: never later than promised.
* Holidays are dates in the policy document, so that a deadline can be computed again years later
  from what was registered, without the library that knew them.

No clock is read here; everything follows from the times given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from airlock.domain.errors import Invalid

#: A business clock that finds no working time in so many days will never find any.
LONGEST_DAYS = 3660
MONDAY_TO_FRIDAY = (0, 1, 2, 3, 4)


class Clock(Protocol):
    """Something a span of hours is counted on."""

    def after(self, start: datetime, span: timedelta) -> datetime:
        """Return the moment when *span* has passed since *start*, in UTC."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """Every hour counts."""

    def after(self, start: datetime, span: timedelta) -> datetime:
        """Return the moment when *span* has passed since *start*, in UTC."""
        return start.astimezone(UTC) + span


@dataclass(frozen=True, slots=True)
class BusinessClock:
    """Only the working time of one place counts; hours are minutes since midnight there."""

    zone: ZoneInfo
    opens: int = 9 * 60
    closes: int = 17 * 60
    weekdays: tuple[int, ...] = MONDAY_TO_FRIDAY
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= 24 * 60 or not self.weekdays:
            raise Invalid("a business clock needs working days, and has to open before it closes")

    def after(self, start: datetime, span: timedelta) -> datetime:
        """Return the moment when *span* of working time has passed since *start*, in UTC.

        Raises:
            Invalid: if there is no working time to be found.
        """
        left = span
        for opens, closes in self._windows(start):
            begins = max(opens, start.astimezone(UTC))
            if closes - begins >= left:
                return begins + left
            left -= max(closes - begins, timedelta())
        raise Invalid(f"no {span} of working time in {LONGEST_DAYS} days after {start}")

    def _windows(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Working time from the day of *start* on, each window not closed before *start*."""
        first = start.astimezone(self.zone).date()
        for days in range(LONGEST_DAYS):
            day = first + timedelta(days=days)
            if day.weekday() not in self.weekdays or day in self.holidays:
                continue
            opens, closes = self._at(day, self.opens), self._at(day, self.closes)
            if closes >= start:
                yield opens, closes

    def _at(self, day: date, minutes: int) -> datetime:
        days, rest = divmod(minutes, 24 * 60)
        local = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), self.zone)
        return local.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What time does to the releases of one tier.

    *remind*: when an unanswered level is said aloud; *repeat*: again and again after as long;
    *escalate*: from the first reminder on the superior may stand in; *expire*: when it is over;
    *unused*: how long an approval may wait for its promotion (always on the wall clock).
    """

    clock: Clock = WallClock()
    remind: timedelta = timedelta(hours=72)
    repeat: bool = True
    escalate: bool = False
    expire: timedelta = timedelta(hours=216)
    unused: timedelta = timedelta(days=14)

    def reminders(self, opened: datetime) -> tuple[datetime, ...]:
        """Return when an unanswered level is said aloud, all of it before it is over."""
        most = -(-self.expire // self.remind) - 1 if self.repeat else 1
        return tuple(self.clock.after(opened, self.remind * (n + 1)) for n in range(most))

    def deadline(self, opened: datetime) -> datetime:
        """Return when an unanswered level is over."""
        return self.clock.after(opened, self.expire)


#: What holds where a policy says nothing: the mandated 72 h and 48 h, on the wall clock.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "high": {"remindHours": 72, "repeat": True, "escalate": False, "expireHours": 216},
    "medium": {"remindHours": 48, "repeat": False, "escalate": True, "expireHours": 168},
    "low": {"remindHours": 48, "repeat": False, "escalate": True, "expireHours": 168},
}


def timing(approval: Mapping[str, Any], tier: str) -> Timing:
    """Build the timing of a tier from the approval policy's `spec`."""
    timers = {**DEFAULTS[tier], **approval["tiers"][tier].get("timers", {})}
    return Timing(
        clock=clock(approval.get("clock", {})),
        remind=timedelta(hours=timers["remindHours"]),
        repeat=timers["repeat"],
        escalate=timers["escalate"],
        expire=timedelta(hours=timers["expireHours"]),
        unused=timedelta(hours=approval["grantHours"]),
    )


def clock(document: Mapping[str, Any]) -> Clock:
    """Build a clock from its policy document; none is the wall clock."""
    if document.get("kind", "wall") == "wall":
        return WallClock()
    hours = document.get("hours", {})
    return BusinessClock(
        ZoneInfo(document["timeZone"]),
        minutes(hours.get("from", "09:00")),
        minutes(hours.get("to", "17:00")),
        holidays=frozenset(date.fromisoformat(day) for day in document.get("holidays", ())),
    )


def minutes(text: str) -> int:
    """Return `HH:MM` as minutes since midnight; `24:00` is the end of a day."""
    hours, _, rest = text.partition(":")
    return int(hours) * 60 + int(rest)
