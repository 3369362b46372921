"""What pages, REST API and Slack need of the platform, and what text they take from people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from airlock.config.settings import SlackSettings
from airlock.domain.approval.policy import Rulebook
from airlock.domain.log.checkpoint import Cosigner
from airlock.ports import CodeSource, Files, Keyring, Signer
from airlock.services.audit.log_store import LogStore
from airlock.services.audit.transparency_log import Place


class Platform(Protocol):
    """What the doors need of `airlock.bootstrap.Airlock`."""

    @property
    def store(self) -> LogStore:
        """Airlock's own database."""

    @property
    def places(self) -> Sequence[Place]:
        """Where the log's checkpoints are kept outside the database."""

    @property
    def witnesses(self) -> Mapping[str, Cosigner]:
        """The witnesses whose cosignatures are trusted."""

    @property
    def keyring(self) -> Keyring:
        """The trusted public keys."""

    @property
    def signer(self) -> Signer | None:
        """The key that signs grants."""

    @property
    def rulebook(self) -> Rulebook:
        """The rule book in force."""

    @property
    def slack(self) -> SlackSettings | None:
        """What there is of a Slack app."""

    @property
    def files(self) -> Files:
        """The files of evidence."""

    @property
    def code(self) -> CodeSource:
        """The checkout of this process."""

    @property
    def mlflow_url(self) -> str:
        """Where browsers reach MLflow; empty if they do not."""


def plain(text: str) -> str:
    """Return *text* if every character can be stored and shown.

    Raises:
        ValueError: for control characters (NUL among them) and halves of surrogate pairs.
    """
    if any(
        (ord(c) < 32 and c not in "\n\t") or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text
    ):
        raise ValueError("control characters are not allowed; write plain text")
    return text


def plain_lines(text: str) -> str:
    """Return the text of an HTML form, whose lines end in CR LF, as `plain` text."""
    return plain(re.sub(r"\r\n?", "\n", text))
