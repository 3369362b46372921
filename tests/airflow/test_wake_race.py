"""An answer right after a task has parked: the moment in which Airflow 3.3 can lose it.

Eight answers each, given 0, 0.5, 1 and 2 s after the task was seen parked; in `make test` three,
after 0 and 1 s. In `make test-all` Airflow's native ApprovalOperator runs beside ours, as the
figure to compare with; its losses are Airflow's own and not asserted.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import Releases, states
from tests.support import EVERYWHERE, rounds, sample

DELAYS = sample((0.0, 0.5, 1.0, 2.0), 2)
EACH = rounds(3, 8)
_number = itertools.count()


class Round:
    """Eight runs of one DAG, each answered *delay* seconds after it parked."""

    def __init__(self, platform: RunningPlatform, dag: str, delay: float) -> None:
        self.platform, self.dag, self.delay = platform, dag, delay
        self.runs: dict[str, Callable[[], Any]] = {}
        self._threads: list[threading.Timer] = []
        self.problems: list[str] = []

    def start(self, conf: dict[str, Any], answer: Callable[[str], Any]) -> None:
        run = self.platform.airflow.trigger(self.dag, conf)
        self.runs[run] = lambda: answer(run)

    def answer_all(self, seconds: float = 240) -> None:
        """Watch the tasks park, and answer each in its own thread."""
        waiting, deadline = set(self.runs), time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            found = states(self.platform, self.dag)
            for run in [run for run in waiting if found.get(run, ("", 0))[0] == "awaiting_input"]:
                waiting.discard(run)
                timer = threading.Timer(self.delay, self._answer, (run,))
                timer.start()
                self._threads.append(timer)
            time.sleep(0.05)
        for thread in self._threads:
            thread.join()
        assert not waiting, f"never parked: {waiting}"
        assert not self.problems, self.problems

    def ends(self, seconds: float = 180) -> dict[str, tuple[str, int]]:
        """Return state and tries of each task once all runs are over."""

        def over() -> dict[str, tuple[str, int]] | None:
            found = {run: one for run, one in states(self.platform, self.dag).items()}
            mine = {run: found[run] for run in self.runs}
            return mine if all(one[0] in ("success", "failed") for one in mine.values()) else None

        ended: dict[str, tuple[str, int]] = self.platform.airflow.wait(over, "the end", seconds)
        return ended

    def _answer(self, run: str) -> None:
        try:
            self.runs[run]()
        except Exception as error:
            self.problems.append(f"{run}: {error!r}")


@pytest.fixture(scope="module")
def releases(platform: RunningPlatform) -> Releases:
    return Releases(platform)


@pytest.mark.race
@pytest.mark.timeout(900)
@pytest.mark.parametrize("delay", DELAYS)
def test_no_answer_is_lost(platform: RunningPlatform, releases: Releases, delay: float) -> None:
    ours = Round(platform, "wait-for-level", delay)
    for _ in range(EACH):
        release = releases.open(f"race-{next(_number)}")
        ours.start({"release": release}, lambda _run, it=release: releases.answer(it, "lena"))
    ours.answer_all()
    ended = ours.ends()

    if EVERYWHERE:
        tries = sorted(attempt for _, attempt in ended.values())
        lost = _lost_natively(platform, delay)
        print(f"answer after {delay} s: ours tries {tries}, native failed {lost} of {EACH}")
    assert [state for state, _ in ended.values()] == ["success"] * EACH
    runs = [platform.airflow.await_run("wait-for-level", run) for run in ended]
    assert runs == ["success"] * EACH


def _lost_natively(platform: RunningPlatform, delay: float) -> int:
    """Return how many answers Airflow's own approval loses."""
    native = Round(platform, "native-approval", delay)
    for _ in range(EACH):
        native.start({}, lambda run: _answer_natively(platform, run))
    native.answer_all()
    return sum(state == "failed" for state, _ in native.ends().values())


def _answer_natively(platform: RunningPlatform, run: str) -> None:
    path = f"dags/native-approval/dagRuns/{run}/taskInstances/level_1/-1/hitlDetails"
    answer = platform.airflow.patch(path, {"chosen_options": ["Approve"], "params_input": {}})
    assert answer.status_code == 200, answer.text
