"""A connection of Airflow fills in what the environment leaves out of Slack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from airlock.config.connected import connected
from airlock.config.settings import Settings, SlackSettings
from airlock.domain.errors import Invalid

pytestmark = pytest.mark.unit

TOKEN, APP_TOKEN, SECRET, OLD = "xoxb-1-abc", "xapp-1-abc", "new" * 8, "old" * 8
WHOLE = {"bot_token": TOKEN, "signing_secret": SECRET, "app_token": APP_TOKEN}


def slack(held: Mapping[str, str], **given: str) -> SlackSettings:
    environ = {"AIRLOCK_SLACK_CONNECTION": "slack_airlock"} | given
    found = connected(Settings.from_environment(environ, Path("/srv")), lambda _: held).slack
    assert found is not None
    return found


def test_nothing_is_read_unless_a_connection_is_named() -> None:
    def read(name: str) -> dict[str, str]:
        raise AssertionError(name)

    for environ in ({}, {"AIRLOCK_SLACK_BOT_TOKEN": TOKEN}):
        settings = Settings.from_environment(environ, Path("/srv"))
        assert connected(settings, read) is settings


def test_it_fills_in_all_three_and_keeps_the_rest() -> None:
    found = slack(WHOLE, AIRLOCK_SLACK_CHANNEL="C0001")
    assert (found.bot_token, found.signing_secret, found.app_token) == (TOKEN, (SECRET,), APP_TOKEN)
    assert found.channel == "C0001"


def test_the_environment_wins_value_by_value() -> None:
    found = slack(WHOLE, AIRLOCK_SLACK_BOT_TOKEN="xoxb-9-mine")
    assert (found.bot_token, found.signing_secret) == ("xoxb-9-mine", (SECRET,))
    found = slack({"bot_token": TOKEN}, AIRLOCK_SLACK_SIGNING_SECRET=SECRET)
    assert (found.bot_token, found.signing_secret, found.app_token) == (TOKEN, (SECRET,), "")


def test_two_secrets_count_while_they_are_changed() -> None:
    assert slack({**WHOLE, "signing_secret": f"{SECRET}, {OLD}"}).signing_secret == (SECRET, OLD)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({}, "its password, the bot token, is empty"),
        ({"signing_secret": SECRET}, "its password, the bot token, is empty"),
        ({"bot_token": TOKEN}, "neither signing_secret nor app_token"),
        ({**WHOLE, "bot_token": "xoxp-users"}, "its password is not a bot token, xoxb-"),
        ({**WHOLE, "signing_secret": "short"}, "its extra.signing_secret is not a signing secret"),
        ({**WHOLE, "app_token": TOKEN}, "its extra.app_token is not an app-level token"),
    ],
)
def test_what_is_missing_or_of_the_wrong_form_is_named_and_not_shown(
    held: dict[str, str], words: str
) -> None:
    with pytest.raises(Invalid) as refused:
        slack(held)
    assert words in refused.value.message
    assert "'slack_airlock'" in refused.value.message
    for value in held.values():
        assert value not in refused.value.message
