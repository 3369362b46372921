"""What Slack's error codes mean: wait, mend, give up, or ask again."""

from __future__ import annotations

import pytest

from airlock.adapters.slack.failures import A_WHILE, CLOSED, GONE, Unshowable, failure
from airlock.domain.errors import Refused, Unreachable
from airlock.ports.chat import Busy, Closed, Gone


@pytest.mark.parametrize("code", sorted(CLOSED))
def test_what_every_message_would_meet_says_what_to_mend(code: str) -> None:
    error = failure("chat.postMessage", 200, code)
    assert isinstance(error, Closed)
    assert error.code == code
    assert len(error.next_step) > 20


@pytest.mark.parametrize("code", sorted(GONE))
def test_a_message_that_is_not_there_is_gone(code: str) -> None:
    assert isinstance(failure("chat.update", 200, code), Gone)


@pytest.mark.parametrize("code", ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"])
def test_a_layout_not_taken_may_be_another_one(code: str) -> None:
    assert isinstance(failure("chat.postMessage", 200, code), Unshowable)


def test_a_message_not_taken_is_refused_for_good() -> None:
    error = failure("chat.postMessage", 200, "msg_too_long")
    assert type(error) is Refused
    assert "msg_too_long" in error.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "internal_error"),
        (503, ""),
        (200, "fatal_error"),
        (200, "Received a response in a non-JSON format: <html>"),
        (404, "Received a response in a non-JSON format: <html>"),
        (200, ""),
    ],
)
def test_what_is_no_clear_answer_is_asked_again(status: int, code: str) -> None:
    error = failure("chat.postMessage", status, code)
    assert type(error) is Unreachable
    assert "<html>" not in error.message


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("30", 30), ("0", 1), ("2.5", 2.5), ("", A_WHILE), ("soon", A_WHILE), ("nan", A_WHILE)],
)
def test_busy_says_how_long(delay: str, seconds: float) -> None:
    for error in (failure("m", 429, "", delay), failure("m", 200, "ratelimited", delay)):
        assert isinstance(error, Busy)
        assert error.seconds == seconds


def test_nobody_waits_for_days() -> None:
    error = failure("m", 429, "ratelimited", "inf")
    assert isinstance(error, Busy)
    assert error.seconds == 3600
