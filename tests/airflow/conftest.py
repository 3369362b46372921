"""A whole running platform, once per session, for the tests in this folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.airflow.browsing import chromium
from tests.airflow.harness import RunningPlatform, running
from tests.support import ROOT, short_folder

#: The platform while it runs.
_RUNNING = ExitStack()


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
def demonstrated(platform: RunningPlatform) -> subprocess.CompletedProcess[str]:
    """Run `airlock demo --auto` once: whoever needs a champion to compare with has one then."""
    return subprocess.run(
        [platform.platform.options.programs / "airlock", "demo", "--auto", "--no-up"],
        env=platform.env,
        cwd=platform.platform.options.root,
        capture_output=True,
        text=True,
        timeout=14 * 60,
    )


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
