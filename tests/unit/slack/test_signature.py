"""Whether a request is Slack's. Nothing is, unless everything fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from slack_sdk.signature import SignatureVerifier

from airlock.adapters.slack.signature import SIGNATURE, TIMESTAMP, genuine

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
BODY = b"payload=%7B%22type%22%3A%22block_actions%22%7D"
NEW, OLD = "1" * 32, "2" * 32


def signed(body: bytes = BODY, secret: str = NEW, age: float = 0, **changes: str) -> dict[str, str]:
    at = str(int((NOW - timedelta(seconds=age)).timestamp()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=at, body=body)
    assert signature is not None
    return {TIMESTAMP: at, SIGNATURE: signature, **changes}


def test_without_a_secret_nothing_is_genuine() -> None:
    assert not genuine((), BODY, signed(), NOW)
    assert not genuine(("", "  "), BODY, signed(), NOW)
    assert not genuine((NEW,), BODY, {}, NOW)


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_either_secret_counts_while_one_replaces_the_other(secret: str) -> None:
    assert genuine((NEW, OLD), BODY, signed(secret=secret), NOW)
    assert not genuine((NEW, OLD), BODY, signed(secret="3" * 32), NOW)


def test_how_headers_are_spelled_does_not_matter() -> None:
    spelled = {name.upper(): value for name, value in signed().items()}
    assert genuine((NEW,), BODY, spelled, NOW)


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_five_minutes_either_way_are_taken(age: int) -> None:
    assert genuine((NEW,), BODY, signed(age=age), NOW)


@pytest.mark.parametrize("age", [-86_400, -301, 301, 86_400])
def test_anything_older_or_newer_is_not(age: int) -> None:
    assert not genuine((NEW,), BODY, signed(age=age), NOW)


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], b"", b"\xff\xfe"])
def test_a_body_that_was_changed_is_not_genuine(body: bytes) -> None:
    assert not genuine((NEW,), body, signed(), NOW)


@pytest.mark.parametrize(
    "stamp", ["", " ", "now", "1e9", "-1", "+1", "1_000", "٣", "9" * 5000, "nan"]
)
def test_a_timestamp_that_is_no_number_is_not_genuine(stamp: str) -> None:
    assert not genuine((NEW,), BODY, signed(**{TIMESTAMP: stamp}), NOW)


@pytest.mark.parametrize("signature", ["", "v0=", "v0=é", "v1=abc", "v0=" + "0" * 64, "ÿ" * 67])
def test_a_signature_that_is_none_is_not_genuine(signature: str) -> None:
    assert not genuine((NEW,), BODY, signed(**{SIGNATURE: signature}), NOW)


def test_a_body_that_is_no_text_is_not_genuine_even_if_it_could_be_signed() -> None:
    assert not genuine((NEW,), b"\xff\xfe", signed(b""), NOW)
