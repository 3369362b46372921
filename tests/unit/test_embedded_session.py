"""The wrapper that leaves nothing behind, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airlock_platform.processes import process_group

#: A parent with a child that hides in a session of its own, as daemons do.
FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(300)"]
hidden = subprocess.Popen(sleep, start_new_session=True)
open(sys.argv[1], "w").write(f"{os.getpid()} {hidden.pid}")
time.sleep(300)
"""


def until(question: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Wrapped:
    """A command under session.py."""

    def __init__(self, folder: Path, command: list[str], **plan: object) -> None:
        self.mark = f"{folder}#test"
        self.record = folder / "record.json"
        file = folder / "plan.json"
        defaults = {
            "command": command,
            "environment": {"PATH": os.environ["PATH"]},
            "directory": str(folder),
            "user": "",
            "stop_signal": "TERM",
            "grace": 5,
            "mark": self.mark,
            "record": str(self.record),
        }
        file.write_text(json.dumps(defaults | plan))
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", process_group.__file__, str(file)]
        )


@pytest.fixture
def family(tmp_path: Path) -> tuple[Wrapped, list[int]]:
    pids = tmp_path / "pids"
    wrapped = Wrapped(tmp_path, [sys.executable, "-c", FAMILY, str(pids)])
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    return wrapped, [int(pid) for pid in pids.read_text().split()]


def gone(pids: list[int]) -> bool:
    return not any(process_group.alive(pid) for pid in pids)


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_handed_on(tmp_path: Path, code: int) -> None:
    wrapped = Wrapped(tmp_path, [sys.executable, "-c", f"raise SystemExit({code})"])
    assert wrapped.process.wait(20) == code


def test_a_stopped_command_takes_its_hidden_children_along(
    family: tuple[Wrapped, list[int]],
) -> None:
    wrapped, pids = family
    wrapped.process.terminate()
    assert wrapped.process.wait(20) == 128 + signal.SIGTERM
    assert gone(pids)


@pytest.mark.chaos
def test_a_killed_command_leaves_no_orphan(family: tuple[Wrapped, list[int]]) -> None:
    wrapped, pids = family
    os.kill(pids[0], signal.SIGKILL)
    assert wrapped.process.wait(20) == 128 + signal.SIGKILL
    assert gone(pids)


@pytest.mark.chaos
def test_a_killed_wrapper_takes_the_command_along_and_the_mark_finds_the_rest(
    family: tuple[Wrapped, list[int]],
) -> None:
    wrapped, (command, hidden) = family
    wrapped.process.kill()
    wrapped.process.wait(20)
    until(lambda: gone([command]))
    assert process_group.marked(wrapped.mark) == [hidden]
    assert process_group.marked(wrapped.mark.partition("#")[0]) == [hidden]
    assert process_group.kill_all(lambda: process_group.marked(wrapped.mark))
    assert gone([hidden])


@pytest.mark.chaos
def test_the_next_start_clears_what_the_last_one_left(
    family: tuple[Wrapped, list[int]], tmp_path: Path
) -> None:
    wrapped, pids = family
    wrapped.process.kill()
    wrapped.process.wait(20)
    again = Wrapped(tmp_path, [sys.executable, "-c", ""])
    assert again.process.wait(20) == 0
    assert gone(pids)


def test_a_command_that_will_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(300)"
    )
    wrapped = Wrapped(tmp_path, [sys.executable, "-c", code], grace=0.5)
    until(ready.exists)
    wrapped.process.terminate()
    assert wrapped.process.wait(20) == 128 + signal.SIGKILL


def test_the_plan_says_which_signal_stops_it(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import signal, time, pathlib, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(9)); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(300)"
    )
    wrapped = Wrapped(tmp_path, [sys.executable, "-c", code], stop_signal="INT")
    until(ready.exists)
    wrapped.process.terminate()
    assert wrapped.process.wait(20) == 9


def test_a_recorded_process_is_not_confused_with_a_later_namesake(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    process_group.record(file, {"child": os.getpid()})
    entry = json.loads(file.read_text())["child"]
    assert entry["started"] == process_group.started(os.getpid()) > 0
    assert process_group.started(2**22 + 1) == 0


def test_what_a_process_writes_is_nobody_elses_to_read(tmp_path: Path) -> None:
    text = "import os; os.mkdir('work'); open('work/file', 'w').close(); open('log', 'w').close()"
    assert Wrapped(tmp_path, [sys.executable, "-c", text]).process.wait(20) == 0
    modes = {
        name: (tmp_path / name).stat().st_mode & 0o777 for name in ("work", "log", "work/file")
    }
    assert modes == {"work": 0o700, "log": 0o600, "work/file": 0o600}
