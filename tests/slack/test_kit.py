"""The test kit itself: what the emulators really do, so that a green test means something."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from airlock_platform.databases.postgres import free_port
from tests.slack import emulators, shim
from tests.slack.kit import ACCOUNTS, CHANNEL, Workspace, workspace
from tests.slack.second import ask, second_api


@pytest.fixture(scope="module")
def slack() -> Iterator[Workspace]:
    with workspace() as space:
        yield space


def call(slack: Workspace, method: str, token: str = shim.BOT_TOKEN, **arguments: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(slack.shim.url + method, json=arguments, headers=headers, timeout=5)
    return answer.json()


def test_an_empty_workspace_shows_nothing(slack: Workspace) -> None:
    assert slack.messages() == []
    assert slack.form() == {}
    assert slack.home("lena") == {}


def test_what_is_posted_can_be_read_back(slack: Workspace) -> None:
    answer = call(slack, "chat.postMessage", channel=CHANNEL, text="hello")
    assert answer["ok"], answer
    assert slack.await_message("hello")["ts"] == answer["ts"]


def test_a_wrong_token_is_refused(slack: Workspace) -> None:
    assert call(slack, "auth.test", token="xoxb-other") == {"ok": False, "error": "invalid_auth"}


def test_faults_come_once_or_until_healed(slack: Workspace) -> None:
    slack.shim.next("auth.test", shim.error("is_archived"))
    assert call(slack, "auth.test")["error"] == "is_archived"
    slack.shim.always(shim.error("fatal_error"))
    assert [call(slack, "auth.test")["error"] for _ in range(2)] == ["fatal_error"] * 2
    slack.shim.heal()
    assert call(slack, "auth.test")["ok"]


def test_people_can_be_other_than_the_emulator_says(slack: Workspace) -> None:
    slack.shim.people[ACCOUNTS["vera"]] = {"deleted": True}
    assert call(slack, "users.info", user=ACCOUNTS["vera"])["user"]["deleted"] is True
    assert call(slack, "users.info", user=ACCOUNTS["lena"])["user"]["deleted"] is False


@pytest.mark.attack
def test_every_package_is_held_to_its_hash_whatever_registry_it_comes_from() -> None:
    folder = Path(__file__).parent
    versions = json.loads((folder / "package.json").read_text())["dependencies"]
    text = (folder / "package-lock.json").read_text()
    locked = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert {f"node_modules/{name}" for name in versions} <= locked.keys()
    assert all(package["integrity"].startswith("sha512-") for package in locked.values())
    assert all(
        locked[f"node_modules/{name}"]["version"] == version for name, version in versions.items()
    )
    assert "http" not in text
    assert "resolved" not in text


@pytest.mark.attack
def test_a_changed_program_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "local-slack"
    other.write_bytes(b"#!/bin/sh\n")
    monkeypatch.setattr(emulators, "PROGRAM", other)
    emulators._trusted.cache_clear()
    with pytest.raises(AssertionError, match="expected 3332007b"), workspace():
        raise AssertionError("it ran")
    emulators._trusted.cache_clear()


@pytest.mark.attack
def test_an_emulator_reaches_nothing_but_its_door(tmp_path: Path) -> None:
    """What runs where the emulators run cannot reach a port of this machine, nor any other."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        walls = emulators._walls(tmp_path)
        probed = subprocess.run([*walls, "--", sys.executable, "-c", probe], capture_output=True)
        assert b"ConnectionRefusedError" in probed.stderr
        outside = subprocess.run([sys.executable, "-c", probe], capture_output=True)
        assert outside.returncode == 0, outside.stderr


def test_nothing_is_left_running() -> None:
    with workspace(door=free_port()) as slack:
        port = slack.port
        assert running(port)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)
    slack.await_(lambda: not running(port), "the emulator to be gone", 10)


def running(port: int) -> bool:
    """Return whether a program that was told this port runs."""
    mark, there = f"--port\0{port}\0".encode(), False
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            there = there or mark in file.read_bytes()
    return there


def test_the_second_web_api_keeps_what_is_beside_a_message() -> None:
    with second_api() as other:
        beside = {"event_type": "airlock", "event_payload": {"key": "k"}}
        ask(other.port, "chat.postMessage", channel=other.channel, text="hello", metadata=beside)
        assert [message["text"] for message in other.messages()] == ["hello"]
        assert other.messages()[0]["metadata"]["event_payload"] == {"key": "k"}
        form = {"type": "modal", "title": {"type": "plain_text", "text": "t"}, "blocks": []}
        opened = ask(other.port, "views.open", trigger_id=other.trigger("lena"), view=form)
        assert opened["view"]["type"] == "modal"
