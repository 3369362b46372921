"""The grant: signed, single-use permission to promote one subject into one environment.

It is made at the moment of use, lives two minutes at most, and ends as spent or as revoked at the
guard of the model registry, whichever comes first there.

An in-toto Statement v1 (https://in-toto.io/Statement/v1) in a DSSE envelope
(https://github.com/secure-systems-lab/dsse, protocol v1.0.2), signed with Ed25519 (RFC 8032).
The subject of the statement is the model version by its artifact digest; the predicate is what
the grant allows. This module builds and reads; keys are behind `airlock.ports`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from airlock.domain.clock import readable
from airlock.domain.digest import canonical_json
from airlock.domain.errors import Refused

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:airlock:grant:v1"
#: No grant lives longer; the guard refuses one that would.
LONGEST = timedelta(minutes=2)
#: Aliases of models that move by a grant alone, unless the policy names others.
PROTECTED = frozenset({"champion", "production", "prod"})

#: (key id, signature, message) -> is the signature good? Unknown keys are False.
Verify = Callable[[str, bytes, bytes], bool]


class Keys(Protocol):
    """The public keys that are trusted."""

    def verify(self, key_id: str, signature: bytes, message: bytes) -> bool:
        """Say whether a trusted key of that id made the signature."""

    def valid_at(self, key_id: str, at: datetime) -> bool:
        """Say whether a key was in use at a time."""


class Standing(StrEnum):
    """What the guard of the registry knows of a grant. Spent and revoked exclude each other."""

    UNSPENT = "unspent"  #: delivered or not: it could still be spent
    SPENT = "spent"
    REVOKED = "revoked"


class GrantInvalid(Refused):
    """The grant does not allow this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one grant allows. Times are UTC."""

    id: str
    release: str
    model: str
    version: str
    alias: str
    environment: str
    artifact_digest: str
    location: str
    subject_digest: str
    policy_digest: str
    expected_current: str | None
    sequence: int
    issued_at: datetime
    expires_at: datetime
    round: int = 1
    rolls_back: str = ""

    def statement(self) -> dict[str, Any]:
        """Return the in-toto statement."""
        predicate = {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in asdict(self).items()
        }
        return {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": f"{self.model}/{self.version}",
                    "digest": {"sha256": self.artifact_digest.removeprefix("sha256:")},
                }
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, the bytes that are signed."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])


def seal(grant: Grant, key_id: str, sign: Callable[[bytes], bytes]) -> str:
    """Return the grant as a signed DSSE envelope."""
    return enclose(grant.statement(), key_id, sign)


def enclose(statement: Mapping[str, Any], key_id: str, sign: Callable[[bytes], bytes]) -> str:
    """Return an in-toto statement as a signed DSSE envelope."""
    payload = canonical_json(statement)
    signature = sign(pae(PAYLOAD_TYPE, payload))
    return canonical_json(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
        }
    ).decode()


def unseal(envelope: str, verify: Verify) -> Grant:
    """Return the grant inside *envelope* after checking its signature.

    Raises:
        GrantInvalid: if the envelope is malformed, not a grant, or not signed by a trusted key.
    """
    return _unsealed(envelope, verify)[0]


def opened(envelope: str, keys: Keys) -> Grant:
    """Return the grant inside *envelope*, signed by a key that was in use when it was issued.

    Raises:
        GrantInvalid: as `unseal`, or if the key had been given up before.
    """
    grant, signers = _unsealed(envelope, keys.verify)
    if not any(keys.valid_at(key, grant.issued_at) for key in signers):
        raise GrantInvalid(
            f"grant {grant.id} of {readable(grant.issued_at)} is signed by {', '.join(signers)}, "
            "a key that had been given up",
            next_step="Find out who still has that key. A promotion that is tried again gets a "
            "grant of the key in use; for what serves already run the pipeline again.",
        )
    return grant


def _unsealed(envelope: str, verify: Verify) -> tuple[Grant, list[str]]:
    """Return the grant and the ids of the keys that signed it."""
    statement, good = disclose(envelope, verify, "the grant")
    return _grant_of(statement), good


def disclose(envelope: str, verify: Verify, label: str) -> tuple[dict[str, Any], list[str]]:
    """Return the statement in an envelope and the ids of the trusted keys that signed it.

    Raises:
        GrantInvalid: if it is no envelope, or no trusted key has signed it; *label* names it.
    """
    try:
        outer = json.loads(envelope)
        payload = base64.b64decode(outer["payload"], validate=True)
        signatures = [
            (str(s["keyid"]), base64.b64decode(s["sig"], validate=True))
            for s in outer["signatures"]
        ]
        kind = outer["payloadType"]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise GrantInvalid(f"{label} is not a DSSE envelope: {error!r}") from error
    message = pae(str(kind), payload)
    good = [key for key, sig in signatures if verify(key, sig, message)]
    if kind != PAYLOAD_TYPE or not good:
        keys = ", ".join(key for key, _ in signatures) or "no key"
        raise GrantInvalid(f"{label} is signed by {keys}, which is not a trusted key")
    statement: dict[str, Any] = json.loads(payload)
    return statement, good


def read_own(envelope: str) -> Grant:
    """Return the grant in an envelope from where deciders alone can write; nothing is checked."""
    return _grant_of(json.loads(base64.b64decode(json.loads(envelope)["payload"])))


def _grant_of(statement: Mapping[str, Any]) -> Grant:
    if (statement.get("_type"), statement.get("predicateType")) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise GrantInvalid("the signed statement is not a grant")
    claims = dict(statement["predicate"])
    for key in ("issued_at", "expires_at"):
        claims[key] = datetime.fromisoformat(claims[key])
    return Grant(**claims)


def check(grant: Grant, expected: Mapping[str, Any], now: datetime) -> None:
    """Check that *grant* allows exactly what is about to happen.

    Raises:
        GrantInvalid: naming the first claim that differs, or the expiry.
    """
    for claim, expected_value in expected.items():
        actual = getattr(grant, claim)
        if actual != expected_value:
            raise GrantInvalid(
                f"grant {grant.id} is for {claim} {actual!r}, but this is {expected_value!r}",
                next_step="Its requester withdraws the release "
                f'(`airlock release withdraw {grant.release} --as REQUESTER --reason "..."`); '
                "then run the pipeline again for what is there now.",
            )
    if now >= grant.expires_at:
        raise GrantInvalid(
            f"grant {grant.id} expired at {readable(grant.expires_at)}",
            next_step="A grant is made when it is used: promote again "
            f"(`airlock release promote {grant.release}`).",
        )
