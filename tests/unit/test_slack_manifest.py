"""deploy/slack/manifest.yaml asks for what the code needs, and for nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from slack_sdk import WebClient

from airlock.adapters.slack.api_probe import SCOPES
from airlock.adapters.slack.views import card, replies
from airlock.entrypoints.http import slack_endpoint
from airlock.entrypoints.slack import approval_actions
from airlock.entrypoints.slack import commands as slack_commands
from tests.support import ROOT

ADAPTER = ROOT / "include/airlock/adapters/slack"
TEXT = (ROOT / "deploy/slack/manifest.yaml").read_text()
MANIFEST: dict[str, Any] = yaml.safe_load(TEXT)
ADDRESS = "https://AIRFLOW/airlock/slack/interactions"

#: What Slack's documentation says a method needs of a bot; of alternatives those for a channel.
NEEDS: dict[str, set[str]] = {
    "auth_test": set(),
    "apps_connections_open": set(),  # an app-level token with connections:write, not the bot's
    "bots_info": {"users:read"},
    "chat_postEphemeral": {"chat:write"},
    "chat_postMessage": {"chat:write"},
    "chat_update": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history"},
    "conversations_info": {"channels:read", "groups:read"},
    "conversations_open": {"im:write"},
    "conversations_replies": {"channels:history", "groups:history"},
    "users_info": {"users:read"},
    "views_open": set(),
    "views_publish": set(),
    "views_update": set(),
}


def methods(text: str) -> set[str]:
    """The methods of the Web API a module calls through the SDK."""
    names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    return {name for name in names if "_" in name and name[0] != "_" and hasattr(WebClient, name)}


def called() -> set[str]:
    files = [path for path in ADAPTER.rglob("*.py") if "slack_sdk" in path.read_text()]
    return {name for path in files for name in methods(path.read_text())}


def bot_scopes() -> list[str]:
    scopes: list[str] = MANIFEST["oauth_config"]["scopes"]["bot"]
    return scopes


def test_a_method_is_recognised() -> None:
    assert methods("self._client.chat_delete(channel=c)") == {"chat_delete"}


def test_it_asks_for_the_scopes_of_the_calls_and_for_the_command() -> None:
    assert called() - NEEDS.keys() == set(), "say in NEEDS which scopes these need"
    needed = {"commands"}.union(*(NEEDS[name] for name in called()))
    assert needed == set(bot_scopes())


def test_the_check_asks_for_the_same_scopes() -> None:
    assert bot_scopes() == list(SCOPES)


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_every_scope_is_explained_to_whoever_sets_it_up(scope: str) -> None:
    assert f"`{scope}`" in (ROOT / "docs/howto/slack.md").read_text()


def test_everything_slack_sends_goes_to_the_one_address() -> None:
    settings, features = MANIFEST["settings"], MANIFEST["features"]
    (command,) = features["slash_commands"]
    assert settings["interactivity"] == {"is_enabled": True, "request_url": ADDRESS}
    assert settings["event_subscriptions"]["request_url"] == ADDRESS
    assert (command["command"], command["url"]) == (slack_commands.COMMAND, ADDRESS)
    assert f"https://AIRFLOW/airlock{slack_endpoint.PATH}" == ADDRESS
    assert re.findall(r"https://\S+", TEXT) == [ADDRESS] * 3


def test_the_hint_names_what_the_command_can_do() -> None:
    hint = MANIFEST["features"]["slash_commands"][0]["usage_hint"]
    commands = ", ".join(f"/airlock {command}" for command in hint.split(" | "))
    assert replies.usage()["text"] == f"Airlock: {commands}"


def test_every_button_of_a_card_is_one_the_desk_takes() -> None:
    buttons = {card.APPROVE, card.REJECT, card.EVIDENCE, card.REVIEW}
    assert buttons == approval_actions.DECISIONS.keys() | approval_actions.LINKS


def test_the_inbox_is_there_and_people_can_be_written_to() -> None:
    home = MANIFEST["features"]["app_home"]
    assert home["home_tab_enabled"]
    assert home["messages_tab_enabled"]
    assert home["messages_tab_read_only_enabled"]
    assert MANIFEST["settings"]["event_subscriptions"]["bot_events"] == ["app_home_opened"]


def test_there_is_no_second_manifest() -> None:
    assert [path.name for path in Path(ROOT / "deploy/slack").iterdir()] == ["manifest.yaml"]


def test_socket_mode_and_token_rotation_are_off() -> None:
    settings = MANIFEST["settings"]
    assert not settings["socket_mode_enabled"]
    assert not settings["token_rotation_enabled"]
