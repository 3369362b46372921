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


def slack(connection: Mapping[str, str], **variables: str) -> SlackSettings:
    environ = {"AIRLOCK_SLACK_CONNECTION": "slack_airlock"} | variables
    settings = connected(
        Settings.from_environment(environ, Path("/srv")), lambda _: connection
    ).slack
    assert settings is not None
    return settings


def test_nothing_is_read_unless_a_connection_is_named() -> None:
    def read(name: str) -> dict[str, str]:
        raise AssertionError(name)

    for environ in ({}, {"AIRLOCK_SLACK_BOT_TOKEN": TOKEN}):
        settings = Settings.from_environment(environ, Path("/srv"))
        assert connected(settings, read) is settings


def test_it_fills_in_all_three_and_keeps_the_rest() -> None:
    settings = slack(WHOLE, AIRLOCK_SLACK_CHANNEL="C0001")
    assert (settings.bot_token, settings.signing_secret, settings.app_token) == (
        TOKEN,
        (SECRET,),
        APP_TOKEN,
    )
    assert settings.channel == "C0001"


def test_the_environment_wins_value_by_value() -> None:
    settings = slack(WHOLE, AIRLOCK_SLACK_BOT_TOKEN="xoxb-9-mine")
    assert (settings.bot_token, settings.signing_secret) == ("xoxb-9-mine", (SECRET,))
    settings = slack({"bot_token": TOKEN}, AIRLOCK_SLACK_SIGNING_SECRET=SECRET)
    assert (settings.bot_token, settings.signing_secret, settings.app_token) == (
        TOKEN,
        (SECRET,),
        "",
    )


def test_two_secrets_count_while_they_are_changed() -> None:
    assert slack({**WHOLE, "signing_secret": f"{SECRET}, {OLD}"}).signing_secret == (SECRET, OLD)


@pytest.mark.parametrize(
    ("connection", "words"),
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
    connection: dict[str, str], words: str
) -> None:
    with pytest.raises(Invalid) as refused:
        slack(connection)
    assert words in refused.value.message
    assert "'slack_airlock'" in refused.value.message
    for value in connection.values():
        assert value not in refused.value.message
