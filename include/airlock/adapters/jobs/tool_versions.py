"""Run a tool of a gate's collector in a child: clean environment, limits, a named failure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from airlock.adapters.jobs import errors, process
from airlock.adapters.jobs.requests import Limits


def run(
    label: str,
    argv: list[str],
    work: Path,
    limits: Limits,
    *,
    seed: int = 0,
    cwd: Path | None = None,
    extra: Mapping[str, str] | None = None,
) -> int:
    """Run *argv* and return its exit code; *work* holds its log and is its home.

    The parent's own modules are not on its path.

    Raises:
        StageTimedOut, StageOutOfMemory: if a limit ended it.
    """
    environment = process.clean_environment(work, argv[0], limits, seed)
    environment = {k: v for k, v in environment.items() if k != "PYTHONPATH"} | dict(extra or {})
    log = work / "log.txt"
    ending = process.run(argv, environment, log, limits, cwd=cwd)
    if ending.reason == "time":
        raise errors.StageTimedOut(
            f"{label} was stopped after {ending.seconds:.0f} s; the limit is {limits.seconds} s",
            next_step=f"raise timeoutMinutes of this gate's stage, or see {log}",
        )
    if ending.reason == "memory":
        raise errors.StageOutOfMemory(
            f"{label} held {ending.peak_mb} MB; the limit is {limits.memory_mb} MB",
            next_step=f"raise resources.memoryMb of this gate's stage, or see {log}",
        )
    return ending.code


def last_words(work: Path) -> str:
    """Return the end of a tool's log in one line."""
    log = work / "log.txt"
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return " ".join(text.split())[-300:]
