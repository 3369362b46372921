"""Saying in the chat what the database decided: one card per release, and what is said besides.

Rules:
* A card is drawn from the state of now, never from the message that asks for it. It is changed
  only if it would look different; one that was deleted is posted anew.
* Of each release messages go out in order, one after the other. Each thing is said once: it is
  noted as begun before it is sent and as posted after; begun but not posted (a crash, a time-out)
  is looked for in the chat before it is sent again.
* What was to be said of a place the release has left is not said any more: the card tells it.
* Too much at once: the chat says how long everything waits. No answer: one message waits longer
  and longer, and after two in a row so does everything; for ever, nothing is given up.
* Not taken at all (token, channel): everything waits and is tried slowly, and the second channel
  says so (`delivery_failure_alert`). One message not taken: given up, with its error in the
  release's log.

Whatever is said here decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airlock.domain.approval.release import State
from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.ports import Keyring, Message, Store
from airlock.ports.chat import Busy, Chat, ChatMessage, Closed, Gone
from airlock.services import outbox_messages
from airlock.services.notifications import delivery_failure_alert
from airlock.services.notifications.app_home import Homes
from airlock.services.notifications.outbox_relay import report
from airlock.services.notifications.publisher import Speech
from airlock.services.notifications.views import View
from airlock.services.notifications.views import view_of as view_of

log = logging.getLogger("airlock.slack")

#: Messages delivered before the process looks after everything else again.
MOST = 50
#: Nobody else takes a message for so long; a message can be many requests.
CLAIM_S = 120.0
#: How long everything waits where nothing is taken.
SLOW_S = 60.0
LONGEST_PAUSE_S = 300.0
#: How long everything waits after an inbox got no answer.
HOMES_WAIT_S = 5.0
#: More releases than this are open nowhere.
_EVERY = 100_000


@dataclass(frozen=True, slots=True)
class Drawing:
    """How things look: each draws what is said from a view of the release."""

    card: Callable[[View], ChatMessage]
    moved: Callable[[View], ChatMessage]
    reminder: Callable[[View, str], ChatMessage]
    escalation: Callable[[View, str], ChatMessage]
    spoken: Callable[[View, str, Sequence[str], str], ChatMessage]
    home: Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where is spoken: the channel, whose accounts count, whom the second channel reaches."""

    channel: str
    team: str = ""
    public_url: str = ""
    alert_mail: str = ""


