"""Posting each thing once: noted before it is sent, looked for if it may have been sent.

A message is known by its key, which goes with it. Where a card could not be changed because it has
gone, the one that takes its place has a key of its own, or the old one would be found.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from airlock.domain.clock import moment
from airlock.domain.digest import digest_json
from airlock.domain.errors import Refused
from airlock.ports import Posted, Spot, Store
from airlock.ports.chat import Chat, ChatMessage, Gone
from airlock.services.notifications.views import View

log = logging.getLogger("airlock.slack")

#: The chat's clock may be behind the database's by so much.
SKEW = timedelta(minutes=10)


class Speech:
    """Says things in one channel, in threads there, and directly."""

    def __init__(self, store: Store, chat: Chat, channel: str) -> None:
        self._store, self._chat, self._channel = store, chat, channel

    def show_card(self, view: View, message: ChatMessage, *, anew: bool = False) -> None:
        """Show *message* as the card of a release. *anew*: the earlier card is gone."""
        key, content_digest = _card(view), _digest(message)
        posted = self._begin(key, view)
        if posted.spot is not None and posted.content_digest == content_digest and not anew:
            return
        spot = posted.spot
        if spot is not None and not anew:
            try:
                self._chat.update(spot, message)
            except Gone:
                anew = True
        if spot is None or anew:
            mark = f"{key}@{spot.ts}" if spot else key
            spot = self._post(mark, posted, self._channel, message, change=True)
        self._end(key, spot, content_digest)

    def reply(self, key: str, view: View, message: ChatMessage) -> None:
        """Post *message* in the thread of a release's card.

        Raises:
            Gone: if there is no such thread any more.
        """
        with self._store.begin() as unit:
            card = unit.posted(_card(view))
        if card is not None and card.spot is not None:
            self._once(key, view, card.spot.channel, message, card.spot)

    def post(self, key: str, view: View, message: ChatMessage) -> None:
        """Post *message* in the channel."""
        self._once(key, view, self._channel, message)

    def direct(self, key: str, view: View, account: str, message: ChatMessage) -> None:
        """Send *message* to one account; skip an account that cannot be reached."""
        mark = f"{key}/{account}"
        with self._store.begin() as unit:
            posted = unit.posted(mark)
        if posted is not None and posted.spot is not None:
            return
        try:
            self._once(mark, view, self._chat.direct(account), message)
        except Refused as problem:
            log.warning("%s is not told directly: %s", account, problem.message)

    def _once(
        self, key: str, view: View, channel: str, message: ChatMessage, thread: Spot | None = None
    ) -> None:
        posted = self._begin(key, view)
        if posted.spot is None:
            self._end(key, self._post(key, posted, channel, message, thread))

    def _post(
        self,
        key: str,
        posted: Posted,
        channel: str,
        message: ChatMessage,
        thread: Spot | None = None,
        *,
        change: bool = False,
    ) -> Spot:
        """Post a message, unless an earlier try did; *change* that one to *message*."""
        if posted.begun_at:
            since = moment(posted.begun_at) - SKEW
            spot = self._chat.find(key, channel, since, thread=thread)
            if spot is not None:
                if change:
                    self._chat.update(spot, message)
                return spot
        return self._chat.post(channel, message, thread=thread, key=key)

    def _begin(self, key: str, view: View) -> Posted:
        with self._store.begin() as unit:
            posted = unit.begin_posting(key, view["id"])
            unit.commit()
        return posted

    def _end(self, key: str, spot: Spot, content_digest: str = "") -> None:
        with self._store.begin() as unit:
            unit.end_posting(key, spot, content_digest)
            unit.commit()


def _card(view: View) -> str:
    return f"{view['id']}/card"


def _digest(message: ChatMessage) -> str:
    return digest_json([message.text, list(message.blocks)])
