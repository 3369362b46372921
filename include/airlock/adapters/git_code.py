"""Which code a run uses, as git knows it.

Rules:
* The commit is `HEAD`; if the model's folder differs from it, the digest of what is really there
  is added, so that two different states never have one name.
* In an image without git the commit is given from outside.
* No commit known: refused. A release of unknown code cannot be traced.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.domain.duties import UNKNOWN
from airlock.domain.errors import Refused

_PATIENCE_S = 30
_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+")


def commit(root: Path, folder: str, given: str = "") -> str:
    """Return the commit of the checkout *root* for the code in *folder*.

    Raises:
        Refused: if nobody can say which code this is.
    """
    if given:
        return given
    head = _git(root, "rev-parse", "--verify", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", folder)
    return f"{head}+dirty:{_tree(root / folder)}" if changed else head


def authors(root: Path, folder: str, since: str = "") -> tuple[str, ...]:
    """Return who changed *folder* after the commit *since*, as e-mail addresses in lower case.

    Authors, committers and co-authors all count. Without *since*, or if git does not know that
    commit, everybody who ever changed the folder does. Whoever has changed it without a commit, or
    a checkout without git, is `UNKNOWN`: recorded, so that it is seen, and never guessed.
    """
    try:
        changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", folder)
        found = set(_authors(root, folder, since))
    except Refused:
        return (UNKNOWN,)
    return tuple(sorted(found | ({UNKNOWN} if changed else set())))


def last_author(root: Path, folder: str) -> str:
    """Return who made the last commit below *folder*, as an e-mail address; or `UNKNOWN`."""
    try:
        if _git(root, "status", "--porcelain", "--untracked-files=all", "--", folder):
            return UNKNOWN
        return _git(root, "log", "-1", "--format=%ae", "--", folder).casefold() or UNKNOWN
    except Refused:
        return UNKNOWN


def last_commit(root: Path, folder: str) -> str:
    """Return the newest commit that changed *folder*, as `HEAD` knows it; "" if nobody can say."""
    try:
        return _git(root, "log", "-1", "--format=%H", "--", folder)
    except Refused:
        return ""


def _authors(root: Path, folder: str, since: str) -> Iterator[str]:
    reach = [f"{since}..HEAD"] if since and _knows(root, since) else ["HEAD"]
    form = "--format=%ae%n%ce%n%(trailers:key=Co-authored-by,valueonly)"
    for line in _git(root, "log", form, *reach, "--", folder).splitlines():
        address = _ADDRESS.search(line)
        if address:
            yield address[0].casefold()


def _knows(root: Path, commit: str) -> bool:
    try:
        _git(root, "merge-base", "--is-ancestor", commit, "HEAD")
    except Refused:
        return False
    return True


def _tree(folder: Path) -> str:
    files = {
        path: digest
        for path, digest in folder_manifest(folder).items()
        if "__pycache__" not in path.split("/")
    }
    return manifest_digest(files)


def _git(root: Path, *arguments: str) -> str:
    # The checkout may belong to another user than the worker; reading it is all we do.
    command = ("git", "-c", f"safe.directory={root}", "-C", str(root), *arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        )
    except FileNotFoundError as error:
        raise _unknown(root, "git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise _unknown(root, f"git did not answer within {_PATIENCE_S} s") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(str(error.stderr).split()) or f"git ended with {error.returncode}"
        raise _unknown(root, said) from error
    return done.stdout.strip()


def _unknown(root: Path, why: str) -> Refused:
    return Refused(
        f"nobody can say which code is in {root}: {why}",
        next_step="Commit the code to git, or set AIRLOCK_CODE_COMMIT in an image without git.",
    )
