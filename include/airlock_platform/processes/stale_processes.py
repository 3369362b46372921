"""Recorded process ids: recognise them later, and end what is left of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from airlock_platform.processes import process_group


def read_record(path: Path) -> dict[str, dict[str, int]]:
    """Return the record that `process_group.record` wrote; empty when there is none."""
    try:
        record: dict[str, dict[str, int]] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record


def is_same(entry: dict[str, int]) -> bool:
    """Return whether the recorded process still lives, and is not a later namesake."""
    return process_group.started(entry["pid"]) == entry["started"] and process_group.alive(
        entry["pid"]
    )


def kill_recorded(records: Iterable[Path]) -> None:
    """Ask the recorded processes to stop in order, then kill the rest."""
    recorded = [entry for record in records for entry in read_record(record).values()]
    entries = [entry for entry in recorded if is_same(entry)]
    for entry in entries:
        with contextlib.suppress(ProcessLookupError):
            os.kill(entry["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 5
    while any(is_same(entry) for entry in entries) and time.monotonic() < deadline:
        time.sleep(0.05)
    process_group.kill_all(lambda: [entry["pid"] for entry in entries if is_same(entry)])


def await_end(pid: int, seconds: float) -> None:
    """Wait until *pid* is gone, at most *seconds*."""
    deadline = time.monotonic() + seconds
    while process_group.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
