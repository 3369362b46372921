"""A whole running platform, once per session, for the tests in this folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.airflow.browsing import chromium
from tests.airflow.harness import RunningPlatform, running
from tests.support import ROOT, short_folder

#: The platform while it runs.
_RUNNING = ExitStack()

#: Pipelines that are there while the demo runs, and when their last slot was.
LAST_SLOTS = {"an-hour-ago": timedelta(hours=1), "fifteen-hours-ago": timedelta(hours=15)}


@pytest.fixture(scope="session")
def platform() -> Iterator[RunningPlatform]:
    """Bring a second platform up as `airlock up` does, with the test DAGs beside ours."""
    with _RUNNING:
        found = _RUNNING.enter_context(
            running(short_folder("up"), ROOT, Path(__file__).parent / "dags", slack=True)
        )
        found.await_imports()
        yield found


@pytest.fixture(scope="session")
def due(platform: RunningPlatform) -> datetime:
    """Shift the schedules: the last slots were a minute, an hour and 15 hours ago; one is due.

    Returns the slot that falls into the middle of the demo, which takes longer than the minutes
    until then.
    """
    while True:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        last, following = now - timedelta(minutes=1), now + timedelta(minutes=3)
        daily = "{0.minute} {0.hour} * * *"
        crons = {"employment": daily.format(last), "doctor-visits": daily.format(following)}
        crons |= {name: daily.format(now - ago) for name, ago in LAST_SLOTS.items()}
        platform.run_at(crons)
        if datetime.now(UTC) < following:
            return following


@pytest.fixture(scope="session")
def demonstrated(platform: RunningPlatform, due: datetime) -> subprocess.CompletedProcess[str]:
    """Run `airlock demo --auto` once: whoever needs a champion to compare with has one then."""
    done = subprocess.run(
        [platform.platform.options.programs / "airlock", "demo", "--auto", "--no-up"],
        env=platform.env,
        cwd=platform.platform.options.root,
        capture_output=True,
        text=True,
        timeout=14 * 60,
    )
    for name in LAST_SLOTS:
        platform.pipeline_file(name).unlink()
    return done


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without anybody logged in."""
    with chromium() as started:
        yield started


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Stop it after the last test of this folder: the other tests need the machine."""
    if nextitem is not None and Path(__file__).parent not in nextitem.path.parents:
        _RUNNING.close()
