"""Take over what another process left in the hand-over folder: a model, or what a team's code left.

Rules:
* Only folders below the hand-over folder are taken; whoever left them says the path.
* What is taken is a copy: whatever still runs where it was made cannot change it.
* Only regular files and folders are copied. A link, a pipe or a device is refused by its name.
* A document is read up to a limit, is JSON without NaN or infinity, and has the shape that its
  reader names, or is refused: the team's own code could have written it.
"""

from __future__ import annotations

import json
import math
import shutil
import stat
import tempfile
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from airlock.domain.digest import canonical_json, folder_manifest
from airlock.domain.errors import Refused, Unreachable

_DOCUMENT_LIMIT = 16 << 20
Shape = TypeVar("Shape")


def receive(
    folder: Path,
    handed_over: Path,
    place: Path,
    label: str = "the model folder",
    task: str = "train",
) -> Path:
    """Copy *folder* to *place*, whatever was there before, and return *place*.

    *label* and the *task* that makes it again are words for the errors.

    Raises:
        Refused: if it is not below *handed_over*, or holds anything but files and folders.
        Unreachable: if it is not there.
    """
    if not folder.resolve().is_relative_to(handed_over.resolve()):
        raise Refused(
            f"{label} {folder} is not below {handed_over}",
            next_step="Training leaves models below AIRLOCK_HANDOVER; see that both sides set it.",
        )
    if not folder.is_dir():
        raise Unreachable(
            f"{label} {folder} is not on this machine",
            next_step=f"Clear the task of this run that makes it (in a pipeline's DAG the task "
            f"{task}); it is made again.",
        )
    _check_kinds(folder, label)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="receiving-", dir=place.parent) as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(folder, copy, symlinks=True)
        _check_kinds(copy, label)  # it may have changed since the first look
        put_in_place(copy, place)
    return place


def put_in_place(ready: Path, place: Path) -> None:
    """Move a complete folder to where other tasks look for it, whatever was there before.

    Another task may have been first, and be reading there: equal files are left as they are, and
    nobody ever finds a folder that is half there.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        ready.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        if not _equal(ready, place):
            with tempfile.TemporaryDirectory(prefix="old-", dir=place.parent) as old:
                place.rename(Path(old) / place.name)
                ready.rename(place)


def _equal(folder: Path, other: Path) -> bool:
    try:
        return folder_manifest(folder) == folder_manifest(other)
    except (OSError, ValueError):  # what has no manifest is equal to nothing
        return False


def write(place: Path, document: Any) -> None:
    """Leave a document for another process: an object of JSON, or a dataclass."""
    if is_dataclass(document) and not isinstance(document, type):
        document = asdict(document)
    place.write_bytes(canonical_json(document))


def read(place: Path, shape: type[Shape]) -> Shape:
    """Return a document of a folder that was received.

    Raises:
        Refused: if it is not there, too large, or no JSON object of that shape.
    """
    if not place.is_file():
        raise _unreadable(place, "it is not there")
    if place.stat().st_size > _DOCUMENT_LIMIT:
        raise _unreadable(place, f"it is larger than {_DOCUMENT_LIMIT} bytes")
    content = place.read_bytes()
    try:
        json.loads(content, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise _unreadable(place, "it is no JSON") from error
    try:
        return TypeAdapter(shape).validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:80] or "the whole"
        raise _unreadable(place, f"{where}: {first['msg']}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _unreadable(place: Path, why: str) -> Refused:
    return Refused(
        f"{place.name} was handed over and cannot be read: {why}",
        next_step="Clear the task of this run that leaves it; if it repeats, see its log.",
    )


def _check_kinds(folder: Path, label: str) -> None:
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise Refused(
                f"{label} holds {path.name}, which is neither a file nor a folder",
                next_step="Let the model's code save files only, then start a new run.",
            )
