"""How much room there is on disk, and who takes it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


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
    there = next(one for one in (folder, *folder.parents) if one.exists())
    found = shutil.disk_usage(there)
    return Room(there, found.total, found.free)


def rooms(folders: Iterable[Path]) -> list[Room]:
    """Return the room of each file system the folders are on, once each. Raises OSError."""
    found: dict[int, Room] = {}
    for folder in folders:
        one = room(folder)
        found.setdefault(one.folder.stat().st_dev, one)
    return list(found.values())


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
