"""What Slack's error codes mean to Airlock.

Rules:
* Too much at once is `Busy`, with the seconds Slack asked for.
* What is wrong with the token, the app or the channel is `Closed`: every message meets it, until
  somebody mends it. It says what to mend.
* What is wrong with one message is `Refused`: `Gone` if there is nothing to change or to answer,
  `Unshowable` if Slack does not take its layout.
* Anything that is no clear answer (500, garbage, a code for Slack's own trouble) is `Unreachable`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.ports.chat import Busy, Closed, Gone

#: How long to wait if Slack is busy and does not say how long, and at most, in seconds.
A_WHILE, LONGEST = 30.0, 3600.0

_RENEW = "Give the app's present bot token (xoxb-...); `airlock slack check` tries it."
_INVITE = "Invite the app into the channel: /invite @Airlock; `airlock slack check` looks."
_CHANNEL = "Set AIRLOCK_SLACK_CHANNEL to a channel that exists, and invite the app into it."
_ALLOW = "Ask an administrator of the workspace to let the app write in this channel."
_SCOPE = "Install the app again with the scopes of deploy/slack/manifest.yaml."

CLOSED: Mapping[str, str] = {
    "invalid_auth": _RENEW,
    "not_authed": _RENEW,
    "account_inactive": _RENEW,
    "token_revoked": _RENEW,
    "token_expired": _RENEW,
    "not_allowed_token_type": _RENEW,
    "missing_scope": _SCOPE,
    "no_permission": _SCOPE,
    "channel_not_found": _CHANNEL,
    "is_archived": "Unarchive the channel, or set AIRLOCK_SLACK_CHANNEL to another one.",
    "not_in_channel": _INVITE,
    "restricted_action": _ALLOW,
    "restricted_action_read_only_channel": _ALLOW,
    "restricted_action_non_threadable_channel": _ALLOW,
    "restricted_action_thread_only_channel": _ALLOW,
    "access_denied": _ALLOW,
    "ekm_access_denied": _ALLOW,
    "team_access_not_granted": _ALLOW,
    "two_factor_setup_required": _ALLOW,
}
GONE = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "is_inactive",
        "thread_not_found",
    }
)
_BUSY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_LATER = frozenset(
    {
        "accesslimited",
        "fatal_error",
        "internal_error",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
_LAYOUT = frozenset({"only_one_table_allowed", "invalid_table", "msg_blocks_too_long"})
_CODE = re.compile(r"[a-z][a-z0-9_]{0,60}")


class Unshowable(Refused):
    """Slack does not take the layout of a message; another one may do."""


def failure(method: str, status: int, code: str, retry_after: str = "") -> AirlockError:
    """Return the error for an answer of Slack that is not "ok"."""
    if status == 429 or code in _BUSY:
        wait = seconds(retry_after)
        return Busy(f"Slack takes no {method} for {wait:g} s: too much at once", wait)
    if status >= 500 or code in _LATER or not _CODE.fullmatch(code):
        description = code if _CODE.fullmatch(code) else "something else than an answer"
        return Unreachable(
            f"Slack answered {method} with HTTP {status} and {description}",
            next_step="It is tried again; status.slack.com tells of trouble there.",
        )
    if code in CLOSED:
        return Closed(f"Slack refuses {method}: {code}", code, next_step=CLOSED[code])
    if code in GONE:
        return Gone(f"Slack cannot do {method} any more: {code}")
    layout = code.startswith("invalid_blocks") or code in _LAYOUT
    return (Unshowable if layout else Refused)(f"Slack refuses {method}: {code}")


def seconds(retry_after: str) -> float:
    """Read how long to wait; what is no sensible number is a while."""
    try:
        wait = float(retry_after)
    except ValueError:
        return A_WHILE
    return min(max(wait, 1.0), LONGEST) if wait == wait else A_WHILE
