"""`airlock slack`: a process of its own that speaks whatever Slack does, and ends when asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.keys.ed25519 import create
from airlock.adapters.slack.web import SlackWeb
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.outbox.listening import outbox_watch
from airlock.bootstrap.slack import DRAWING
from airlock.domain.errors import Unreachable
from airlock.entrypoints.workers import slack as workers_slack
from airlock.entrypoints.workers import steps
from airlock.services.notifications.slack import Speaker, Where
from airlock.testing import FakeClock, World
from tests.contract.slack_kit import CHANNEL, DOWN, Workspace, each, served
from tests.support import ROOT

pytestmark = pytest.mark.slack


@pytest.fixture
def slack() -> Iterator[Workspace]:
    with served(Workspace(FakeClock(datetime.now(UTC)))) as workspace:
        yield workspace


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path}/airlock.db"
    upgrade(found)
    return found


@pytest.fixture
def world(url: str) -> World:
    return World(SqlStore(url, pooled=False))


class Failing:
    """A database that is away for its first looks, as the real one says it."""

    def __init__(self, store: SqlStore, looks: int) -> None:
        self.store, self.looks = store, looks

    def begin(self) -> Any:
        self.looks -= 1
        if self.looks >= 0:
            raise Unreachable("Airlock's database did not answer")
        return self.store.begin()


def test_what_is_away_is_said_once_and_that_it_is_back(
    url: str,
    world: World,
    slack: Workspace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: Any,
) -> None:
    for name in ("airlock.slack", "airlock.work"):
        caplog.set_level("INFO", name)
    monkeypatch.setattr(workers_slack, "PERIOD_S", 0.01)
    monkeypatch.setattr(steps, "LONGEST_PAUSE_S", 0.02)
    file = tmp_path / "run" / "work-speaking.json"
    world.open()
    chat, where = SlackWeb("xoxb-test", slack.url, timeout=10), Where(channel=CHANNEL)
    speaks = Speaker(Failing(world.store, 3), world.keys, chat, DRAWING, where)
    slack.trouble = each(DOWN, times=2)
    with _thread(lambda stop: workers_slack.run(speaks, stop, outbox_watch(url), file)):
        _until(lambda: slack.cards)
        (row,) = json.loads(file.read_text())["steps"]
        assert row["name"] == "speak in Slack"
    assert not file.exists(), "who ended as asked is late with nothing"
    ours = ("airlock.slack", "airlock.work")
    said = [record.message for record in caplog.records if record.name in ours]
    assert [line.partition(".")[0].strip() for line in said] == [
        "speaking in Slack",
        "Airlock's database did not answer",
        "Slack answered chat",
        "it works again: speak in Slack",
        "Slack takes messages again",
        "ended as asked",
    ]


def test_the_real_process_speaks_and_ends_on_sigterm(
    tmp_path: Path, url: str, world: World, slack: Workspace
) -> None:
    first = world.open()
    with _process(tmp_path, url, slack.url) as child:
        _until(lambda: slack.cards, 60)
        world.approve(first, "lena")
        _until(lambda: slack.replies(slack.cards[0]))
        _until(lambda: "socket is away" in (tmp_path / "log").read_text())
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=20) == 0
    told = (tmp_path / "log").read_text()
    assert "ended as asked" in told
    assert told.count("socket is away") == 1  # and it speaks whether or not it can listen
    assert "very-secret" not in told


def test_ears_that_break_end_the_process() -> None:
    stop = threading.Event()
    ears = workers_slack.Ears(lambda: [][0], stop)
    ears.start()
    ears.join(10)
    assert ears.broke
    assert stop.is_set()


def test_once_says_what_is_due_and_ends(
    tmp_path: Path, url: str, world: World, slack: Workspace
) -> None:
    world.open()
    with _process(tmp_path, url, slack.url, "--once") as child:
        assert child.wait(timeout=60) == 0
    assert len(slack.cards) == 1


def test_without_a_channel_it_says_what_to_set(tmp_path: Path, url: str) -> None:
    with _process(tmp_path, url, "http://127.0.0.1:9/", channel="") as child:
        assert child.wait(timeout=60) == 2
    told = (tmp_path / "log").read_text()
    assert "AIRLOCK_SLACK_CHANNEL" in told
    assert "docs/howto/slack.md" in told


@contextmanager
def _thread(work: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=20)
    assert not thread.is_alive()


@contextmanager
def _process(
    folder: Path, database: str, slack: str, *arguments: str, channel: str = CHANNEL
) -> Iterator[subprocess.Popen[bytes]]:
    key = folder / "key.pem"
    create(key, folder / "keys")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "include"),
        "AIRLOCK_ROOT": str(ROOT),
        "AIRLOCK_HOME": str(folder),
        "AIRLOCK_DATABASE_URL": database,
        "AIRLOCK_SIGNING_KEY": str(key),
        "AIRLOCK_SLACK_BOT_TOKEN": "xoxb-very-secret",
        "AIRLOCK_SLACK_APP_TOKEN": "xapp-very-secret",
        "AIRLOCK_SLACK_TEAM_ID": "T0TEAM",
        "AIRLOCK_SLACK_APP_ID": "A0APP",
        "AIRLOCK_SLACK_CHANNEL": channel,
        "AIRLOCK_SLACK_API_URL": slack,
    }
    program = Path(sys.executable).parent / "airlock"
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            [program, "slack", *arguments], env=environment, stdout=log, stderr=log
        )
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()


def _until(question: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)
