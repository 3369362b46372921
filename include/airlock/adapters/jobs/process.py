"""Run one child process that may misbehave, and always get rid of it.

Rules:
* The child gets a clean environment: nothing of ours is inherited, so no secret can leak.
* It is the leader of its own session. It, and everything it started, is killed at the end.
* It ends by itself, or at its wall-clock limit, or at the memory limit of its process tree.
* Its output goes to a log file of bounded size; the rest is counted and thrown away.

It does not know what the child computes. It does not sandbox: the child may read the disk and use
the network with this user's rights.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import psutil

import airlock
from airlock.adapters.jobs.requests import Limits

LOG_LIMIT = 1_000_000
_POLL = 0.1
_MEGABYTE = 1 << 20
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended. `code` is negative for a signal, as in subprocess."""

    reason: Literal["ended", "time", "memory"]
    code: int
    seconds: float
    peak_mb: int


def clean_environment(home: Path, python: str, limits: Limits, seed: int) -> dict[str, str]:
    """Return the whole environment of a child; the parent's is not read."""
    threads = dict.fromkeys(_THREAD_VARIABLES, str(limits.threads))
    return threads | {
        "PATH": f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(Path(airlock.__file__).resolve().parents[1]),
        # Waiting threads must sleep: on a busy machine spinning made a training nine times slower.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "PYTHONHASHSEED": str(seed % 2**32),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "MPLBACKEND": "Agg",
        "DO_NOT_TRACK": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def run(
    argv: list[str],
    environment: dict[str, str],
    log: Path,
    limits: Limits,
    pass_fds: tuple[int, ...] = (),
    cwd: Path | None = None,
) -> Ending:
    """Run *argv* in *cwd*, else the folder of *log*, until it ends or passes a limit."""
    with subprocess.Popen(
        argv,
        cwd=cwd or log.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=pass_fds,
    ) as child:
        assert child.stdout is not None  # noqa: S101 - for the type checker: PIPE was asked for
        drain = threading.Thread(target=_drain, args=(child.stdout, log), daemon=True)
        drain.start()
        tree = _Tree(child.pid)
        try:
            return _watch(child, tree, limits)
        finally:
            tree.kill()
            drain.join(timeout=5)


def _watch(child: subprocess.Popen[bytes], tree: _Tree, limits: Limits) -> Ending:
    """Wait for the child's end, a limit, or an exception in this thread (a task's time-out)."""
    started = time.monotonic()
    reason: Literal["ended", "time", "memory"] = "ended"
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_POLL)
            break
        if tree.measure() > limits.memory_mb:
            reason = "memory"
        elif time.monotonic() - started > limits.seconds:
            reason = "time"
        if reason != "ended":
            tree.kill()
            child.wait()
            break
    return Ending(reason, child.returncode, time.monotonic() - started, tree.peak_mb)


class _Tree:
    """A process, all that descends from it, and the most memory they ever held together."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._processes: dict[int, psutil.Process] = {}
        self.peak_mb = 0

    def measure(self) -> int:
        """Return the resident megabytes of the whole tree."""
        total = 0
        for process in self._members():
            self._processes.setdefault(process.pid, process)
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        megabytes = total // _MEGABYTE
        self.peak_mb = max(self.peak_mb, megabytes)
        return megabytes

    def _members(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []

    def kill(self) -> None:
        """Kill the session, and every descendant ever seen, also one that left the session."""
        members = [*self._members(), *self._processes.values()]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        for process in members:
            # psutil compares start times, so a reused process id is never hit.
            with contextlib.suppress(psutil.Error):
                process.kill()


def _drain(stream: IO[bytes], log: Path) -> None:
    """Copy *stream* to *log* up to the limit, then only count: the child must never block."""
    written = dropped = 0
    with log.open("wb") as out, contextlib.suppress(ValueError, OSError):
        while block := os.read(stream.fileno(), 65536):
            room = LOG_LIMIT - written
            out.write(block[:room])
            written += len(block[:room])
            dropped += len(block[room:])
        if dropped:
            out.write(f"\n[{dropped} more bytes of output were not kept]\n".encode())
