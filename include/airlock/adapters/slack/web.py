"""Slack's Web API: post, change, find again, ask about an account, open a form.

Rules:
* One request per call, never repeated here: who calls knows whether it may be. A message whose
  layout is refused goes out at once in its plainer one.
* A message carries its key and nothing else as metadata, because others in the channel can read
  that; what is found by it decides nothing.
* Nothing is unfurled. The token is in no message and no log.
* What a failure means is in `failures`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from airlock.adapters.slack.failures import Unshowable, failure
from airlock.domain.errors import Unreachable
from airlock.ports import Spot
from airlock.ports.chat import Blocks, ChatMessage, Closed, Profile

URL = "https://slack.com/api/"
#: What our messages are called in their metadata.
EVENT = "airlock"
_PAGE, _PAGES = 200, 10
_NOBODY = "USLACKBOT"

#: The library logs every failure at once; ours are said once, by whoever delivers.
_quiet = logging.getLogger("airlock.slack.web")
_quiet.setLevel(logging.CRITICAL)

Answer = Mapping[str, Any]


class SlackWeb:
    """`airlock.ports.chat.Chat` over HTTP."""

    def __init__(self, token: str, api_url: str = URL, timeout: float = 2.0) -> None:
        self._client = WebClient(
            token,
            base_url=api_url,
            timeout=timeout,  # type: ignore[arg-type]  # urlopen takes parts of a second as well
            retry_handlers=[],
            logger=_quiet,
        )

    def post(
        self, channel: str, message: ChatMessage, *, thread: Spot | None = None, key: str = ""
    ) -> Spot:
        """Post a message, into a thread if one is given."""

        def send(blocks: Blocks) -> SlackResponse:
            return self._client.chat_postMessage(
                channel=channel,
                text=message.text,
                blocks=[dict(block) for block in blocks] or None,
                thread_ts=thread.ts if thread else None,
                metadata={"event_type": EVENT, "event_payload": {"key": key}} if key else None,
                unfurl_links=False,
                unfurl_media=False,
            )

        answer = _send_with_fallback("chat.postMessage", message, send)
        return Spot(_text(answer, "channel"), _text(answer, "ts"))

    def update(self, spot: Spot, message: ChatMessage) -> None:
        """Change a message."""

        def send(blocks: Blocks) -> SlackResponse:
            return self._client.chat_update(
                channel=spot.channel,
                ts=spot.ts,
                text=message.text,
                blocks=[dict(block) for block in blocks],
            )

        _send_with_fallback("chat.update", message, send)

    def find(
        self, key: str, channel: str, since: datetime, *, thread: Spot | None = None
    ) -> Spot | None:
        """Look through a channel, or a thread, for the message with a key.

        Without the scope to read there, nothing is found.
        """
        parameters: dict[str, Any] = {
            "channel": channel,
            "oldest": f"{since.timestamp():.6f}",
            "limit": _PAGE,
            "include_all_metadata": True,
            "inclusive": True,
        }
        method = "conversations.history"
        ask: Callable[..., SlackResponse] = self._client.conversations_history
        if thread is not None:
            method, ask = "conversations.replies", self._client.conversations_replies
            parameters |= {"ts": thread.ts}
        for _ in range(_PAGES):
            try:
                page = _call(method, lambda: ask(**parameters))
            except Closed as error:
                if error.code == "missing_scope":
                    return None
                raise
            for message in page.get("messages") or ():
                if _key(message) == key:
                    return Spot(channel, _text(message, "ts"))
            parameters["cursor"] = (page.get("response_metadata") or {}).get("next_cursor")
            if not parameters["cursor"]:
                break
        return None

    def direct(self, account: str) -> str:
        """Return the channel of direct messages with an account."""
        answer = _call("conversations.open", lambda: self._client.conversations_open(users=account))
        return _text(answer.get("channel") or {}, "id")

    def profile(self, account: str) -> Profile:
        """Ask about an account; whoever belongs to another organisation is a guest."""
        answer = _call("users.info", lambda: self._client.users_info(user=account))
        user = answer.get("user") or {}
        organisation = (user.get("enterprise_user") or {}).get("enterprise_id")
        guest = ("is_restricted", "is_ultra_restricted", "is_stranger")
        return Profile(
            id=_text(user, "id"),
            team=str(organisation or user.get("team_id") or ""),
            bot=bool(user.get("is_bot")) or user.get("id") == _NOBODY,
            guest=any(user.get(name) for name in guest),
            deleted=bool(user.get("deleted")),
        )

    def open_form(self, trigger: str, form: Mapping[str, Any]) -> None:
        """Open a form for whoever clicked."""
        _call("views.open", lambda: self._client.views_open(trigger_id=trigger, view=dict(form)))

    def show_home(self, account: str, home: Mapping[str, Any]) -> None:
        """Show an account its inbox."""
        view = dict(home)
        _call("views.publish", lambda: self._client.views_publish(user_id=account, view=view))

    def whisper(self, channel: str, account: str, text: str) -> None:
        """Say something only one account sees, as escaped text without any layout."""

        def send() -> SlackResponse:
            return self._client.chat_postEphemeral(
                channel=channel, user=account, text=text, mrkdwn=False
            )

        _call("chat.postEphemeral", send)


def _send_with_fallback(
    method: str, message: ChatMessage, send: Callable[[Blocks], SlackResponse]
) -> Answer:
    try:
        return _call(method, lambda: send(message.blocks))
    except Unshowable:
        if not message.plainer:
            raise
        return _call(method, lambda: send(message.plainer))


def _call(method: str, send: Callable[[], SlackResponse]) -> Answer:
    """Send one request; return the answer, or raise what its failure means."""
    try:
        answer = send().data
    except SlackApiError as error:
        raise _failure(method, error.response) from error
    except (SlackClientError, HTTPException, OSError, ValueError, LookupError, AttributeError) as e:
        raise Unreachable(
            f"Slack did not answer {method}: {type(e).__name__}",
            next_step="It is tried again; `airlock slack check` tells whether Slack is reached.",
        ) from e
    return answer if isinstance(answer, Mapping) else {}


def _failure(method: str, answer: SlackResponse) -> Exception:
    data = answer.data if isinstance(answer.data, Mapping) else {}
    headers = {name.lower(): str(value) for name, value in dict(answer.headers or {}).items()}
    code = str(data.get("error") or "")
    return failure(method, answer.status_code, code, headers.get("retry-after", ""))


def _key(message: Answer) -> str | None:
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") != EVENT:
        return None
    return str((metadata.get("event_payload") or {}).get("key"))


def _text(answer: Answer, name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise Unreachable(f"Slack's answer has no {name}")
    return value
