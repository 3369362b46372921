"""The real supervisor with small programs: it starts, restarts, stops, and leaves nothing."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airlock.domain.errors import Unreachable
from airlock_platform.components import Component, Probe
from airlock_platform.processes import process_group
from airlock_platform.processes.supervisor import Supervisor
from tests.support import short_folder

PROGRAMS = Path(sys.executable).parent


def until(question: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sleeper(name: str, seconds: str = "300", **environment: str) -> Component:
    return Component(name, name, ("sleep", seconds), environment, Probe("process"), grace=3)


PARTS = (sleeper("one"), sleeper("two"))


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    home = short_folder("sv")
    found = Supervisor(home)
    found.start(PARTS, PROGRAMS, home)
    yield found
    found.shut_down()
    assert process_group.marked(str(home)) == []
    shutil.rmtree(home)


def ensure(supervisor: Supervisor, part: Component) -> bool:
    return supervisor.ensure(part, PROGRAMS, supervisor.home)


def child(supervisor: Supervisor, name: str) -> int:
    found: dict[str, int] = {}
    until(lambda: found.update(supervisor.processes(name)) or found.get("child"))
    return found["child"]


def test_nothing_starts_by_itself(supervisor: Supervisor) -> None:
    assert {state.state for state in supervisor.states().values()} == {"STOPPED"}
    assert supervisor.knows(PARTS)
    assert not supervisor.knows(PARTS[:1])


def test_a_program_is_started_once_and_again_when_its_plan_changes(supervisor: Supervisor) -> None:
    assert ensure(supervisor, PARTS[0])
    first = child(supervisor, "one")
    assert not ensure(supervisor, PARTS[0])
    assert child(supervisor, "one") == first
    changed = dataclasses.replace(PARTS[0], environment={"COLOUR": "green"})
    assert ensure(supervisor, changed)
    until(lambda: child(supervisor, "one") != first)
    environment = Path(f"/proc/{child(supervisor, 'one')}/environ").read_bytes()
    assert b"COLOUR=green" in environment
    assert not process_group.alive(first)


@pytest.mark.chaos
def test_a_killed_program_comes_back(supervisor: Supervisor) -> None:
    ensure(supervisor, PARTS[0])
    first = child(supervisor, "one")
    os.kill(first, signal.SIGKILL)
    until(lambda: child(supervisor, "one") != first)


def test_stopping_some_leaves_the_others(supervisor: Supervisor) -> None:
    for part in PARTS:
        ensure(supervisor, part)
    first, second = child(supervisor, "one"), child(supervisor, "two")
    supervisor.stop(["one", "not-there"])
    assert not process_group.alive(first)
    assert process_group.alive(second)


@pytest.mark.chaos
def test_a_killed_supervisor_leaves_nothing_after_a_sweep(supervisor: Supervisor) -> None:
    for part in PARTS:
        ensure(supervisor, part)
    pids = [child(supervisor, part.name) for part in PARTS]
    pid = supervisor.pid()
    assert pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: supervisor.pid() is None)
    supervisor.sweep()
    assert [one for one in pids if process_group.alive(one)] == []
    assert not supervisor.socket.exists()
    supervisor.start(PARTS, PROGRAMS, supervisor.home)
    assert ensure(supervisor, PARTS[0])


@pytest.mark.chaos
def test_a_supervisor_that_does_not_answer_is_said_and_can_be_ended(
    supervisor: Supervisor,
) -> None:
    pid = supervisor.pid()
    assert pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unreachable, match="does not answer"):
        supervisor.pid()
    supervisor.shut_down()
    assert not process_group.alive(pid)


def test_shutting_down_twice_is_harmless(supervisor: Supervisor) -> None:
    supervisor.shut_down()
    supervisor.shut_down()
    assert supervisor.pid() is None


def test_plans_and_the_socket_are_private(supervisor: Supervisor) -> None:
    ensure(supervisor, PARTS[0])
    plan = supervisor.run / "plans" / "one.json"
    assert plan.stat().st_mode & 0o777 == 0o600
    assert supervisor.config.stat().st_mode & 0o777 == 0o600
    assert supervisor.socket.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["with space", "with'quote", "x" * 130])
def test_a_home_with_an_odd_name_works(name: str) -> None:
    home = short_folder("odd") / name
    home.mkdir()
    odd = Supervisor(home)
    odd.start(PARTS, PROGRAMS, home)
    try:
        ensure(odd, PARTS[0])
        assert process_group.alive(child(odd, "one"))
    finally:
        odd.shut_down()
        shutil.rmtree(home.parent)
