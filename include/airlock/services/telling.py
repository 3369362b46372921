"""What leaves the database when a release has moved, and how we know that it arrived.

Each place a release reaches (state, round, level) is told once: `wake` for the task that waits,
`note` for the run. A level counts as told when one of its notes has been delivered.
"""

from __future__ import annotations

import json

from airlock.domain.release import Release
from airlock.ports import UnitOfWork

#: kind, key, payload as JSON
Letter = tuple[str, str, str]


def place(release: Release) -> str:
    """Return where a release is, as part of a key."""
    return f"{release.state.value}-{release.round}-{release.level}"


def tell(unit: UnitOfWork, release: Release) -> None:
    """Let Airflow know, once per place the release has reached."""
    unit.post_all(letters(release))


def letters(release: Release) -> list[Letter]:
    """Return the messages about the place a release has reached."""
    payload = json.dumps({"release": release.id})
    return [(kind, f"{release.id}/{kind}/{place(release)}", payload) for kind in ("wake", "note")]


def notice(release: Release, about: str, number: int) -> Letter:
    """Return the message that a level still waits; whom it is for is settled on delivery."""
    payload = {"release": release.id, "about": about, "level": release.level}
    key = f"{release.id}/notify/{place(release)}-{about}-{number}"
    return ("notify", key, json.dumps(payload, sort_keys=True))


def told_by(release: Release) -> tuple[str, ...]:
    """Return the keys of which one must have arrived for the open level to count as told."""
    first = release.level == 1 and release.round == 1
    return (f"{release.id}/note/{place(release)}", *([f"{release.id}/note/opened"] * first))
