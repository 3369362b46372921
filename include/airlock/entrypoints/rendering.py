"""Templates and how values look on a page: numbers, digests, times, words. No data access."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airlock.domain.digest import short
from airlock.entrypoints.sentences import is_consequence, sentence

#: How a number that is not there looks.
NONE = "\N{EN DASH}"

_TEMPLATES = Path(__file__).parent / "web" / "templates"

_STATES = {
    "REQUESTED": "requested",
    "BLOCKED": "blocked by a gate",
    "AWAITING_APPROVAL": "awaiting approval",
    "APPROVED": "approved",
    "PROMOTED": "promoted",
    "REJECTED": "rejected",
    "WITHDRAWN": "withdrawn",
    "SUPERSEDED": "superseded",
    "EXPIRED": "expired",
    "ROLLED_BACK": "rolled back",
}
_TONES = {
    "AWAITING_APPROVAL": "wait",
    "REQUESTED": "wait",
    "APPROVED": "good",
    "PROMOTED": "good",
    "BLOCKED": "bad",
    "REJECTED": "bad",
    "EXPIRED": "bad",
}


@cache
def templates() -> Environment:
    """Return the templates: everything escaped, an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        short=short,
        sentence=sentence,
        moment=moment,
        state_words=lambda state: _STATES.get(state, state.lower()),
        tone=lambda state: _TONES.get(state, "calm"),
        words=lambda name: name.replace("-", " ").replace("_", " "),
        change=change,
    )
    environment.tests["consequence"] = is_consequence
    return environment


def number(value: float | None) -> str:
    """Return a number as people read it: four significant digits, thousands apart."""
    if value is None:
        return NONE
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def moment(value: Any) -> tuple[str, str]:
    """Return (machine, people) spellings of a UTC time."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return text, text
    utc = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return utc.isoformat(timespec="seconds"), utc.strftime("%d %b %Y, %H:%M:%S UTC")


def change(metric: dict[str, Any]) -> tuple[str, str]:
    """Return (tone, words) for a candidate's metric against the champion's."""
    candidate, champion = metric["candidate"], metric["champion"]
    if candidate is None or champion is None:
        return "calm", NONE
    difference = candidate - champion
    if metric["direction"] is None:
        return "calm", f"{difference:+.4g}"
    if difference == 0:
        return "calm", "the same"
    better = (difference > 0) == (metric["direction"] == "higher")
    return (
        ("good", f"{difference:+.4g}, better") if better else ("bad", f"{difference:+.4g}, worse")
    )
