"""A chat in which releases are shown and answered (Slack).

Everything raises `Unreachable` for what may work later (a `Busy` says when) and `Refused` for what
never will: a `Closed` says that nothing at all is taken there until somebody mends the set-up, a
`Gone` that one message is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from airlock.domain.errors import Refused, Unreachable
from airlock.ports.records import Spot

Blocks = Sequence[Mapping[str, Any]]


class Busy(Unreachable):
    """Too much was said at once: try again after *seconds*, not sooner."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Closed(Refused):
    """The token, the channel or the app is not taken (any more); *code* is the chat's own word."""

    def __init__(self, message: str, code: str, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.code = code


class Gone(Refused):
    """The message, or the thread it is said in, is not there any more or cannot be changed."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message: *text* for phones and screen readers, *blocks* to see.

    *plainer*: the same without a table, for when the chat refuses the table.
    """

    text: str
    blocks: Blocks = ()
    plainer: Blocks = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Somebody in the chat, as the chat describes the account now.

    *team*: the organisation's id if there is one, else the workspace's.
    """

    id: str
    team: str
    bot: bool = False
    guest: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """How something came from the chat: when, and what proves that it did.

    *digest*: of the bytes as they came; *signed_at*: the time in their signature, empty where the
    chat vouches with the connection alone.
    """

    at: datetime
    digest: str
    signed_at: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    """What the chat is answered at once: a status for HTTP, and what it shows."""

    status: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)


class Chat(Protocol):
    """What Airlock asks of a chat."""

    def post(
        self, channel: str, message: ChatMessage, *, thread: Spot | None = None, key: str = ""
    ) -> Spot:
        """Post a message; *key* is kept with it, so that it can be found again."""

    def update(self, spot: Spot, message: ChatMessage) -> None:
        """Change a message. Raises Gone if that cannot be done."""

    def find(
        self, key: str, channel: str, since: datetime, *, thread: Spot | None = None
    ) -> Spot | None:
        """Look for a message by its key, posted since a time; None if there is none."""

    def direct(self, account: str) -> str:
        """Return the channel of direct messages with an account."""

    def profile(self, account: str) -> Profile:
        """Ask about an account."""

    def open_form(self, trigger: str, form: Mapping[str, Any]) -> None:
        """Open a form for whoever clicked; a trigger lives three seconds and works once."""

    def show_home(self, account: str, home: Mapping[str, Any]) -> None:
        """Show an account its inbox."""

    def whisper(self, channel: str, account: str, text: str) -> None:
        """Say something only one account sees; it may not arrive."""
