"""The Slack app's secrets from a connection of Airflow, where the environment names one.

Rules:
* What the environment says wins, value by value; the connection fills in what is missing there.
* A value of the wrong form, no token, or nothing to tell Slack by is refused by name. A value is
  never shown.

It knows no Airflow: who can read connections hands in how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from airlock.config.setting_names import SETTINGS
from airlock.config.settings import Settings, SlackSettings
from airlock.domain.errors import Invalid

#: What a connection holds: our name, where it stands there, the setting it stands for.
PARTS = (
    ("bot_token", "password", "AIRLOCK_SLACK_BOT_TOKEN"),
    ("signing_secret", "extra.signing_secret", "AIRLOCK_SLACK_SIGNING_SECRET"),
    ("app_token", "extra.app_token", "AIRLOCK_SLACK_APP_TOKEN"),
)
_ADVICE = "Mend the connection in Airflow, then restart; docs/howto/slack.md shows how it looks."


def connected(settings: Settings, read: Callable[[str], Mapping[str, str]]) -> Settings:
    """Return the settings completed from their Airflow connection, if they name one.

    Raises:
        Invalid: naming what is wrong with the connection.
        Unreachable: if it could not be read.
    """
    name, slack = settings.slack_connection, settings.slack
    if name is None or slack is None:
        return settings
    values = {part: value for part, value in read(name).items() if value}
    if wrong := [f"its {where} is not {expected}" for where, expected in _wrong(values)]:
        raise Invalid(_refused(name, " and ".join(wrong)), next_step=_ADVICE)
    filled = _filled(slack, values)
    if not filled.bot_token:
        raise Invalid(_refused(name, "its password, the bot token, is empty"), next_step=_ADVICE)
    if not filled.signing_secret and not filled.app_token:
        missing = "its extra has neither signing_secret nor app_token"
        raise Invalid(_refused(name, missing), next_step=_ADVICE)
    return replace(settings, slack=filled)


def _filled(slack: SlackSettings, values: Mapping[str, str]) -> SlackSettings:
    secrets = tuple(secret.strip() for secret in values.get("signing_secret", "").split(","))
    return replace(
        slack,
        bot_token=slack.bot_token or values.get("bot_token", ""),
        signing_secret=slack.signing_secret or tuple(secret for secret in secrets if secret),
        app_token=slack.app_token or values.get("app_token", ""),
    )


def _wrong(values: Mapping[str, str]) -> list[tuple[str, str]]:
    settings = {setting.name: setting for setting in SETTINGS}
    return [
        (where, settings[variable].expected)
        for part, where, variable in PARTS
        if part in values and not settings[variable].accepts(values[part])
    ]


def _refused(name: str, why: str) -> str:
    return f"the connection {name!r} of Airflow cannot be used for Slack: {why}"
