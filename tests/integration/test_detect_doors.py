"""The detector's own doors: the watch of the delivery process, and `airlock detect`."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airlock.adapters.sql_migrations import upgrade
from airlock.domain.errors import Unreachable
from airlock.entrypoints.cli.drift import _sentence
from airlock.entrypoints.cli.platform import work_report
from airlock.entrypoints.workers import drift_monitor
from airlock.entrypoints.workers.drift_monitor import Watchman
from airlock.services.registry.drift import Detector, Round
from airlock.testing import FakeWatch
from tests.command import run_cli
from tests.integration.door_kit import Doors, running


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        world = found.world
        release_id = found.open("run-1")
        world.approve_all(release_id)
        world.promote(release_id)
        world.registry.add("credit", b"evil")
        yield found


@pytest.fixture
def watch(doors: Doors) -> FakeWatch:
    return FakeWatch(doors.world.registry)


@pytest.fixture
def detector(doors: Doors, watch: FakeWatch) -> Detector:
    return Detector(doors.world.store, watch)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nobody_has_looked_before_the_first_look(detector: Detector) -> None:
    watching = Watchman(detector)
    with pytest.raises(Unreachable, match="has not looked yet"):
        watching.answer()
    watching.look()
    watching.answer()


def test_an_old_look_is_no_answer_and_the_reason_is_said(
    doors: Doors, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = Watchman(detector)
    watching.look()
    doors.world.registry.down = True
    with pytest.raises(Unreachable):
        watching.look()
    watching.answer()  # the good one is younger than a minute
    monkeypatch.setattr(drift_monitor, "LATE_S", 0.0)
    with pytest.raises(Unreachable, match="not compared lately: the registry does not answer"):
        watching.answer()


def test_it_finds_a_moved_alias_by_itself_while_hashing_takes_for_ever(
    doors: Doors, watch: FakeWatch, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, release = threading.Event(), threading.Event()
    monkeypatch.setattr(watch, "digest", lambda *_: release.wait(30) and None)
    Watchman(detector, period=0.05).start(stop)
    try:
        doors.world.registry.aliases["credit", "champion"] = "2"
        until(lambda: bool(found(doors)))
        doors.world.registry.aliases["credit", "champion"] = "1"
        until(lambda: not found(doors))
    finally:
        stop.set()
        release.set()
    until(lambda: not any(one.name.startswith("detector-") for one in threading.enumerate()))


def test_status_shows_both_looks_and_what_keeps_them_from_looking(
    doors: Doors, detector: Detector, tmp_path: Path
) -> None:
    stop = threading.Event()
    doors.world.registry.down = True

    def steps() -> dict[str, tuple[str, str]]:
        return {line.name: (line.text, line.problem) for line in work_report.steps(tmp_path)}

    Watchman(detector, period=0.05, folder=tmp_path).start(stop)
    try:
        until(lambda: len(steps()) == 2)
        said, problem = steps()["compare the model registry"]
        assert said == "never"
        assert "the registry does not answer" in problem
        doors.world.registry.down = False
        until(lambda: not steps()["compare the model registry"][1])
        until(lambda: steps()["hash the files of released models"][0].startswith("last done "))
    finally:
        stop.set()


def test_an_accident_does_not_end_the_watch(
    doors: Doors,
    watch: FakeWatch,
    detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen, stop = watch.sightings, threading.Event()

    def broken() -> None:
        monkeypatch.setattr(watch, "sightings", seen)
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(watch, "sightings", broken)
    doors.world.registry.aliases["credit", "champion"] = "2"
    with caplog.at_level(logging.ERROR):
        Watchman(detector, period=0.05).start(stop)
        until(lambda: "ALARM" in caplog.text)
    stop.set()
    assert "a mistake of ours" in caplog.text
    until(lambda: not any(one.name.startswith("detector-") for one in threading.enumerate()))


def found(doors: Doors) -> list[dict[str, object]]:
    said = doors.cli("sam", "detect", "list", "--json")
    assert said.code == 0, said.err
    rows: list[dict[str, object]] = json.loads(said.out)
    return rows


def test_a_person_lists_what_is_open_and_what_is_over(doors: Doors, detector: Detector) -> None:
    said = doors.cli("sam", "detect", "list")
    assert "No finding is open" in said.out
    doors.world.registry.aliases["credit", "champion"] = "2"
    detector.look()
    (row,) = found(doors)
    assert (row["kind"], row["old"], row["new"]) == ("alias-moved", "1", "2")
    said = doors.cli("sam", "detect", "list")
    assert "credit@champion" in said.out
    doors.world.registry.aliases["credit", "champion"] = "1"
    detector.look()
    assert found(doors) == []
    (row,) = json.loads(doors.cli("sam", "detect", "list", "--all", "--json").out)
    assert row["mended"]
    assert "alarm: champion of credit" in doors.cli("sam", "audit", "list").out


def test_with_nothing_to_compare_it_says_so() -> None:
    assert _sentence(Round(), Round()).startswith("Nothing was compared")
    one = _sentence(Round(lines=2, unprotected=1, aliases=1, grants=1), Round(hashed=2))
    assert one == (
        "Compared 2 lines (1 with an unprotected alias), 1 protected aliases and 1 spent grants, "
        "hashed 2 versions: nothing found."
    )


def test_an_mlflow_that_does_not_answer_ends_the_command_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airlock.adapters.keys import ed25519

    ed25519.create(tmp_path / "signing.pem", tmp_path / "keys")
    url = f"sqlite:///{tmp_path}/own.db"
    upgrade(url)
    told = {
        "AIRLOCK_DATABASE_URL": url,
        "AIRLOCK_SIGNING_KEY": str(tmp_path / "signing.pem"),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    said = run_cli("detect", "run", "--json")
    assert (said.code, said.out) == (3, "")
    assert "could not be compared" in said.err
