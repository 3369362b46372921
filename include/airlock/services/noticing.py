"""What a notice says, and whom it is for: settled when it is delivered, with the rights of then.

A level that waits is said aloud to those who may answer it. From the second authority on it
depends on the tier: where levels follow, the next one hears of it too, and always the requester.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.people import holders
from airlock.domain.release import Release, State
from airlock.domain.rules import Holders
from airlock.domain.voting import may_answer
from airlock.ports import UnitOfWork
from airlock.services.planning import plan_of


def text(unit: UnitOfWork, release: Release, about: Mapping[str, Any]) -> str:
    """Return the sentence of a notice, or nothing if the release has moved on since."""
    if "text" in about:  # said in full when it was posted
        return str(about["text"])
    if release.state is not State.AWAITING_APPROVAL or release.level != about.get("level"):
        return ""
    plan = plan_of(unit, release)
    able = holders(unit.people())
    approvers = ", ".join(may_answer(release, plan, able)) or "nobody who is active"
    level = plan.levels[release.level - 1]
    status = (
        "could not be told to anybody in time"
        if about["about"] == "delivery"
        else f"still waits, opened {release.level_opened_at}"
    )
    informed = ", ".join(_informed(release, plan.levels, able))
    return (
        f"{release.id}: level {release.level} ({level.name}) {status}. May answer: {approvers}. "
        f"Informed: {informed}."
    )


def _informed(release: Release, levels: tuple[Any, ...], able: Holders) -> list[str]:
    """Return the requester and whoever could answer at the next level."""
    following = levels[release.level].rules if release.level < len(levels) else ()
    authority = {
        person
        for person, roles in able.items()
        if any(rule.fits(person, roles) for rule in following)
    }
    return [release.requester, *sorted(authority - {release.requester})]
