"""What changed in a model's code between two commits, as a diff people can read.

Rules:
* The code is what `state` says it is: the model's folder and what it imports.
* A diff has a limited size: files with many changed lines, and what is no text, are named only.
* A commit that this checkout does not have is refused, never shown as "nothing changed".
"""

from __future__ import annotations

from pathlib import Path

from airlock.adapters.git_code.imports import imported
from airlock.adapters.git_code.runner import COMMIT, Checkout, decoded, run_git
from airlock.adapters.git_code.state import code_of
from airlock.domain.errors import Refused
from airlock.ports import CodeChange

PATIENCE_S = 10
#: Changed lines of one file, and of all files together, that a diff shows.
FILE_LINES, ALL_LINES = 1_000, 3_000
#: Characters of a diff, whatever its lines are like.
MOST_TEXT = 200_000
_OPTIONS = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--full-index")


def change(root: Path, folder: str, before: str, after: str) -> CodeChange:
    """Return the change of the code of *folder* from commit *before* to commit *after*.

    Raises:
        Refused: if git does not have both commits, or does not answer in time.
    """
    checkout = Checkout.at(root)
    ends = tuple(_resolve(checkout, commit) for commit in (before, after))
    paths = code_of(checkout, folder, imported(root, folder)).paths
    counted = _counted(_diff(checkout, ends, paths, "--numstat", "-z"))
    included, left_out, lines = [], [], 0
    for path, added, removed in counted:
        size = (added or 0) + (removed or 0)
        if added is None or size > FILE_LINES or lines + size > ALL_LINES:
            left_out.append(path)
        else:
            included.append(path)
            lines += size
    text = _diff(checkout, ends, tuple(included)).decode("utf-8", "replace") if included else ""
    if len(text) > MOST_TEXT:
        text, left_out = "", [path for path, _, _ in counted]
    return CodeChange(tuple(counted), text, tuple(left_out))


def _resolve(checkout: Checkout, commit: str) -> str:
    if not COMMIT.fullmatch(commit):
        raise Refused(f"{commit[:60]!r} is no commit")
    try:
        return checkout.git("rev-parse", "--verify", f"{commit}^{{commit}}").decode().strip()
    except Refused as error:
        raise Refused(
            f"this checkout does not have the commit {commit[:12]}",
            next_step="Fetch it: the checkout may be shallow, or of another clone.",
        ) from error


def _diff(checkout: Checkout, ends: tuple[str, ...], paths: tuple[str, ...], *how: str) -> bytes:
    command = ("diff", *_OPTIONS, *how, *ends, "--", *paths)
    return run_git(checkout.top, *command, patience_s=PATIENCE_S)


def _counted(listed: bytes) -> list[tuple[str, int | None, int | None]]:
    files = []
    for entry in filter(None, listed.split(b"\0")):
        added, removed, name = entry.split(b"\t", 2)
        counts = (None, None) if added == b"-" else (int(added), int(removed))
        files.append((decoded(name).encode("utf-8", "replace").decode(), *counts))
    return files
