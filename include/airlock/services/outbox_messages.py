"""What leaves the database when a release has moved, and how we know that it arrived.

Each place a release reaches (state, round, level) is told once: `wake` for the task that waits,
`note` for the run. A level counts as told when one of its notes has been delivered.

Whatever is said of a release is said twice, each to a place of its own: `note` and `notify` to the
run in Airflow, `chat` to the chat. Neither waits for the other; the chat's keep their release's
order.
"""

from __future__ import annotations

import json
from typing import Any

from airlock.domain.approval.release import Release
from airlock.ports import CHAT, UnitOfWork

#: kind, key, payload as JSON
Letter = tuple[str, str, str]


def place(release: Release) -> str:
    """Return where a release is, as part of a key."""
    return f"{release.state.value}-{release.round}-{release.level}"


def tell(unit: UnitOfWork, release: Release) -> None:
    """Let Airflow and the chat know, once per place the release has reached."""
    unit.post_all(letters(release))


def letters(release: Release) -> list[Letter]:
    """Return the messages about the place a release has reached."""
    at = place(release)
    wake = ("wake", f"{release.id}/wake/{at}", json.dumps({"release": release.id}))
    return [wake, *noted(release.id, at)]


def noted(release_id: str, suffix: str) -> list[Letter]:
    """Return the messages that a release has moved; their text is rendered on delivery."""
    return _both("note", release_id, suffix, {})


def aloud(release_id: str, suffix: str, **fields: Any) -> list[Letter]:
    """Return the messages of a one-time announcement.

    *fields*: `text` is the sentence and `people` are its recipients, unless both are settled
    on delivery; `about` is its kind.
    """
    return _both("notify", release_id, suffix, fields)


def redrawn(release_id: str, suffix: str) -> list[Letter]:
    """Return the message that redraws the card of a release, without further words."""
    payload = json.dumps({"release": release_id})
    return [(CHAT, f"{release_id}/{CHAT}/redraw-{suffix}", payload)]


def _both(kind: str, release_id: str, suffix: str, fields: dict[str, Any]) -> list[Letter]:
    payload = json.dumps({"release": release_id, **fields}, sort_keys=True)
    return [
        (message_kind, f"{release_id}/{message_kind}/{suffix}", payload)
        for message_kind in (kind, CHAT)
    ]


def notice(release: Release, about: str, number: int) -> list[Letter]:
    """Return the messages that a level still waits; recipients are settled on delivery."""
    suffix = f"{place(release)}-{about}-{number}"
    return aloud(release.id, suffix, about=about, level=release.level, number=number)


def told_by(release: Release) -> tuple[str, ...]:
    """Return the keys of which one must have arrived for the open level to count as told."""
    first = release.level == 1 and release.round == 1
    places = (place(release), *(["opened"] * first))
    return tuple(f"{release.id}/{kind}/{at}" for at in places for kind in ("note", CHAT))
