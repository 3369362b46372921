"""Airflow killed, then all the rest, while releases wait; then `airlock up`."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import Releases
from tests.airflow.test_platform import command

DAG, TASK = "wait-for-level", "level_1"


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_waiting_release_survives_kill_9_of_everything(platform: RunningPlatform) -> None:
    """A killed supervisor takes everything with it."""
    releases = Releases(platform)
    before, after = releases.open("killed-1"), releases.open("killed-2")
    runs = {
        release: platform.airflow.trigger(DAG, {"release": release}) for release in (before, after)
    }
    for run in runs.values():
        platform.airflow.await_task(DAG, run, TASK, "awaiting_input")

    _kill_with_children(platform, "scheduler")
    _kill_with_children(platform, "api-server")
    releases.answer(before, "lena")  # the decision stands while Airflow is down
    psutil.Process(platform.platform.supervisor.pid()).kill()
    assert command(platform, "status").returncode == 2
    platform.up()
    assert platform.problems() == {}
    releases.answer(after, "lena")

    for release, run in runs.items():
        assert platform.airflow.await_run(DAG, run, 240) == "success"
        assert platform.airflow.xcom(DAG, run, TASK)["release"] == release


def _kill_with_children(platform: RunningPlatform, name: str) -> None:
    """Kill a process and its workers as `kill -9` does."""
    process = psutil.Process(platform.health()[name].pid)
    for victim in (*process.children(recursive=True), process):
        os.kill(victim.pid, signal.SIGKILL)
