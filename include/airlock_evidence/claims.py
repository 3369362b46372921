"""The grants: signed by a trusted key, those the log says were issued, and for this release.

A grant is an in-toto statement in a DSSE envelope. The log keeps the digest of each envelope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airlock_evidence.archive import Failed, canonical, sha256
from airlock_evidence.proofs import Verify, unbase64
from airlock_evidence.told import Told
from airlock_evidence.trust import Rotation, check_in_use
from airlock_evidence.words import moment

PROMOTION, ROLLBACK = "grants/promotion.json", "grants/rollback.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:airlock:grant:v1"


def envelope_digest(envelope: bytes) -> str:
    """Return the digest the log keeps of an envelope: that of its text as a JSON string."""
    return sha256(canonical(envelope.decode()))


def open_envelope(where: str, envelope: bytes) -> dict[str, Any]:
    """Return payload, claims and signatures of an envelope; nothing is verified.

    Raises:
        Failed: if it is not the envelope of a grant.
    """
    try:
        outer = json.loads(envelope)
        payload = unbase64(outer["payload"])
        statement = json.loads(payload)
        kinds = (outer["payloadType"], statement["_type"], statement["predicateType"])
        good = kinds == (PAYLOAD_TYPE, STATEMENT_TYPE, PREDICATE_TYPE)
        signatures = [(one["keyid"], unbase64(one["sig"])) for one in outer["signatures"]]
        claims = dict(statement["predicate"])
        subject = [{"name": one["name"], "digest": one["digest"]} for one in statement["subject"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(where, "is not the envelope of a grant") from error
    if not good:
        raise Failed(where, "is not the envelope of a grant")
    return {"payload": payload, "claims": claims, "signatures": signatures, "subject": subject}


def check_grants(
    files: Mapping[str, bytes],
    told: Told,
    policy: Mapping[str, Any],
    verify: Verify,
    rotated: Sequence[Rotation],
) -> list[str]:
    """Check the grant of the newest round and that of a rollback; return what is to be noted.

    Raises:
        Failed: if one is missing, not signed, not the one in the log, or for something else.
    """
    current = [one for one in told.grants if one["round"] == told.round]
    notes = [
        f"grant {one['grant']} of round {one['round']} is void and not in the bundle"
        for one in told.grants
        if one["round"] != told.round
    ]
    notes += [
        f"grant {one['grant']} was revoked before its attempt moved anything"
        for one in current
        if one["grant"] in told.ended
    ]
    _check_there(files, PROMOTION, bool(current))
    _check_there(files, ROLLBACK, bool(told.rollbacks))
    if current:
        claims = _signed(files, PROMOTION, current[-1], verify, rotated)
        _demand(PROMOTION, claims, _expected(told, policy, current[-1]))
        _check_spent(told, claims)
    if told.rollbacks:
        newest = told.rollbacks[-1]
        claims = _signed(files, ROLLBACK, newest, verify, rotated)
        expected = {
            "rolls_back": told.id,
            "release": newest["to"],
            "version": newest["version"],
            "sequence": newest["sequence"],
            "model": told.subject["model"],
            "environment": told.subject["environment"],
            "expected_current": told.subject["version"],
        }
        _demand(ROLLBACK, claims, expected)
        notes += [
            f"rollback grant {one['grant']} was replaced by a later one"
            for one in told.rollbacks[:-1]
        ]
    return notes


def _check_there(files: Mapping[str, bytes], name: str, wanted: bool) -> None:
    if wanted and name not in files:
        raise Failed(name, "is missing, the log says it was issued")
    if not wanted and name in files:
        raise Failed(name, "is here, but the log says of no such grant")


def _signed(
    files: Mapping[str, bytes],
    where: str,
    issued: Mapping[str, Any],
    verify: Verify,
    rotated: Sequence[Rotation],
) -> dict[str, Any]:
    envelope = files[where]
    found = open_envelope(where, envelope)
    if envelope_digest(envelope) != issued["envelopeDigest"]:
        raise Failed(where, "is not the grant the log says was issued")
    message = pae(found["payload"])
    good = [key for key, signature in found["signatures"] if verify(key, signature, message)]
    if not good:
        used = ", ".join(str(key) for key, _ in found["signatures"]) or "no key"
        raise Failed(where, f"is signed by {used}, which is not a trusted key")
    claims: dict[str, Any] = found["claims"]
    check_in_use(where, good[0], moment(claims["issued_at"]).timestamp(), rotated)
    named = {
        "name": f"{claims['model']}/{claims['version']}",
        "digest": {"sha256": claims["artifact_digest"].replace("sha256:", "", 1)},
    }
    if found["subject"] != [named] or claims["id"] != issued["grant"]:
        raise Failed(where, "names another model or another grant than it says")
    return claims


def _expected(told: Told, policy: Mapping[str, Any], issued: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the grant of a release has to say."""
    subject = told.subject
    place = policy["approval"]["spec"]["environments"][subject["environment"]]
    return {
        "release": told.id,
        "model": subject["model"],
        "version": subject["version"],
        "alias": place.get("alias") or subject["environment"],
        "environment": subject["environment"],
        "artifact_digest": subject["artifact_digest"],
        "location": told.location,
        "subject_digest": told.digest,
        "policy_digest": subject["policy_digest"],
        "sequence": issued["sequence"],
        "round": told.round,
        "rolls_back": "",
    }


def _demand(where: str, claims: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, wanted in expected.items():
        if claims.get(name) != wanted:
            raise Failed(where, f"is for {name} {claims.get(name)!r}, the log says {wanted!r}")


def _check_spent(told: Told, claims: Mapping[str, Any]) -> None:
    """Check that the promotion did what the grant allows, while it was valid."""
    done = told.promotion
    if not done:
        return
    did = {
        "id": done["grant"],
        "alias": done["alias"],
        "version": done["after"],
        "expected_current": done["before"],
        "sequence": done["sequence"],
    }
    _demand(PROMOTION, claims, did)
    begun = [one["at"] for one in told.started if one["grant"] == claims["id"]]
    if moment(begun[0]) >= moment(claims["expires_at"]):
        raise Failed(PROMOTION, f"had expired at {claims['expires_at']} when it was spent")
    ends = [one["until"] for one in told.started if one["grant"] == claims["id"] and "until" in one]
    if ends and moment(ends[0]) != moment(claims["expires_at"]):
        raise Failed(PROMOTION, f"ends at {claims['expires_at']}, its attempt at {ends[0]}")


def pae(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, the bytes that are signed."""
    kind = PAYLOAD_TYPE.encode()
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])
