"""Run one command in a session of its own and leave nothing of it behind.

Started by the supervisor as `python -I -S session.py PLAN.json`; standard library only, and it
imports nothing of Airlock, so that it stays small. Rules:

* the command gets its own session and process group; a SIGTERM or SIGINT becomes the
  plan's own stop signal for the whole group, and SIGKILL after its grace;
* this process adopts orphans (child subreaper): when the command ends, however it ended, every
  descendant that is still there is killed, and only then does this process end with its code;
* if this process is killed, the kernel kills the command; if the supervisor is killed, this
  process stops the command in order;
* what an earlier run of the same plan left behind is killed before the command starts.

It does not restart anything: that is the supervisor's work. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Every process of a platform carries this in its environment: `<home>#<name>`.
MARK = "EMBEDDED_PLATFORM"

#: What a platform's processes write is nobody else's to read.
PRIVATE = 0o077

#: Endings of what a process reads once, when it starts.
_CODE = (".py", ".html", ".css", ".js", ".json", ".txt")
_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}


def main(plan_file: str) -> int:
    """Run the plan until its command ends; return the exit code."""
    plan = json.loads(Path(plan_file).read_text())
    os.umask(PRIVATE)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    _prctl(_SET_PDEATHSIG, signal.SIGTERM)
    kill_all(lambda: marked(plan["mark"]))
    code = code_digest(plan.get("code", []))  # before the start: what changes meanwhile is newer
    child = _start(plan)
    with contextlib.suppress(OSError):  # a full disk keeps nothing from running
        record(Path(plan["record"]), {"wrapper": os.getpid(), "child": child.pid})
        Path(plan["record"]).with_suffix(".code").write_text(code)
    ended = _watch(child.pid, signal.Signals[f"SIG{plan['stop_signal']}"], plan["grace"])
    kill_all(descendants)
    return ended


def code_digest(folders: list[str]) -> str:
    """Return one digest for the code and the data files of some folders; "" for no folder."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix not in _CODE:
                continue
            with contextlib.suppress(OSError):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path}\0{content}\n".encode())
    return digest.hexdigest() if folders else ""


def _start(plan: dict[str, Any]) -> subprocess.Popen[bytes]:
    user = {"user": plan["user"], "group": plan["user"], "extra_groups": []} if plan["user"] else {}
    return subprocess.Popen(
        plan["command"],
        env=plan["environment"] | {MARK: plan["mark"]},
        cwd=plan["directory"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_in_child,
        **user,
    )


def _in_child() -> None:
    # After the change of user, because that change clears the death signal.
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


def record(path: Path, pids: dict[str, int]) -> None:
    """Write down process ids so that they can be recognised later, in one step."""
    entries = {role: {"pid": pid, "started": started(pid)} for role, pid in pids.items()}
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(entries))
    temporary.replace(path)


def _watch(child: int, stop: signal.Signals, grace: float) -> int:
    deadline = float("inf")
    while True:
        code = _reap(child)
        if code is not None:
            return code
        if time.monotonic() > deadline:
            _signal_group(child, signal.SIGKILL)
        received = signal.sigtimedwait(_WATCHED, 1.0)
        if received and received.si_signo != signal.SIGCHLD:
            _signal_group(child, stop)
            deadline = min(deadline, time.monotonic() + grace)


def _reap(child: int) -> int | None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if pid == 0:
                return None
    return None


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def started(pid: int) -> int:
    """Return the kernel's start time of *pid*, which tells a process from a later namesake."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may contain anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def alive(pid: int) -> bool:
    """Return whether *pid* runs; a zombie does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def descendants() -> list[int]:
    """Return every process below this one."""
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _stat(pid))}
    pids: list[int] = []
    level = {os.getpid()}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        pids += level
    return pids


def marked(mark: str) -> list[int]:
    """Return every process carrying *mark*, or with it as prefix up to the `#`."""
    marker = f"{MARK}={mark}".encode()
    pids = []
    for pid in _pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(entry == marker or entry.startswith(marker + b"#") for entry in environment):
            pids.append(pid)
    return [pid for pid in pids if pid != os.getpid() and alive(pid)]


def kill_all(find: Callable[[], list[int]], seconds: float = 10.0) -> bool:
    """Kill what *find* finds until it finds nothing living; return whether that worked."""
    deadline = time.monotonic() + seconds
    while living := [pid for pid in find() if alive(pid)]:
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
