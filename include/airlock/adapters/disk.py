"""How much room there is on disk, who takes it, what is kept back, and what is cleared away."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from airlock.domain.errors import Unreachable

#: With less than this share free, people are told.
SCARCE = 0.10


@dataclass(frozen=True)
class Room:
    """A file system, by a folder on it. *total* and *free*: bytes; *free* as its user has it."""

    folder: Path
    total: int
    free: int

    @property
    def share(self) -> float:
        """How much of it is free, 0 to 1."""
        return self.free / self.total if self.total else 0.0


def room(folder: Path) -> Room:
    """Return the room where a folder is, or will be. Raises OSError."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(there)
    return Room(there, usage.total, usage.free)


def rooms(folders: Iterable[Path]) -> list[Room]:
    """Return the room of each file system the folders are on, once each. Raises OSError."""
    by_device: dict[int, Room] = {}
    for folder in folders:
        space = room(folder)
        by_device.setdefault(space.folder.stat().st_dev, space)
    return list(by_device.values())


def size(folder: Path) -> int:
    """Return the bytes a folder takes on disk; what vanishes meanwhile is not counted."""
    total, waiting = 0, [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
    return total


@dataclass(frozen=True)
class Reserve:
    """Room that new work leaves to decisions, votes and the log. *least*: bytes."""

    folders: tuple[Path, ...]
    least: int

    def check(self) -> None:
        """Refuse new work for as long as there is too little room.

        Raises:
            Unreachable: naming the file system and how much is missing; it may be tried again.
        """
        try:
            spaces = rooms(self.folders)
        except OSError as error:
            raise Unreachable(f"nobody can say how much room the disk has: {error}") from error
        for space in spaces:
            if space.free < self.least:
                raise Unreachable(
                    f"the disk of {space.folder} has {space.free // 10**6} MB free, and new work "
                    f"leaves {self.least // 10**6} MB to decisions and the log",
                    next_step="Make room: `airlock status` says what takes it, and "
                    "AIRLOCK_KEEP_WORK_DAYS clears old work earlier. Then try again.",
                )


def clear_unused(folder: Path, days: float, besides: Iterable[str] = ()) -> list[Path]:
    """Remove what nothing below was changed in for some days; return what was removed.

    *besides*: names that stay. Only what lies directly in the folder is removed, whole; a link is
    not followed. What cannot be removed is left for the next time.
    """
    before, removed = time.time() - days * 86_400, []
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder.iterdir()):
            if path.name in besides or _last_change(path) >= before:
                continue
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if _is_folder(path) else path.unlink()
                removed.append(path)
    return removed


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _last_change(path: Path) -> float:
    """Return when something at or below a path was changed last; now if nobody can say."""
    try:
        newest = path.lstat().st_mtime
        if _is_folder(path):
            for folder, _, files in os.walk(path):
                inside = [os.lstat(os.path.join(folder, name)).st_mtime for name in files]
                newest = max(newest, os.lstat(folder).st_mtime, *inside)
    except OSError:
        return time.time()
    return newest
