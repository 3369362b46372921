"""What a serving host remembers: the highest sequence number it has seen of each line.

Whoever can answer in Airlock's place, or restore an old database, could offer an older release,
signed long ago and good then. The number only grows, so it is refused. A real rollback has a
higher number than what it leaves. The same number with another grant is a forked history.

The first look trusts what it gets: ship the file with the host if that matters. A file that
cannot be read stops loading; deleting it is a decision of whoever runs the host.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airlock.domain.digest import digest_json
from airlock.domain.errors import Invalid, Refused
from airlock.domain.promotion.serving_statement import Released


class Replayed(Refused):
    """An older release was offered as the current one."""


def remember(file: Path, released: Released) -> None:
    """Refuse a release older than the last one recorded; else record it.

    Raises:
        Replayed: naming both numbers.
        Invalid: if the file cannot be read or written.
    """
    grant = released.grant
    line = f"{grant.model}/{grant.environment}"
    now = {"sequence": released.sequence, "grant": digest_json(released.envelope)}
    with _locked(file):
        entries = _read(file)
        before = entries.get(line)
        if before is not None:
            _check(line, before, now)
        _write(file, {**entries, line: now})


def _check(line: str, before: Any, now: dict[str, Any]) -> None:
    if before["sequence"] > now["sequence"]:
        raise Replayed(
            f"{line}: an older release was offered, number {now['sequence']}; "
            f"number {before['sequence']} was seen here before",
            next_step="Find out who answers in Airlock's place, or which backup was restored.",
        )
    if before["sequence"] == now["sequence"] and before["grant"] != now["grant"]:
        raise Replayed(
            f"{line}: two different releases carry the number {now['sequence']}",
            next_step="Somebody signs a second history: tell the security auditors.",
        )


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Invalid(f"{file} cannot be kept: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        document = json.loads(file.read_text("utf-8"))
        for entry in document.values():
            if type(entry["sequence"]) is not int or not isinstance(entry["grant"], str):
                raise ValueError("an entry without a number")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(
            f"{file} does not say which releases were seen: {error}",
            next_step="Restore it. Deleting it means to trust the next answer as the first one.",
        ) from error
    entries: dict[str, Any] = document
    return entries


def _write(file: Path, entries: dict[str, Any]) -> None:
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(entries, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
