"""Which code a run uses, as git knows it.

Rules:
* The commit is `HEAD`; if the model's folder differs from it, the digest of what is really there
  is added, so that two different states never have one name.
* In an image without git the commit is given from outside.
* No commit known: refused. A release of unknown code cannot be traced.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.domain.errors import Refused

_PATIENCE_S = 30


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
