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
from airlock.services.chat_views import View

log = logging.getLogger("airlock.slack")

#: The chat's clock may be behind the database's by so much.
SKEW = timedelta(minutes=10)


class Speech:
    """Says things in one channel, in threads there, and directly."""

    def __init__(self, store: Store, chat: Chat, channel: str) -> None:
        self._store, self._chat, self._channel = store, chat, channel

    def show_card(self, view: View, said: ChatMessage, *, anew: bool = False) -> None:
        """Have the card of a release show this. *anew*: the one there was has gone."""
        key, shown = _card(view), _digest(said)
        known = self._begin(key, view)
        if known.spot is not None and known.content_digest == shown and not anew:
            return
        spot = known.spot
        if spot is not None and not anew:
            try:
                self._chat.update(spot, said)
            except Gone:
                anew = True
        if spot is None or anew:
            mark = f"{key}@{spot.ts}" if spot else key
            spot = self._post(mark, known, self._channel, said, change=True)
        self._end(key, spot, shown)

    def reply(self, key: str, view: View, said: ChatMessage) -> None:
        """Say something in the thread of a release's card.

        Raises:
            Gone: if there is no such thread any more.
        """
        with self._store.begin() as unit:
            card = unit.posted(_card(view))
        if card is not None and card.spot is not None:
            self._once(key, view, card.spot.channel, said, card.spot)

    def post(self, key: str, view: View, said: ChatMessage) -> None:
        """Say something in the channel."""
        self._once(key, view, self._channel, said)

    def direct(self, key: str, view: View, account: str, said: ChatMessage) -> None:
        """Say something to one account; who cannot be spoken to is left out."""
        mark = f"{key}/{account}"
        with self._store.begin() as unit:
            known = unit.posted(mark)
        if known is not None and known.spot is not None:
            return
        try:
            self._once(mark, view, self._chat.direct(account), said)
        except Refused as problem:
            log.warning("%s is not told directly: %s", account, problem.message)

    def _once(
        self, key: str, view: View, channel: str, said: ChatMessage, thread: Spot | None = None
    ) -> None:
        known = self._begin(key, view)
        if known.spot is None:
            self._end(key, self._post(key, known, channel, said, thread))

    def _post(
        self,
        key: str,
        known: Posted,
        channel: str,
        said: ChatMessage,
        thread: Spot | None = None,
        *,
        change: bool = False,
    ) -> Spot:
        """Post a message, unless an earlier try did; *change* that one to what is said now."""
        if known.begun_at:
            since = moment(known.begun_at) - SKEW
            found = self._chat.find(key, channel, since, thread=thread)
            if found is not None:
                if change:
                    self._chat.update(found, said)
                return found
        return self._chat.post(channel, said, thread=thread, key=key)

    def _begin(self, key: str, view: View) -> Posted:
        with self._store.begin() as unit:
            known = unit.begin_posting(key, view["id"])
            unit.commit()
        return known

    def _end(self, key: str, spot: Spot, shown: str = "") -> None:
        with self._store.begin() as unit:
            unit.end_posting(key, spot, shown)
            unit.commit()


def _card(view: View) -> str:
    return f"{view['id']}/card"


def _digest(said: ChatMessage) -> str:
    return digest_json([said.text, list(said.blocks)])
