"""The grants: signed by a trusted key, those the log says were issued, and for this release.

A grant is an in-toto statement in a DSSE envelope. The log keeps the digest of each envelope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airlock_evidence.archive import Failed, canonical, sha256
from airlock_evidence.proofs import Verify, unbase64
from airlock_evidence.told import ReleaseState
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
        signatures = [(entry["keyid"], unbase64(entry["sig"])) for entry in outer["signatures"]]
        claims = dict(statement["predicate"])
        subject = [
            {"name": artifact["name"], "digest": artifact["digest"]}
            for artifact in statement["subject"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(where, "is not the envelope of a grant") from error
    if not good:
        raise Failed(where, "is not the envelope of a grant")
    return {"payload": payload, "claims": claims, "signatures": signatures, "subject": subject}


def check_grants(
    files: Mapping[str, bytes],
    release: ReleaseState,
    policy: Mapping[str, Any],
    verify: Verify,
    rotated: Sequence[Rotation],
) -> list[str]:
    """Check the grant of the newest round and that of a rollback; return the notes.

    Raises:
        Failed: if one is missing, not signed, not the one in the log, or for something else.
    """
    current = [grant for grant in release.grants if grant["round"] == release.round]
    notes = [
        f"grant {grant['grant']} of round {grant['round']} is void and not in the bundle"
        for grant in release.grants
        if grant["round"] != release.round
    ]
    notes += [
        f"grant {grant['grant']} was revoked before its attempt moved anything"
        for grant in current
        if grant["grant"] in release.ended
    ]
    _check_there(files, PROMOTION, bool(current))
    _check_there(files, ROLLBACK, bool(release.rollbacks))
    if current:
        claims = _signed(files, PROMOTION, current[-1], verify, rotated)
        _demand(PROMOTION, claims, _expected(release, policy, current[-1]))
        _check_spent(release, claims)
    if release.rollbacks:
        newest = release.rollbacks[-1]
        claims = _signed(files, ROLLBACK, newest, verify, rotated)
        expected = {
            "rolls_back": release.id,
            "release": newest["to"],
            "version": newest["version"],
            "sequence": newest["sequence"],
            "model": release.subject["model"],
            "environment": release.subject["environment"],
            "expected_current": release.subject["version"],
        }
        _demand(ROLLBACK, claims, expected)
        notes += [
            f"rollback grant {grant['grant']} was replaced by a later one"
            for grant in release.rollbacks[:-1]
        ]
    return notes


def _check_there(files: Mapping[str, bytes], name: str, issued: bool) -> None:
    if issued and name not in files:
        raise Failed(name, "is missing, the log says it was issued")
    if not issued and name in files:
        raise Failed(name, "is here, but the log says of no such grant")


def _signed(
    files: Mapping[str, bytes],
    where: str,
    issued: Mapping[str, Any],
    verify: Verify,
    rotated: Sequence[Rotation],
) -> dict[str, Any]:
    envelope = files[where]
    opened = open_envelope(where, envelope)
    if envelope_digest(envelope) != issued["envelopeDigest"]:
        raise Failed(where, "is not the grant the log says was issued")
    message = pae(opened["payload"])
    good = [key for key, signature in opened["signatures"] if verify(key, signature, message)]
    if not good:
        used = ", ".join(str(key) for key, _ in opened["signatures"]) or "no key"
        raise Failed(where, f"is signed by {used}, which is not a trusted key")
    claims: dict[str, Any] = opened["claims"]
    check_in_use(where, good[0], moment(claims["issued_at"]).timestamp(), rotated)
    named = {
        "name": f"{claims['model']}/{claims['version']}",
        "digest": {"sha256": claims["artifact_digest"].replace("sha256:", "", 1)},
    }
    if opened["subject"] != [named] or claims["id"] != issued["grant"]:
        raise Failed(where, "names another model or another grant than it says")
    return claims


def _expected(
    release: ReleaseState, policy: Mapping[str, Any], issued: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the claims the grant of a release has to make."""
    subject = release.subject
    place = policy["approval"]["spec"]["environments"][subject["environment"]]
    return {
        "release": release.id,
        "model": subject["model"],
        "version": subject["version"],
        "alias": place.get("alias") or subject["environment"],
        "environment": subject["environment"],
        "artifact_digest": subject["artifact_digest"],
        "location": release.location,
        "subject_digest": release.digest,
        "policy_digest": subject["policy_digest"],
        "sequence": issued["sequence"],
        "round": release.round,
        "rolls_back": "",
    }


def _demand(where: str, claims: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if claims.get(name) != value:
            raise Failed(where, f"is for {name} {claims.get(name)!r}, the log says {value!r}")


def _check_spent(release: ReleaseState, claims: Mapping[str, Any]) -> None:
    """Check that the promotion did what the grant allows, while it was valid."""
    promotion = release.promotion
    if not promotion:
        return
    did = {
        "id": promotion["grant"],
        "alias": promotion["alias"],
        "version": promotion["after"],
        "expected_current": promotion["before"],
        "sequence": promotion["sequence"],
    }
    _demand(PROMOTION, claims, did)
    begun = [attempt["at"] for attempt in release.started if attempt["grant"] == claims["id"]]
    if moment(begun[0]) >= moment(claims["expires_at"]):
        raise Failed(PROMOTION, f"had expired at {claims['expires_at']} when it was spent")
    ends = [
        attempt["until"]
        for attempt in release.started
        if attempt["grant"] == claims["id"] and "until" in attempt
    ]
    if ends and moment(ends[0]) != moment(claims["expires_at"]):
        raise Failed(PROMOTION, f"ends at {claims['expires_at']}, its attempt at {ends[0]}")


def pae(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, the bytes that are signed."""
    kind = PAYLOAD_TYPE.encode()
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])
