"""Whether a request is Slack's: the signature of its raw body.

Rules:
* The signature is over the bytes as they came, before anything reads them.
* A timestamp more than five minutes from now, either way, is refused. The clock is given.
* Two signing secrets may be in force while one replaces the other; both are always tried.
* Whatever cannot be checked is not Slack's: slack_sdk's verifier raises for a timestamp that is
  no number, a signature or a body that is no text, and for an empty secret.

A signature stays good for five minutes, so this alone stops no replay: answers are bound to what
they answer, and are given once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from slack_sdk.signature import Clock, SignatureVerifier

TIMESTAMP = "x-slack-request-timestamp"
SIGNATURE = "x-slack-signature"


class _At(Clock):
    """A clock that stands still."""

    def __init__(self, now: datetime) -> None:
        self._now = now.timestamp()

    def now(self) -> float:
        """Return the moment that was given."""
        return self._now


def genuine(secrets: Sequence[str], body: bytes, headers: Mapping[str, str], now: datetime) -> bool:
    """Say whether Slack has sent this; no secret, no request is genuine."""
    stated = {name.lower(): value for name, value in headers.items()}
    # All of them: how long it takes does not say which one was right.
    return any([_signed(secret, body, stated, now) for secret in secrets])


def _signed(secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> bool:
    timestamp, signature = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not (timestamp.isascii() and timestamp.isdigit()):
        return False  # int() would take "+1", " 1 " and digits of other scripts
    try:
        return SignatureVerifier(secret, _At(now)).is_valid(body, timestamp, signature)
    except Exception:  # whatever it is: it could not be checked
        return False
