"""What `airlock up|down|status` makes of the environment, and what it says of Slack."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airlock.entrypoints.cli.platform.lifecycle import current_platform, slack_state
from airlock_platform.lifecycle import Launch
from airlock_platform.processes import process_group
from tests.command import run_cli
from tests.support import ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRLOCK_ROOT", str(ROOT))
    monkeypatch.setenv("AIRLOCK_HOME", str(tmp_path))
    return tmp_path


def runs(home: Path) -> None:
    """Let this test's own process stand for the one of Slack."""
    (home / "run/pids").mkdir(parents=True)
    process_group.record(home / "run/pids/slack.json", {"child": os.getpid()})


def test_without_slack_status_says_so(home: Path) -> None:
    assert json.loads(run_cli("status", "--json").out)["slack"] == "not configured"
    assert current_platform().options.slack == {}


def test_what_the_caller_has_set_of_slack_is_passed_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOCK_SLACK_CHANNEL", "C0001")
    monkeypatch.setenv("AIRLOCK_SLACK_BOT_TOKEN", "xoxb-1-abc")
    monkeypatch.setenv("AIRLOCK_SLACK_APP_TOKEN", "")
    monkeypatch.setenv("AIRLOCK_ALERT_MAIL", "ops@example.org")
    options = current_platform().options
    slack_settings = {"AIRLOCK_SLACK_CHANNEL": "C0001", "AIRLOCK_SLACK_BOT_TOKEN": "xoxb-1-abc"}
    assert (options.slack, options.alert_mail) == (slack_settings, "ops@example.org")
    assert slack_state(current_platform()) == "not running; see the log of slack"
    runs(home)
    assert slack_state(current_platform()) == "running, channel C0001"


def test_slack_that_runs_but_is_set_nowhere_is_said(home: Path) -> None:
    runs(home)
    state = slack_state(current_platform())
    assert state.startswith("running, but AIRLOCK_SLACK_* is set nowhere any more")


@pytest.mark.parametrize("url", ["", "https://airflow.example.org"])
def test_the_public_address_moves_what_airflow_calls_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AIRLOCK_PUBLIC_URL", url)
    assert current_platform().options.public_url == url


def test_an_interrupted_start_says_in_one_sentence_what_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Launch, "up", interrupted)
    result = run_cli("up")
    output = result.out + capsys.readouterr().out
    assert result.code == 130
    assert "Traceback" not in result.err + output
    assert "Interrupted. What was started goes on: `airlock up` starts the rest" in output
