"""One release as somebody in the chat asks about it: for a form, or as an answer to a command."""

from __future__ import annotations

from typing import Any

from airlock.domain.people import Actor
from airlock.domain.timers import deadline
from airlock.ports import Keyring, Store
from airlock.services import reading
from airlock.services.chat_inbox import page_of
from airlock.services.planning import plan_of


def asked(
    store: Store, keyring: Keyring, release_id: str, actor: Actor, public_url: str, team: str
) -> dict[str, Any]:
    """Return a release as *actor* sees it, with what messages need besides.

    Raises:
        NotFound: if there is no such release.
    """
    with store.begin() as unit:
        release = unit.get(release_id)
        plan = plan_of(unit, release)
        links = unit.links().values()
        more = {
            "deadline": deadline(release, plan.timing),
            "slackMayAnswer": plan.slack_may_answer,
            "accounts": {one.person: one.account for one in links if one.team == team},
            "names": {person.id: person.name for person in unit.people()},
            "page": page_of(public_url, release_id),
        }
    return {**reading.show(store, keyring, release_id, actor), **more}
