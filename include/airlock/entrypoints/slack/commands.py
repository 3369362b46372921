"""The command `/airlock`, the form for a delegation, and the App Home.

`/airlock pending`    what waits for me
`/airlock show ID`    one release
`/airlock link CODE`  this account is mine; the code is shown on the page in Airflow
`/airlock delegate`   let somebody answer for me
anything else         how to use it

Rules:
* What comes back is seen by whoever asked, and by nobody else.
* Everything but `link` and the usage needs an account that is linked; `link` needs one of ours.
* Words that were typed are never shown again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from airlock.adapters.slack.views import forms, home, replies
from airlock.domain.errors import AirlockError, Invalid, NotFound
from airlock.entrypoints.context import plain_lines
from airlock.entrypoints.slack.approval_actions import refusal, sentence
from airlock.entrypoints.slack.context import Backroom, Unlinked, log
from airlock.entrypoints.slack.payloads import Payload, Sender, field, text, words
from airlock.ports.chat import Ack, Received
from airlock.services.approvals import delegation as delegation_service
from airlock.services.notifications import inbox as slack_inbox
from airlock.services.people import slack_links

COMMAND = "/airlock"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


class Commands:
    """What people ask for in Slack beside answering."""

    def __init__(self, back: Backroom) -> None:
        self._back, self._airlock = back, back.airlock

    def run(self, payload: Payload, sender: Sender, received: Received) -> Ack:
        """Take a slash command."""
        word, _, rest = text(payload, "text").strip().partition(" ")
        handlers = {
            "pending": self._pending,
            "show": self._show,
            "link": self._link,
            "delegate": self._delegate,
        }
        do = handlers.get(word.lower())
        if do is None or text(payload, "command") != COMMAND:
            return Ack(body=replies.usage())
        try:
            self._back.check_account(sender)
            return do(sender, rest.strip())
        except AirlockError as error:
            about = f"the command {COMMAND} {word.lower()}"
            self._back.refused(received, about, error.message, sender)
            return Ack(body=replies.plain(sentence(error)))

    def _pending(self, sender: Sender, _: str) -> Ack:
        actor = self._back.actor(sender)
        waiting = slack_inbox.waiting(self._airlock.store, actor.id, self._back.url)
        return Ack(body=replies.pending(waiting))

    def _show(self, sender: Sender, release_id: str) -> Ack:
        actor = self._back.actor(sender)
        if not _ID.fullmatch(release_id):
            raise NotFound("there is no such release", next_step="Try `/airlock pending`.")
        return Ack(body=replies.release_status(self._back.view(release_id, actor)))

    def _link(self, sender: Sender, code: str) -> Ack:
        link = slack_links.redeem(self._airlock.store, sender.team, sender.account, code)
        self._publish(sender.account, link.person)
        message = f"From now on this Slack account is {link.person} in Airlock."
        return Ack(body=replies.plain(message))

    def _delegate(self, sender: Sender, _: str) -> Ack:
        self._back.actor(sender)
        self._back.later(lambda: self._open(sender))
        return Ack()

    def _open(self, sender: Sender) -> None:
        try:
            self._back.chat.open_form(sender.trigger, forms.delegate_form())
        except AirlockError as error:
            log.warning("a form did not open: %s", error.message)
            again = "Slack could not open the form. Please type the command again."
            self._back.whisper(sender, again)

    # the form for a delegation
    def submit(self, payload: Payload, sender: Sender, received: Received) -> Ack:
        """Take a filled form for a delegation."""
        try:
            actor = self._back.actor(sender)
            self._back.check_account(sender)
            delegation = delegation_service.delegate(
                self._airlock.store,
                self._airlock.rulebook,
                actor,
                self._taker(words(payload, "taker")),
                _time(field(payload, "start"), "start"),
                _time(field(payload, "end"), "end"),
                _reason(payload),
                f"slack/{text(payload, 'view', 'id')}",
            )
        except AirlockError as error:
            self._back.refused(received, "a delegation", error.message, sender)
            return refusal(error, error.block if isinstance(error, Misplaced) else "reason")
        self._publish(sender.account, actor.id)
        parties = f"{delegation.taker} may answer for you, {delegation.giver}"
        period = f"from {_day(delegation.start)} to {_day(delegation.end)} UTC"
        view = forms.confirmed(f"{parties}, {period}.")
        return Ack(body={"response_action": "update", "view": view})

    def _taker(self, account: str) -> str:
        person = self._back.person_of(account) if account else None
        if person is None:
            raise Misplaced(
                "this account is not linked to anybody in Airflow",
                "taker",
                "Whoever it is can link it with /airlock link, or delegate on the page in Airflow.",
            )
        return person

    # the App Home
    def opened(self, payload: Payload, sender: Sender, _: Received) -> Ack:
        """Show an account its inbox, when it looks there."""
        if text(payload, "event", "type") != "app_home_opened" or not sender.account:
            return Ack()
        self._back.later(lambda: self._show_home(sender))
        return Ack()

    def _show_home(self, sender: Sender) -> None:
        self._back.learn(sender.account)
        self._back.check_known(sender)
        actor = self._back.owner(sender)
        if actor is None:
            self._back.chat.show_home(sender.account, _nobodys_home(self._back.url))
        else:
            self._publish(sender.account, actor.id)

    def _publish(self, account: str, person: str) -> None:
        def show() -> None:
            inbox = slack_inbox.inbox(self._airlock.store, person, self._back.url)
            self._back.chat.show_home(account, home.home(inbox))

        self._back.later(show)


def _nobodys_home(url: str) -> dict[str, Any]:
    """Return the App Home of an account that is not linked: how to link it."""
    page = f"{url}/airlock/slack"
    view = home.home({"waiting": [], "decided": [], "delegations": [], "page": page})
    first = {"type": "section", "text": {"type": "plain_text", "text": sentence(Unlinked())}}
    return {**view, "blocks": [first, *view["blocks"]]}


class Misplaced(Invalid):
    """Something in one field of a form that can be mended there."""

    def __init__(self, message: str, block: str, next_step: str) -> None:
        super().__init__(message, next_step=next_step)
        self.block = block


def _time(value: Any, name: str) -> datetime:
    try:
        if type(value) is int:
            return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        pass
    raise Misplaced("this is not a time", name, "Choose a day and a time.")


def _day(stamp: str) -> str:
    return stamp[:16].replace("T", " ")


def _reason(payload: Payload) -> str:
    try:
        return plain_lines(words(payload, "reason"))
    except ValueError as error:
        raise Invalid("the reason has control characters", next_step="Use plain text.") from error
