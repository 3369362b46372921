"""Templates and how values look on a page: numbers, digests, times, words. No data access."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from airlock.domain.clock import readable, spelled, time_left
from airlock.domain.digest import short
from airlock.domain.number_format import change, number
from airlock.entrypoints.presentation.audit_event_text import is_consequence, sentence
from airlock.entrypoints.presentation.time_zones import reader_zone

_TEMPLATES = Path(__file__).parents[1] / "web" / "templates"

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
    """Return the templates: everything escaped, an unknown name is an error.

    Times inside sentences are put on the reader's clock, whoever wrote the sentence.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_spell_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        short=short,
        sentence=sentence,
        moment=moment,
        minute=lambda value: moment(value, seconds=False),
        time_left=lambda value: time_left(_parsed(value), datetime.now(UTC)),
        state_words=lambda state: _STATES.get(state, state.lower()),
        tone=lambda state: _TONES.get(state, "calm"),
        words=lambda name: name.replace("-", " ").replace("_", " "),
        change=change,
    )
    environment.tests["consequence"] = is_consequence
    return environment


def _spell_value(value: Any) -> Any:
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return spelled(value, reader_zone()) if plain else value


def moment(value: Any, *, seconds: bool = True) -> tuple[str, str]:
    """Return (machine, people) spellings of a time: in UTC, and on the reader's clock."""
    try:
        at = _parsed(value)
        return at.isoformat(timespec="seconds"), readable(at, reader_zone(), seconds)
    except (ValueError, OverflowError):
        return str(value), str(value)


def _parsed(value: Any) -> datetime:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
