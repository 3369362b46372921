"""The parts of an ApprovalPolicy that are about time: each tier's timers, and the clock.

Rules:
* What a tier does not say is as mandated: 72 h and three times that for high, 48 h and seven days
  for medium and low. It can be said otherwise, but a release always expires.
* The wall clock needs no settings. The business clock needs a time zone, and a country only
  together with the years to look up: its holidays become dates of this policy, and so part of its
  digest. A day outside those years counts as a working day, so a deadline never comes later.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from airlock.config.problems import show
from airlock.config.schemas import Items, Line, Strict, Trouble, refuse, settle, unknown
from airlock.domain.approval.calendar import DEFAULTS, minutes

#: The longest anything may be told to wait: a year of hours.
LONGEST = 24 * 366
_HOURS = Field(ge=1, le=LONGEST)


class Timers(Strict):
    """When an unanswered level is said aloud, and when it is over; hours on the policy's clock."""

    remind_hours: Annotated[int, _HOURS] | None = None
    repeat: bool | None = None
    escalate: bool | None = None
    expire_hours: Annotated[int, _HOURS] | None = None


def filled(timers: Timers | None, tier: str) -> Timers:
    """Return the timers of a tier, with the mandated times where the policy sets none."""
    overrides: dict[str, Any] = (
        timers.model_dump(by_alias=True, exclude_none=True) if timers else {}
    )
    complete = Timers.model_validate({**DEFAULTS[tier], **overrides})
    remind, expire = complete.remind_hours or 0, complete.expire_hours or 0
    if remind >= expire:
        expected = f"fewer hours than until it expires ({expire})"
        refuse(Trouble(("timers", "remindHours"), expected, str(remind)))
    return complete


def _time(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", text):
        refuse(Trouble((), 'a time of day such as "09:00", in quotes', show(text)))
    return text


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        refuse(Trouble((), 'a date such as "2026-12-24", in quotes', show(text)))
    return text


Time = Annotated[str, AfterValidator(_time)]
Day = Annotated[str, AfterValidator(_day)]


class Hours(Strict):
    """When work begins and ends, on the clock of the place."""

    begin: Annotated[Time, Field(alias="from")] = "09:00"
    end: Annotated[Time, Field(alias="to")] = "17:00"

    @model_validator(mode="after")
    def _check(self) -> Hours:
        if minutes(self.begin) >= minutes(self.end):
            refuse(Trouble(("to",), f"a time after {self.begin}", self.end))
        return self


class Years(Strict):
    """The years whose public holidays are looked up, both included."""

    first: Annotated[int, Field(ge=2000, le=2100)]
    last: Annotated[int, Field(ge=2000, le=2100)]

    @model_validator(mode="after")
    def _check(self) -> Years:
        if not self.first <= self.last <= self.first + 20:
            expected = f"a year from {self.first} to {self.first + 20}"
            refuse(Trouble(("last",), expected, str(self.last)))
        return self


class Clock(Strict):
    """What hours are counted on."""

    kind: Literal["wall", "business"] = "wall"
    time_zone: Line | None = None
    hours: Hours | None = None
    country: Line | None = None
    subdivision: Line | None = None
    years: Years | None = None
    holidays: Items[Day] | None = None

    @model_validator(mode="after")
    def _check(self) -> Clock:
        keys = [key for key in self.model_fields_set if getattr(self, key) is not None]
        if self.kind == "wall" and set(keys) - {"kind"}:
            refuse(Trouble(("kind",), "business, since there are settings for it", "wall"))
        if self.kind == "business" and self.time_zone not in available_timezones():
            expected = "an IANA time zone such as Europe/Berlin"
            refuse(Trouble(("timeZone",), expected, show(self.time_zone)))
        if (self.country is None) != (self.years is None):
            refuse(Trouble(("country",), "a country together with years", "only one of them"))
        settle(_place_troubles(self.country, self.subdivision))
        return self


def _place_troubles(country: str | None, subdivision: str | None) -> list[Trouble]:
    from airlock.adapters.holiday_calendar import countries

    if country is None:
        expected = "no subdivision without a country"
        return [Trouble(("subdivision",), expected, subdivision)] if subdivision else []
    divisions = countries()
    if country not in divisions:
        return [unknown(("country",), country, divisions, "a country's two letters, one of")]
    if subdivision is not None and subdivision not in divisions[country]:
        return [unknown(("subdivision",), subdivision, divisions[country], f"a part of {country}:")]
    return []


def resolved(clock: Clock) -> Clock:
    """Return the clock with its hours and with every holiday as a date."""
    if clock.kind == "wall":
        return clock
    days = {date.fromisoformat(day) for day in clock.holidays or ()}
    if clock.country is not None and clock.years is not None:
        from airlock.adapters.holiday_calendar import public_holidays

        years = range(clock.years.first, clock.years.last + 1)
        days.update(public_holidays(clock.country, clock.subdivision, years))
    dates = tuple(day.isoformat() for day in sorted(days))
    return clock.model_copy(update={"holidays": dates, "hours": clock.hours or Hours()})
