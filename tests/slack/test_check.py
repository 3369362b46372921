"""`airlock slack check` against an emulator somebody else wrote, by HTTP and by Socket Mode."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airlock_platform.databases.postgres import free_port
from tests.command import run_cli
from tests.slack.kit import APP, CHANNEL, TEAM, workspace
from tests.support import ROOT


@pytest.mark.parametrize("socket", [False, True])
def test_it_finds_the_workspace_as_it_is(
    socket: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workspace(door=0 if socket else free_port()) as slack:
        environment = slack.environment(socket=socket) | {
            "AIRLOCK_ROOT": str(ROOT),
            "AIRLOCK_HOME": str(tmp_path),
            "AIRLOCK_PUBLIC_URL": "https://airflow.example.org",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        outcome = run_cli("slack", "check", "--json", *(["--socket"] * socket))
    lines = {check["name"]: check for check in json.loads(outcome.out)["checks"]}
    assert {name for name, check in lines.items() if check["state"] == "wrong"} == set()
    assert lines["team"]["found"] == TEAM
    assert lines["app"]["found"] == APP
    assert lines["channel"]["found"] == f"#releases ({CHANNEL})"
    assert ("socket" in lines) is socket
    # The emulator knows no scopes, so that is the one thing it could not tell.
    assert {name for name, check in lines.items() if check["state"] == "unknown"} == {"scopes"}
    assert outcome.code == 3
