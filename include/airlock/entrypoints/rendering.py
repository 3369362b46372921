"""Templates and how values look on a page: numbers, digests, times, words. No data access."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airlock.domain.digest import short
from airlock.domain.figures import NONE as NONE
from airlock.domain.figures import change as change
from airlock.domain.figures import number as number
from airlock.entrypoints.sentences import is_consequence, sentence

_TEMPLATES = Path(__file__).parent / "web" / "templates"

_STATES = {
    "REQUESTED": "requested",
    "BLOCKED": "blocked by a gate",
    "AWAITING_APPROVAL": "awaiting approval",
    "APPROVED": "approved",
    "PROMOTING": "being promoted",
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
    "PROMOTING": "wait",
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


def moment(value: Any) -> tuple[str, str]:
    """Return (machine, people) spellings of a UTC time."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return text, text
    utc = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return utc.isoformat(timespec="seconds"), utc.strftime("%d %b %Y, %H:%M:%S UTC")