class Speaker:
    """Delivers the chat's messages."""

    def __init__(
        self, store: Store, keyring: Keyring, chat: Chat, drawing: Drawing, where: Where
    ) -> None:
        self._store, self._keyring, self._where, self._drawing = store, keyring, where, drawing
        self._speech = Speech(store, chat, where.channel)
        self._homes = Homes(store, chat, drawing.home, where.public_url)
        self._quiet_until: datetime | None = None
        self._failed, self._strikes, self._away = 0, 0, ""

    @property
    def away(self) -> str:
        """Why nothing is taken at the moment; empty: it is, as far as is known."""
        return self._away

    def run(self) -> int:
        """Deliver what is due; return how many messages were settled for good.

        Raises:
            Unreachable: if Airlock's own database did not answer.
        """
        settled = 0
        for _ in range(MOST):
            message = self._next()
            if message is None:
                break
            settled += self._deliver(message)
        self._show_homes()
        return settled

    def catch_up(self) -> int:
        """Ask for a card for every open release that has none; return how many that were."""
        open_now = [state for state in State if state.is_open]
        with self._store.begin() as unit:
            lacking = [
                release.id
                for release in reversed(unit.find(states=open_now, limit=_EVERY))
                if unit.posted(f"{release.id}/card") is None
            ]
            for release_id in lacking:
                unit.post_all(outbox_messages.redrawn(release_id, "catch-up"))
            unit.commit()
        return len(lacking)

    def _next(self) -> Message | None:
        with self._store.begin() as unit:
            if self._quiet_until is not None and unit.now() < self._quiet_until:
                return None
            self._quiet_until = None
            messages = unit.claim(1, CLAIM_S, chat=True)
            unit.commit()
        return messages[0] if messages else None

    def _deliver(self, message: Message) -> int:
        try:
            self._say(message)
        except Busy as problem:
            return self._later(message, problem.message, problem.seconds, all_for=problem.seconds)
        except Unreachable as problem:
            return self._no_answer(message, problem)
        except Closed as problem:
            delivery_failure_alert.closed(self._store, message, problem, self._where.alert_mail)
            self._gone_away(problem.message)
            return self._later(message, problem.message, SLOW_S, all_for=SLOW_S)
        except Refused as problem:
            self._settle(message, problem.message)
        except AirlockError:
            raise  # not about this message: something is not set up
        except Exception as accident:
            log.exception("%s could not be said, the others are", message.key)
            return self._later(message, repr(accident), _pause(message), all_for=0.0)
        else:
            self._settle(message)
        self._back()
        return 1

    def _say(self, message: Message) -> None:
        release_id = str(message.payload["release"])
        where = self._where
        view = view_of(self._store, self._keyring, release_id, where.public_url, where.team)
        card = self._drawing.card(view)
        self._speech.show_card(view, card)
        try:
            self._besides(message, view)
        except Gone:  # somebody deleted the card, and with it the thread
            self._speech.show_card(view, card, anew=True)
            self._besides(message, view)
        self._homes.touch(view)

    def _besides(self, message: Message, view: View) -> None:
        """Post a message's own words besides the card, unless its level was left."""
        about = str(message.payload.get("about", ""))
        at = f"{view['state']}-{view['round']}-{view['level']}"
        suffix = message.key.split("/", 2)[2]
        if not about:
            if suffix in (at, view["state"], view["state"].lower()) and not _voided(view):
                self._speech.reply(message.key, view, self._drawing.moved(view))
        elif about in ("remind", "delivery", "handover"):
            if suffix.startswith(f"{at}-"):
                self._wait_still(message, view, about)
        else:
            self._aloud(message, view, about)

    def _wait_still(self, message: Message, view: View, about: str) -> None:
        """Remind, the first time, in the thread; from then on, or where others may step in now,
        escalate: in the channel, and directly to everybody able to answer."""
        first = message.payload.get("number") == 1 and about == "remind"
        if first and not view["escalated"]:
            self._speech.reply(message.key, view, self._drawing.reminder(view, about))
            return
        escalation = self._drawing.escalation(view, about)
        self._speech.post(message.key, view, escalation)
        accounts = [view["accounts"].get(person) for person in view["mayAnswer"]]
        for account in filter(None, accounts):
            self._speech.direct(message.key, view, account, escalation)

    def _aloud(self, message: Message, view: View, about: str) -> None:
        text, people = str(message.payload.get("text", "")), message.payload.get("people", ())
        announcement = self._drawing.spoken(
            view, text, tuple(str(person) for person in people), about
        )
        if about == "void":  # whoever looks at the card sees it there
            self._speech.reply(message.key, view, announcement)
        else:
            self._speech.post(message.key, view, announcement)

    def _no_answer(self, message: Message, problem: Unreachable) -> int:
        self._strikes += int(message.id != self._failed)
        self._failed = message.id
        self._gone_away(problem.message)
        all_for = 0.0 if self._strikes < 2 else min(2.0 ** (self._strikes - 2), LONGEST_PAUSE_S)
        return self._later(message, problem.message, _pause(message), all_for=all_for)

    def _show_homes(self) -> None:
        """Show inboxes, unless the chat is away; they can wait for it longest."""
        if self._away or self._quiet_until is not None:
            return
        try:
            self._homes.publish()
        except Unreachable as problem:
            self._keep_quiet(problem.seconds if isinstance(problem, Busy) else HOMES_WAIT_S)

    def _keep_quiet(self, seconds: float) -> None:
        with self._store.begin() as unit:
            self._quiet_until = unit.now() + timedelta(seconds=seconds)

    def _later(self, message: Message, error: str, seconds: float, *, all_for: float) -> int:
        if all_for:
            self._keep_quiet(all_for)
        with self._store.begin() as unit:
            unit.settle(message, error=error, retry_in=seconds)
            unit.commit()
        return 0

    def _settle(self, message: Message, error: str = "") -> None:
        with self._store.begin() as unit:
            if error:
                report(unit, message, error)
            unit.settle(message, error=error)
            unit.commit()

    def _gone_away(self, why: str) -> None:
        if not self._away:
            log.warning("%s. What is to be said waits.", why)
        self._away = why

    def _back(self) -> None:
        if self._away:
            log.info("Slack takes messages again")
        self._failed, self._strikes, self._away = 0, 0, ""


def _pause(message: Message) -> float:
    return float(min(0.5 * 2 ** min(message.attempts, 10), LONGEST_PAUSE_S))


def _voided(view: View) -> bool:
    """Say whether a later round has just begun: the notice that all is void says that, too."""
    first = view["state"] == State.AWAITING_APPROVAL and view["level"] == 1
    return bool(first and view["round"] > 1)
