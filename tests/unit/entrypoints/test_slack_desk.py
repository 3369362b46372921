"""The desk is there where Slack is set up, and only there; what is missing is named in the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from airlock.config.settings import SlackSettings
from airlock.domain.errors import Refused, Unreachable
from airlock.entrypoints.http.slack_endpoint import Reception
from airlock.entrypoints.slack.dispatcher import Desk, desk_of
from airlock.testing import FakeKeys

WHOLE = SlackSettings(bot_token="xoxb-1", signing_secret=("5" * 32,), team_id="T1", app_id="A1")


@dataclass
class Process:
    """As much of a process as a desk is made from."""

    slack: SlackSettings | None = WHOLE
    signer: Any = None
    chat: Any = None
    store: Any = None

    @property
    def settings(self) -> Any:
        return SimpleNamespace(slack=self.slack, public_url="http://here")


def build_desk(**parts: Any) -> Desk:
    chat = SimpleNamespace()
    process = Process(**{"signer": FakeKeys(), "chat": chat, **parts})
    return desk_of(process)  # type: ignore[arg-type]


def test_a_desk_is_made_of_the_settings() -> None:
    assert build_desk().settings is WHOLE


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (None, "AIRLOCK_SLACK_BOT_TOKEN, AIRLOCK_SLACK_TEAM_ID, AIRLOCK_SLACK_APP_ID"),
        (replace(WHOLE, bot_token=""), "AIRLOCK_SLACK_BOT_TOKEN"),
        (replace(WHOLE, team_id=""), "AIRLOCK_SLACK_TEAM_ID"),
        (replace(WHOLE, app_id=""), "AIRLOCK_SLACK_APP_ID"),
    ],
)
def test_what_is_missing_is_named(missing: SlackSettings | None, named: str) -> None:
    with pytest.raises(Refused, match=f"set up: {named} is not set"):
        build_desk(slack=missing)


def test_who_cannot_decide_has_no_desk() -> None:
    with pytest.raises(Unreachable, match="no signing key"):
        build_desk(signer=None)


def test_the_door_says_the_same_whatever_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "airlock.slack")
    reception = Reception(lambda: build_desk(slack=None))
    for _ in range(3):
        with pytest.raises(Unreachable, match=r"^Slack is not set up here$"):
            reception.desk()
    assert caplog.text.count("AIRLOCK_SLACK_BOT_TOKEN") == 1
    unsigned = replace(WHOLE, signing_secret=())
    for never in (Reception(), Reception(lambda: build_desk(slack=unsigned))):
        with pytest.raises(Unreachable, match=r"^Slack is not set up here$"):
            never.desk()


def test_the_desk_is_made_as_soon_as_it_can_be_and_once() -> None:
    settings: list[SlackSettings | None] = [WHOLE, None]
    reception = Reception(lambda: build_desk(slack=settings.pop()))
    with pytest.raises(Unreachable):
        reception.desk()
    assert reception.desk() is reception.desk()
