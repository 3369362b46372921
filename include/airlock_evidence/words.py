"""How times, numbers and digests are written for people; the same on every machine."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

#: How something that is not there looks.
NONE = "\u2013"
_STAMPED = re.compile(r"(?<![\w.])2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def moment(text: str) -> datetime:
    """Return a time of the log, or one in ISO form with its zone.

    Raises:
        ValueError: if it is neither.
    """
    if text.endswith("Z") and len(text) == 30:
        return datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return parsed.astimezone(timezone.utc)


def in_words(text: str) -> str:
    """Return a text with every time of the log in it as people read it."""

    def readable(match: re.Match[str]) -> str:
        try:
            return when(match[0])
        except ValueError:  # somebody wrote what only looks like a time
            return match[0]

    return _STAMPED.sub(readable, text)


def seconds(text: str) -> float:
    """Return a time of the log in seconds since 1970."""
    return moment(text).timestamp()


def when(text: str) -> str:
    """Return a time for people, to the second, in UTC."""
    return spelled(moment(text))


def since_1970(at: int) -> str:
    """Return a time in seconds since 1970 for people."""
    return spelled(datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=at))


def spelled(at: datetime) -> str:
    """Return a UTC time for people; month names never depend on the machine."""
    return f"{at.day:02d} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M:%S} UTC"


def span(start: str, end: str) -> str:
    """Return how long it took from one time of the log to another."""
    left = max(0, int((moment(end) - moment(start)).total_seconds()))
    days, left = divmod(left, 86_400)
    hours, left = divmod(left, 3_600)
    minutes, left = divmod(left, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    words = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(words[:2]) or "under 1 s"


def number(value: Any) -> str:
    """Return a number: four significant digits, thousands apart."""
    if value is None or isinstance(value, (str, list, dict)):
        return NONE if value is None else str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def short(digest: str) -> str:
    """Return the first twelve hex digits, for people; never for comparing."""
    return digest.replace("sha256:", "", 1)[:12]


def apart(name: str) -> str:
    """Return CamelCase, snake_case or kebab-case as words."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ")
    return words.lower()


def optional(text: str | None) -> str:
    """Return a text, or the sign for none."""
    return text if text else NONE
