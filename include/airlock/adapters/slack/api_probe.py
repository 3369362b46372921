"""Asking Slack how it sees us: token, scopes, app, channel, Socket Mode, clock. Changes nothing.

What Slack says no to is a `Closed` with Slack's own word; what did not answer is `Unreachable`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from airlock.domain.errors import Unreachable
from airlock.ports.chat import Closed

#: The scopes of the bot, and what each is for. deploy/slack/manifest.yaml asks for the same.
SCOPES = {
    "chat:write": "posting and changing messages",
    "commands": "the command /airlock",
    "im:write": "telling an approver directly that a level was handed on",
    "users:read": "refusing bots, guests and deactivated accounts",
    "channels:history": "finding a message again after a time-out, in a public channel",
    "groups:history": "finding a message again after a time-out, in a private channel",
    "channels:read": "`airlock slack check` of a public channel",
    "groups:read": "`airlock slack check` of a private channel",
}
#: Slack's words for what may be otherwise in a minute.
_PASSING = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error"})
_TOO_MANY, _BROKEN = 429, 500

_quiet = logging.getLogger("airlock.slack.probe")
_quiet.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """Whom a token belongs to.

    *team*: the organisation's id if there is one, else the workspace's; *scopes*: None if Slack
    did not say; *ahead*: by how many seconds our clock is ahead of Slack's, None if unknown.
    """

    team: str
    team_name: str
    user: str
    bot: str
    scopes: frozenset[str] | None
    ahead: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A channel as the bot sees it."""

    name: str
    member: bool
    archived: bool
    shared: bool


class SlackProbe:
    """Questions to Slack's Web API."""

    def __init__(self, token: str, api_url: str, timeout: float = 10.0) -> None:
        self._client = WebClient(
            token, base_url=api_url, timeout=int(timeout), retry_handlers=[], logger=_quiet
        )

    def bot(self) -> Bot:
        """Ask Slack for the bot the token belongs to."""
        answer = _ask("auth.test", self._client.auth_test)
        now = time.time()
        headers = {name.lower(): str(value) for name, value in dict(answer.headers or {}).items()}
        data = _data(answer)
        scopes = headers.get("x-oauth-scopes")
        names = (scope.strip() for scope in (scopes or "").split(","))
        return Bot(
            team=str(data.get("enterprise_id") or data.get("team_id") or ""),
            team_name=str(data.get("team") or ""),
            user=str(data.get("user") or ""),
            bot=str(data.get("bot_id") or ""),
            scopes=None if scopes is None else frozenset(scope for scope in names if scope),
            ahead=_ahead(headers.get("date", ""), now),
        )

    def app(self, bot: str) -> str:
        """Ask which app a bot is of; empty if Slack does not say."""
        answer = _ask("bots.info", lambda: self._client.bots_info(bot=bot))
        return str((_data(answer).get("bot") or {}).get("app_id") or "")

    def channel(self, channel: str) -> Place:
        """Ask about a channel."""
        answer = _ask(
            "conversations.info", lambda: self._client.conversations_info(channel=channel)
        )
        info = _data(answer).get("channel") or {}
        return Place(
            name=str(info.get("name") or channel),
            member=bool(info.get("is_member")),
            archived=bool(info.get("is_archived")),
            shared=bool(info.get("is_ext_shared")),
        )

    def socket(self, app_token: str) -> None:
        """Ask for the address of a Socket Mode connection; it is not used."""
        _ask(
            "apps.connections.open",
            lambda: self._client.apps_connections_open(app_token=app_token),
        )


def _ask(method: str, send: Callable[[], SlackResponse]) -> SlackResponse:
    try:
        return send()
    except SlackApiError as error:
        raise _refusal(method, error.response) from error
    except (SlackClientError, HTTPException, OSError, ValueError) as error:
        raise Unreachable(
            f"Slack did not answer {method} ({type(error).__name__})",
            next_step="See whether this machine reaches Slack's Web API, a proxy included.",
        ) from error


def _refusal(method: str, answer: SlackResponse) -> Exception:
    code = str(_data(answer).get("error") or "")[:80]
    passing = answer.status_code == _TOO_MANY or answer.status_code >= _BROKEN
    if passing or code in _PASSING or not code.replace("_", "").isalnum():
        return Unreachable(
            f"Slack did not answer {method} as it should (status {answer.status_code})",
            next_step="Try again in a minute.",
        )
    return Closed(f"Slack refuses {method}: {code}", code)


def _data(answer: SlackResponse) -> Mapping[str, Any]:
    return answer.data if isinstance(answer.data, Mapping) else {}


def _ahead(date: str, now: float) -> float | None:
    try:
        return now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None
