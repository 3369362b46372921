"""The desk: where everything Slack sends is answered, whichever way it came.

Rules, in this order:
* Only our app in our organisation: a request can be genuine and still not be for us.
* Only kinds, buttons and forms we know; each is named here.
* Slack is always answered, in time and in words. What nobody expected is logged with a number,
  and the number is all Slack is told.

`handle` does not know HTTP: the door (`slack_door`) and Socket Mode both hand it a payload.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from airlock.adapters.slack.views import forms, replies
from airlock.config.settings import SlackSettings
from airlock.domain.errors import Refused, Unreachable
from airlock.entrypoints.context import Platform
from airlock.entrypoints.slack.approval_actions import Answers
from airlock.entrypoints.slack.commands import Commands
from airlock.entrypoints.slack.context import Backroom, log
from airlock.entrypoints.slack.payloads import Payload, Sender, sender, text
from airlock.ports.chat import Ack, Chat, Received

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock

_FOREIGN = "This app belongs to another workspace, so nothing was done."
_UNKNOWN = "This is not one of Airlock's forms, so nothing was done."


class Desk:
    """See the module."""

    def __init__(
        self, airlock: Platform, settings: SlackSettings, chat: Chat, public_url: str
    ) -> None:
        self.settings = settings
        self._back = Backroom(airlock, chat, settings.team_id, public_url)
        self._answers, self._commands = Answers(self._back), Commands(self._back)

    def handle(self, payload: Payload, received: Received) -> Ack:
        """Answer one payload; raises nothing."""
        try:
            self._back.catch_up(received)
            return self._handled(payload, received)
        except Exception:
            number = secrets.token_hex(4)
            log.exception("something broke while answering Slack: incident %s", number)
            message = f"Something broke. Tell whoever runs Airlock the number of it: {number}."
            if text(payload, "type") == "block_actions":
                self._back.whisper(sender(payload), message)
            return _worded(payload, message)

    def forged(self, received: Received) -> None:
        """Take note of a request that is not Slack's."""
        self._back.refused(received, "a request", "it is not signed by Slack", None)

    def _handled(self, payload: Payload, received: Received) -> Ack:
        kind = "command" if "command" in payload else text(payload, "type")
        if kind == "url_verification":
            return Ack(body={"challenge": text(payload, "challenge")[:1000]})
        sent_by = sender(payload)
        if not self._is_ours(sent_by):
            self._back.refused(received, f"a {kind[:40]}", "it is for another workspace", sent_by)
            return _worded(payload, _FOREIGN, 403)
        handlers = {
            "block_actions": self._answers.press,
            "view_submission": self._submitted,
            "view_closed": lambda *_: Ack(),
            "command": self._commands.run,
            "event_callback": self._commands.opened,
        }
        if kind not in handlers:
            self._back.refused(received, f"a {kind[:40]}", "nothing of that kind is taken", sent_by)
            return Ack()
        return handlers[kind](payload, sent_by, received)

    def _is_ours(self, sent_by: Sender) -> bool:
        ours = (self.settings.app_id, self.settings.team_id)
        return all(ours) and (sent_by.app, sent_by.team) == ours

    def _submitted(self, payload: Payload, sent_by: Sender, received: Received) -> Ack:
        callback = text(payload, "view", "callback_id")
        if callback == forms.ANSWER:
            return self._answers.submit(payload, sent_by, received)
        if callback == forms.DELEGATE:
            return self._commands.submit(payload, sent_by, received)
        self._back.refused(received, f"the form {callback[:60]}", "it is not known", sent_by)
        return _worded(payload, _UNKNOWN)


def _worded(payload: Payload, message: str, status: int = 200) -> Ack:
    """Return an answer in words, where Slack shows one; else *status* alone says no."""
    if "command" in payload:
        return Ack(body=replies.plain(message))
    if text(payload, "type") == "view_submission":
        return Ack(body={"response_action": "update", "view": forms.refused(message)})
    return Ack(status)


def desk_of(airlock: Airlock) -> Desk:
    """Put together the desk of a process.

    Raises:
        Refused: naming what is not set.
        Unreachable: if this process cannot decide.
    """
    slack = airlock.settings.slack
    required = {
        "AIRLOCK_SLACK_BOT_TOKEN": slack and slack.bot_token,
        "AIRLOCK_SLACK_TEAM_ID": slack and slack.team_id,
        "AIRLOCK_SLACK_APP_ID": slack and slack.app_id,
    }
    missing = [name for name, value in required.items() if not value]
    chat = airlock.chat
    if slack is None or missing or chat is None:
        raise Refused(
            f"Slack is not set up: {', '.join(missing) or 'it'} is not set",
            next_step="docs/howto/slack.md says how; `airlock slack check` says what is missing.",
        )
    if airlock.signer is None:
        raise Unreachable("this process has no signing key, so nothing can be decided here")
    return Desk(airlock, slack, chat, airlock.settings.public_url)
