"""`onCommit`: which commits start a run, and how often."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.git_code import last_commit
from airlock.domain.errors import Unreachable
from airlock.services.pipeline.commit_trigger import LOOK_EVERY_S, QUIET_S, CommitTrigger

pytestmark = pytest.mark.unit
FOLDERS = {"employment": "models/employment"}


class FakeAirflow:
    """Keeps the events of assets, or does not answer."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.down: set[str] = set()

    def last(self, asset: str) -> Mapping[str, Any] | None:
        self._reach(asset)
        extras = [extra for name, extra in self.events if name == asset]
        return extras[-1] if extras else None

    def post(self, asset: str, extra: Mapping[str, Any]) -> None:
        self._reach(asset)
        self.events.append((asset, dict(extra)))

    def _reach(self, asset: str) -> None:
        if asset in self.down:
            raise Unreachable("Airflow did not answer")

    @property
    def commits(self) -> list[str]:
        return [extra["commit"] for _, extra in self.events]


class Scene:
    """A checkout whose newest commit is told, and a clock only the test moves."""

    def __init__(self) -> None:
        self.airflow, self.commit, self.seconds = FakeAirflow(), "one", 0.0
        self.restart()

    def restart(self) -> None:
        self.trigger = CommitTrigger(lambda _: self.commit, self.airflow, lambda: self.seconds)

    def wait(self, seconds: float, folders: Mapping[str, str] = FOLDERS) -> list[dict[str, str]]:
        rounds = []
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds += LOOK_EVERY_S
            rounds.append(self.trigger.round(folders))
        return rounds


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_pipeline_without_it_is_not_looked_at(scene: Scene) -> None:
    scene.wait(60, {})
    assert scene.airflow.events == []


def test_switching_on_starts_nothing(scene: Scene) -> None:
    scene.wait(600)
    assert scene.airflow.events == []


def test_a_commit_starts_one_run_once_it_has_settled(scene: Scene) -> None:
    scene.wait(60)
    scene.commit = "two"
    scene.wait(QUIET_S - LOOK_EVERY_S)
    assert scene.airflow.commits == []
    scene.wait(600)
    assert scene.airflow.events == [("airlock/commit/employment", {"commit": "two"})]


def test_a_series_of_commits_starts_one_run(scene: Scene) -> None:
    scene.wait(60)
    for number in range(9):
        scene.commit = f"commit {number}"
        scene.wait(LOOK_EVERY_S)
    scene.wait(60)
    assert scene.airflow.commits == ["commit 8"]


def test_nothing_is_posted_twice_and_nothing_missed_across_a_restart(scene: Scene) -> None:
    scene.wait(60)
    scene.commit = "two"
    scene.wait(60)
    scene.restart()
    scene.wait(60)
    assert scene.airflow.commits == ["two"]
    scene.commit = "three, while away"
    scene.restart()
    scene.wait(60)
    assert scene.airflow.commits == ["two", "three, while away"]


def test_an_airflow_that_does_not_answer_is_asked_again_and_costs_the_others_nothing(
    scene: Scene,
) -> None:
    both = FOLDERS | {"other": "models/other"}
    scene.wait(60, both)
    scene.airflow.down = {"airlock/commit/employment"}
    scene.commit = "two"
    rounds = scene.wait(60, both)
    assert rounds[-1] == {"employment": "Airflow did not answer"}
    assert [name for name, _ in scene.airflow.events] == ["airlock/commit/other"]
    scene.airflow.down = set()
    scene.wait(60, both)
    assert len(scene.airflow.events) == 2


def test_where_git_knows_no_commit_that_is_said(scene: Scene) -> None:
    scene.commit = ""
    assert scene.wait(5)[0] == {
        "employment": "git knows no commit of models/employment, so none can start a run"
    }
    assert scene.airflow.events == []


def test_only_commits_of_the_folder_count(tmp_path: Path) -> None:
    def commit(path: str) -> None:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
        git = ("git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org")
        for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", path)):
            subprocess.run([*git, *arguments], check=True)

    assert last_commit(tmp_path, "model") == ""
    commit("model/train.py")
    first = last_commit(tmp_path, "model")
    assert len(first) == 40
    commit("other/notes.txt")
    (tmp_path / "model" / "train.py").write_text("not committed")
    assert last_commit(tmp_path, "model") == first
    commit("model/more.py")
    assert last_commit(tmp_path, "model") != first
