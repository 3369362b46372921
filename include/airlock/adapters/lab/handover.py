"""Take over a model folder from where training left it.

Rules:
* Only folders below the hand-over folder are taken; whoever trains says the path.
* What is taken is a copy: whatever still runs where the model was trained cannot change it.
* Only regular files and folders are copied. A link, a pipe or a device is refused by its name.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
from pathlib import Path

from airlock.domain.errors import Refused, Unreachable


def receive(folder: Path, handed_over: Path, place: Path) -> Path:
    """Copy *folder* to *place*, whatever was there before, and return *place*.

    Raises:
        Refused: if it is not below *handed_over*, or holds anything but files and folders.
        Unreachable: if it is not there.
    """
    if not folder.resolve().is_relative_to(handed_over.resolve()):
        raise Refused(
            f"the model folder {folder} is not below {handed_over}",
            next_step="Training leaves models below AIRLOCK_HANDOVER; see that both sides set it.",
        )
    if not folder.is_dir():
        raise Unreachable(
            f"the model folder {folder} is not on this machine",
            next_step="Clear the task train of this run; its model is made again.",
        )
    _check_kinds(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="receiving-", dir=place.parent) as scratch:
        copy = Path(scratch) / "model"
        shutil.copytree(folder, copy, symlinks=True)
        _check_kinds(copy)  # it may have changed since the first look
        shutil.rmtree(place, ignore_errors=True)
        copy.rename(place)
    return place


def _check_kinds(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise Refused(
                f"the model folder holds {path.name}, which is neither a file nor a folder",
                next_step="Let the training script save files only, then start a new run.",
            )
