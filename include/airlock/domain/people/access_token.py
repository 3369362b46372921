"""The access token: a short, signed statement of who somebody is, for the MLflow server.

`<payload>.<key id>.<signature>`, each part URL-safe base64 without padding (the key id is plain).
The signature is Ed25519 over DSSE's encoding of the payload under a type of its own, so that a
token can never be taken for a grant nor a grant for a token. It says who and until when; it is
no permission to move an alias. A token cannot be taken back: it is short-lived instead.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airlock.domain.clock import moment, stamp
from airlock.domain.digest import canonical_json
from airlock.domain.errors import Unauthenticated
from airlock.domain.promotion.grant import Verify, pae

TOKEN_TYPE = "application/vnd.airlock.access-token+json"  # noqa: S105 - a media type
AUDIENCE = "mlflow"
#: To revoke grants: in tokens the decider signs for itself, never in a person's.
REVOKE = "grant:revoke"
#: A working day; a right taken away in Airflow lasts no longer than this in MLflow.
VALID = timedelta(hours=10)
#: How far the clocks of two machines may be apart.
SKEW = timedelta(minutes=5)
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """Who it is, and the permissions held when it was issued."""

    person: str
    permissions: frozenset[str]
    issued_at: datetime
    expires_at: datetime


def issue(
    person: str,
    permissions: frozenset[str],
    now: datetime,
    key_id: str,
    sign: Callable[[bytes], bytes],
) -> str:
    """Return a token for *person*, valid from now on for `VALID`."""
    payload = canonical_json(
        {
            "aud": AUDIENCE,
            "sub": person,
            "may": sorted(permissions),
            "iat": stamp(now),
            "exp": stamp(now + VALID),
        }
    )
    return f"{_text(payload)}.{key_id}.{_text(sign(pae(TOKEN_TYPE, payload)))}"


def read(token: str, verify: Verify, now: datetime) -> AccessToken:
    """Return the access token, with its signature and its time checked.

    Raises:
        Unauthenticated: saying what is wrong with it, never the token itself.
    """
    try:
        if len(token) > _LONGEST:
            raise ValueError("it is too long")
        first, key_id, last = token.split(".")
        payload, signature = _bytes(first), _bytes(last)
        if not verify(key_id, signature, pae(TOKEN_TYPE, payload)):
            raise Unauthenticated("the token is not signed by a trusted key")
        claims = json.loads(payload)
        if claims["aud"] != AUDIENCE:
            raise ValueError("it is for something else")
        access_token = AccessToken(
            person=str(claims["sub"]),
            permissions=frozenset(str(permission) for permission in claims["may"]),
            issued_at=moment(claims["iat"]),
            expires_at=moment(claims["exp"]),
        )
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Unauthenticated("that is no access token", next_step=_HOW) from error
    if not access_token.issued_at - SKEW <= now < access_token.expires_at:
        raise Unauthenticated(
            f"the token of {access_token.person} was valid from {stamp(access_token.issued_at)} "
            f"until {stamp(access_token.expires_at)}, and here it is {stamp(now)}",
            next_step=_HOW,
        )
    return access_token


_HOW = "Get a new one: `airlock mlflow-token`."


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
