"""What is released in one environment, as Airlock states it to those who serve.

An in-toto statement in a DSSE envelope, signed by the key that signs grants. It holds the grant
that moved the line there, as it was signed then, and the whole subject, so that a reader needs
nothing but this text and the public keys:

* the grant's signature is its own: whoever states cannot invent a release;
* the subject's digest is the grant's: data, code, policy and model belong together;
* the sequence is the line's epoch. It only grows, also by a rollback, so a reader who remembers
  the highest one it has seen cannot be handed an older release again.

An expired grant is no reason to stop serving: it limits when the alias may move. A key that is no
longer trusted is one.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from airlock.domain.approval.release import Subject
from airlock.domain.clock import moment, stamp
from airlock.domain.digest import canonical_json
from airlock.domain.errors import Refused
from airlock.domain.promotion.grant import PAYLOAD_TYPE, STATEMENT_TYPE, Grant, Verify, pae, unseal

PREDICATE_TYPE = "urn:airlock:released:v1"

#: (key id, time) -> was the key in use then?
ValidAt = Callable[[str, datetime], bool]


class ReleaseUnproven(Refused):
    """The statement does not prove that this may be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """One statement, checked. `sequence` is the grant's."""

    grant: Grant
    subject: Subject
    envelope: str
    moved_at: datetime
    stated_at: datetime

    @property
    def sequence(self) -> int:
        """How often the line has moved; only ever higher."""
        return self.grant.sequence


def state(
    grant: Grant, envelope: str, subject: Subject, moved_at: datetime, stated_at: datetime
) -> dict[str, Any]:
    """Return the statement that *grant* is what the line stands at."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": f"{grant.model}/{grant.version}",
                "digest": {"sha256": grant.artifact_digest.removeprefix("sha256:")},
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "model": grant.model,
            "environment": grant.environment,
            "sequence": grant.sequence,
            "grant": envelope,
            "subject": asdict(subject),
            "movedAt": stamp(moved_at),
            "statedAt": stamp(stated_at),
        },
    }


def seal(statement: dict[str, Any], key_id: str, sign: Callable[[bytes], bytes]) -> str:
    """Return the statement as a signed DSSE envelope."""
    payload = canonical_json(statement)
    signature = base64.b64encode(sign(pae(PAYLOAD_TYPE, payload))).decode()
    return canonical_json(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key_id, "sig": signature}],
        }
    ).decode()


def open_statement(
    text: str, model: str, environment: str, verify: Verify, valid: ValidAt
) -> Released:
    """Check a statement from the outside in.

    Raises:
        ReleaseUnproven: naming what does not hold.
    """
    key, statement = _outer(text, verify)
    try:
        predicate = statement["predicate"]
        released = Released(
            grant=unseal(predicate["grant"], verify),
            subject=Subject(**predicate["subject"]),
            envelope=predicate["grant"],
            moved_at=moment(predicate["movedAt"]),
            stated_at=moment(predicate["statedAt"]),
        )
        granted_by = _key_of(predicate["grant"])
        scope = (predicate["model"], predicate["environment"], predicate["sequence"])
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseUnproven(f"the statement is not whole: {error!r}") from error
    grant = released.grant
    if scope != (grant.model, grant.environment, grant.sequence):
        raise ReleaseUnproven(
            f"the statement is about {scope}, but its grant moved "
            f"{(grant.model, grant.environment, grant.sequence)}"
        )
    if scope[:2] != (model, environment):
        raise ReleaseUnproven(
            f"this is a statement about {scope[0]} in {scope[1]}; expected {model} in "
            f"{environment}",
            next_step="Ask for the model and the environment that are to be served.",
        )
    for key_id, at in ((granted_by, grant.issued_at), (key, released.stated_at)):
        if not valid(key_id, at):
            raise ReleaseUnproven(
                f"the key {key_id} was given up before it signed at {stamp(at)}",
                next_step="Get the newest public keys; if it repeats, tell the auditors.",
            )
    _check_pairing(released)
    return released


def _outer(text: str, verify: Verify) -> tuple[str, dict[str, Any]]:
    """Return the key that signed, and the statement."""
    try:
        outer = json.loads(text)
        payload = base64.b64decode(outer["payload"], validate=True)
        signatures = [
            (str(entry["keyid"]), base64.b64decode(entry["sig"], validate=True))
            for entry in outer["signatures"]
        ]
        kind = str(outer["payloadType"])
    except (KeyError, TypeError, ValueError, RecursionError, binascii.Error) as error:
        raise ReleaseUnproven(f"this is no signed statement: {error!r}") from error
    message = pae(kind, payload)
    good = [key for key, signature in signatures if verify(key, signature, message)]
    if kind != PAYLOAD_TYPE or not good:
        keys = ", ".join(key for key, _ in signatures) or "no key"
        raise ReleaseUnproven(
            f"the statement is signed by {keys}, which is not a trusted key",
            next_step="Copy Airlock's public keys to the folder of trusted keys.",
        )
    statement = json.loads(payload)
    if not isinstance(statement, dict) or statement.get("predicateType") != PREDICATE_TYPE:
        raise ReleaseUnproven("the signed statement is not about a release")
    return good[0], statement


def _key_of(envelope: str) -> str:
    return str(json.loads(envelope)["signatures"][0]["keyid"])


def _check_pairing(released: Released) -> None:
    """Check that the grant is for exactly this subject: model, data, code and policy together."""
    grant, subject = released.grant, released.subject
    pairs = {
        "subject_digest": (subject.digest, grant.subject_digest),
        "artifact_digest": (subject.artifact_digest, grant.artifact_digest),
        "policy_digest": (subject.policy_digest, grant.policy_digest),
        "model": (subject.model, grant.model),
        "version": (subject.version, grant.version),
        "environment": (subject.environment, grant.environment),
    }
    for name, (stated, granted) in pairs.items():
        if stated != granted:
            raise ReleaseUnproven(
                f"{name} of the statement is {stated}, but the grant is for {granted}"
            )
