"""Socket Mode: Slack's requests over a connection we open, where Slack cannot reach us.

Rules:
* Everything that comes goes to the same desk as by HTTP, and what it answers goes back.
* No single request is signed here. The app token proves us to Slack when the connection is opened,
  TLS proves Slack to us; so it counts all the more that app and team in a request are ours.
* Slack gives each request to one connection of an app, so one process listens, not several. What
  comes while nobody listens is lost there; whoever clicked clicks again.
* A connection that ends is opened again, with growing pauses where that fails. Going away is said
  once, and so is coming back.

slack_sdk's own client speaks the protocol, watches the connection and follows Slack where it asks
us to move; that it is opened again is ours, because the library would try for ever and log it all.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.web import WebClient

from airlock.domain.digest import digest_bytes
from airlock.domain.errors import Invalid
from airlock.ports.chat import Ack, Received

#: How often the connection is looked at; it counts as gone when it is missing twice in a row.
LOOK_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
#: A connection that lasted so long was a good one.
GOOD_S = 30.0

log = logging.getLogger("airlock.slack")
#: The library logs every failure by itself.
_quiet = logging.getLogger("airlock.slack.socket")
_quiet.setLevel(logging.CRITICAL)

Handle = Callable[[Mapping[str, Any], Received], Ack]


class _Client(SocketModeClient):
    """The library's client, which would sleep where Slack asks it to wait."""

    def issue_new_wss_url(self) -> str:
        """Ask Slack where to connect to."""
        return str(self.web_client.apps_connections_open(app_token=self.app_token)["url"])


def listen(app_token: str, api_url: str, handle: Handle, stop: threading.Event) -> None:
    """Hand whatever Slack sends to *handle*, until *stop* is set.

    Raises:
        Invalid: if there is no app token.
    """
    if not app_token.startswith("xapp-"):
        raise Invalid(
            "AIRLOCK_SLACK_APP_TOKEN is not an app-level token (xapp-...)",
            next_step="Make one on the app's page, under Basic Information, with the scope "
            "connections:write.",
        )
    reason, pause = "", 0.0
    while not stop.wait(pause):
        began = time.monotonic()
        client = _client(app_token, api_url, handle)
        try:
            client.connect()
            if client.is_connected():
                log.info("Slack's socket is %s", "back" if reason else "open")
                reason = ""
            why, least = _last(client, stop), 0.0
        except (SlackClientError, HTTPException, OSError, ValueError, LookupError) as error:
            why, least = _reason(error)
        finally:
            client.close()
        if stop.is_set():
            return
        good = time.monotonic() - began > GOOD_S
        pause = max(least, 0.0 if good else min(max(FIRST_PAUSE_S, pause * 2), LONGEST_PAUSE_S))
        if not reason:
            log.warning("Slack's socket is away: %s. It is opened again.", why)
        reason = why


def _last(client: _Client, stop: threading.Event) -> str:
    """Wait until the connection is gone, or *stop* is set; say what became of it."""
    missing = 0
    while missing < 2 and not stop.wait(LOOK_S):
        missing = 0 if client.is_connected() else missing + 1
    return "the connection ended"


def _reason(error: Exception) -> tuple[str, float]:
    """Return the reason of a failure, and the least time to wait."""
    if not isinstance(error, SlackApiError):
        return f"Slack was not reached ({type(error).__name__})", 0.0
    answer = error.response
    code = answer.get("error", "") if isinstance(answer.data, dict) else ""
    headers = {name.lower(): str(value) for name, value in dict(answer.headers or {}).items()}
    wait = headers.get("retry-after", "")
    least = min(float(wait), 600.0) if wait.isascii() and wait.isdigit() else 0.0
    return f"Slack refuses a connection ({code or answer.status_code})", least


def _client(app_token: str, api_url: str, handle: Handle) -> _Client:
    web = WebClient(
        base_url=api_url,
        timeout=10,
        retry_handlers=[],
        logger=_quiet,
    )
    client = _Client(app_token, logger=_quiet, web_client=web, auto_reconnect_enabled=False)
    client.message_listeners.append(_listener(handle))
    return client


def _listener(handle: Handle) -> Callable[[Any, dict[str, Any], str | None], None]:
    def take(client: Any, message: dict[str, Any], raw: str | None) -> None:
        envelope, payload = message.get("envelope_id"), message.get("payload")
        if not isinstance(envelope, str) or not isinstance(payload, Mapping):
            return  # "hello", and what else is not for us
        digest = digest_bytes((raw or "").encode())
        ack = handle(payload, Received(at=datetime.now(UTC), digest=digest))
        answer: dict[str, Any] = {"envelope_id": envelope}
        if ack.body and message.get("accepts_response_payload"):
            answer["payload"] = dict(ack.body)
        client.send_message(json.dumps(answer))

    return take
