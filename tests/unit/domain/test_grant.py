"""Grants: what is signed is what is checked, byte for byte."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airlock.domain.promotion.grant import (
    PAYLOAD_TYPE,
    Grant,
    GrantInvalid,
    check,
    pae,
    seal,
    unseal,
)
from airlock.testing import FakeKeys

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRANT = Grant(
    id="grant-1",
    release="rel-1",
    model="credit",
    version="7",
    alias="champion",
    environment="production",
    artifact_digest="sha256:" + "a" * 64,
    location="models:/m-1",
    subject_digest="sha256:" + "b" * 64,
    policy_digest="sha256:" + "c" * 64,
    expected_current="6",
    sequence=3,
    issued_at=NOW,
    expires_at=NOW + timedelta(days=14),
)
KEYS = FakeKeys()
ENVELOPE = seal(GRANT, KEYS.key_id, KEYS.sign)


def test_pae_is_the_example_of_the_dsse_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_what_was_sealed_comes_out() -> None:
    assert unseal(ENVELOPE, KEYS.verify) == GRANT


def test_the_statement_is_in_toto_about_the_artifact() -> None:
    statement = json.loads(base64.b64decode(json.loads(ENVELOPE)["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "credit/7", "digest": {"sha256": "a" * 64}}]


@pytest.mark.parametrize(
    "envelope", ["", "{}", "[]", "null", '{"payload": "!", "signatures": [], "payloadType": "x"}']
)
def test_rubbish_is_no_grant(envelope: str) -> None:
    with pytest.raises(GrantInvalid):
        unseal(envelope, KEYS.verify)


def test_no_signature_is_no_grant() -> None:
    bare = json.loads(ENVELOPE) | {"signatures": []}
    with pytest.raises(GrantInvalid, match="no key"):
        unseal(json.dumps(bare), KEYS.verify)


@pytest.mark.parametrize(
    "index", range(0, len(base64.b64decode(json.loads(ENVELOPE)["payload"])), 37)
)
def test_any_changed_byte_breaks_the_signature(index: int) -> None:
    outer = json.loads(ENVELOPE)
    payload = bytearray(base64.b64decode(outer["payload"]))
    payload[index] ^= 1
    outer["payload"] = base64.b64encode(bytes(payload)).decode()
    with pytest.raises(GrantInvalid):
        unseal(json.dumps(outer), KEYS.verify)


def test_another_signed_statement_is_not_a_grant() -> None:
    payload = json.dumps({"_type": "https://in-toto.io/Statement/v1", "predicateType": "x"})
    signature = KEYS.sign(pae(PAYLOAD_TYPE, payload.encode()))
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload.encode()).decode(),
        "signatures": [{"keyid": KEYS.key_id, "sig": base64.b64encode(signature).decode()}],
    }
    with pytest.raises(GrantInvalid, match="not a grant"):
        unseal(json.dumps(envelope), KEYS.verify)


CLAIMS = (
    "release",
    "model",
    "version",
    "alias",
    "environment",
    "artifact_digest",
    "location",
    "subject_digest",
    "expected_current",
    "sequence",
)


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_grant_is_for_exactly_one_thing(claim: str) -> None:
    expected = {name: getattr(GRANT, name) for name in CLAIMS}
    check(GRANT, expected, NOW)
    with pytest.raises(GrantInvalid, match=f"is for {claim}"):
        check(GRANT, expected | {claim: "another"}, NOW)


@pytest.mark.parametrize(("seconds", "allowed"), [(-1, True), (0, False), (1, False)])
def test_a_grant_expires_to_the_second(seconds: int, allowed: bool) -> None:
    at = GRANT.expires_at + timedelta(seconds=seconds)
    if allowed:
        check(GRANT, {}, at)
    else:
        with pytest.raises(GrantInvalid, match="expired"):
            check(replace(GRANT), {}, at)
