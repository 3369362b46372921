"""The one-time code that links an account in a chat to a person.

    the signed-in page shows a code -> its owner types it in Slack -> the two are linked

Rules:
* The page proves who the person is, the signed message from Slack proves whose account it is.
  Never the other way round: whoever could send a link to click could bind a victim to an account
  of their own.
* A code has characters nobody mistakes for one another, works once and for ten minutes. Twelve of
  them: whoever reads the digests cannot try them all before they are over.
* An account may be wrong five times in ten minutes and a workspace fifty times, so that neither
  patience nor many accounts find a code.
* What is wrong with a code is not said: mistyped, too old, used and one too many read the same.

Times and counts are given; nothing here reads a clock or makes a code up.
"""

from __future__ import annotations

import unicodedata
from datetime import timedelta

from airlock.domain.digest import digest_bytes
from airlock.domain.errors import Refused

#: Without 0 O Q, 1 I L, 2 Z, 5 S, 8 B, U V.
ALPHABET = "34679ACDEFGHJKMNPRTWXY"
LENGTH = 12
VALID = timedelta(minutes=10)
#: How long wrong codes count, and how many of them there may be.
WINDOW = timedelta(minutes=10)
TRIES_OF_ACCOUNT, TRIES_OF_TEAM = 5, 50
#: What is typed in Slack, before the code.
COMMAND = "/airlock link"


class WrongCode(Refused):
    """A code was not taken, for whatever reason."""

    def __init__(self) -> None:
        valid, wait = (int(span.total_seconds() // 60) for span in (VALID, WINDOW))
        super().__init__(
            "this code is not accepted",
            next_step=(
                "Open the page Slack in Airflow, show a new code and type it here within "
                f"{valid} minutes. After {TRIES_OF_ACCOUNT} wrong ones, wait {wait} minutes first."
            ),
        )


def format_code(code: str) -> str:
    """Return a code as people read it: in two groups."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def normal(typed: str) -> str:
    """Return what was typed as a code, or nothing if it cannot be one.

    Capital or small, with or without hyphens, spaces and the quotes a chat may put around it.
    """
    plain = unicodedata.normalize("NFKC", typed[:200]).upper()
    code = "".join(c for c in plain if c.isalnum())
    right = len(code) == LENGTH and all(c in ALPHABET for c in code)
    return code if right else ""


def code_digest(typed: str) -> str:
    """Return the digest of a code, the only thing that is kept; nothing for what is none."""
    code = normal(typed)
    return digest_bytes(code.encode()) if code else ""


def check_tries(of_account: int, of_team: int) -> None:
    """Refuse one try too many.

    Raises:
        WrongCode: in the words of a wrong code.
    """
    if of_account >= TRIES_OF_ACCOUNT or of_team >= TRIES_OF_TEAM:
        raise WrongCode
