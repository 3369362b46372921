"""The inboxes people have in the chat, shown anew when something in them may have changed.

A release that moved concerns whoever may answer it, could have before, or has voted. What is not
shown because the chat did not answer is shown later; what is lost with the process is drawn again
when its owner opens the inbox.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from airlock.domain.errors import Refused
from airlock.ports import Store
from airlock.ports.chat import Chat
from airlock.services.notifications.inbox import inbox
from airlock.services.notifications.views import View

log = logging.getLogger("airlock.slack")

#: Inboxes shown before messages are delivered again.
MOST = 5

Draw = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Homes:
    """Which inboxes are to be shown anew."""

    def __init__(self, store: Store, chat: Chat, draw: Draw, public_url: str) -> None:
        self._store, self._chat, self._draw, self._public_url = store, chat, draw, public_url
        self._stale: dict[str, str] = {}
        self._last_problem = ""

    def touch(self, view: View) -> None:
        """Note that a release has moved."""
        accounts = view["accounts"]
        self._stale |= {
            person: accounts[person] for person in view["concerned"] if person in accounts
        }

    def publish(self) -> None:
        """Show some of the inboxes that may have changed.

        Raises:
            Unreachable: if the chat did not answer; what is left is shown next time.
        """
        for person in list(self._stale)[:MOST]:
            home = self._draw(inbox(self._store, person, self._public_url))
            try:
                self._chat.show_home(self._stale[person], home)
            except Refused as problem:
                if problem.message != self._last_problem:
                    log.warning("%s's inbox is not shown: %s", person, problem.message)
                self._last_problem = problem.message
            del self._stale[person]
