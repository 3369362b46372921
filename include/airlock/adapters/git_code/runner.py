"""The one way Airlock runs git: to read, with a configuration and an environment of its own.

Nothing of the user's, the machine's or the calling process's settings counts: no pager, hooks,
signatures, filters, external diffs or replaced objects, no `GIT_DIR` from outside, no network, no
question. The checkout may belong to another user; reading it is all that is done.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airlock.domain.errors import Refused

PATIENCE_S = 60
COMMIT = re.compile(r"[0-9a-f]{7,64}")

_SETTINGS = {
    "safe.directory": "*",
    "core.fsmonitor": "",
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.quotePath": "false",
    "core.commitGraph": "false",
    "core.pager": "cat",
    "log.showSignature": "false",
    "protocol.allow": "never",
    "gc.auto": "0",
}
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
}


def run_git(
    root: Path,
    *arguments: str,
    stdin: bytes = b"",
    patience_s: int = PATIENCE_S,
    more: Mapping[str, str] | None = None,
) -> bytes:
    """Return git's output about the checkout *root*. *more*: further `GIT_` variables.

    Raises:
        Refused: if git is not there, fails, or does not end within *patience_s* seconds.
    """
    settings = [part for key, text in _SETTINGS.items() for part in ("-c", f"{key}={text}")]
    command = ("git", "--no-pager", *settings, "-C", str(root), *arguments)
    environment = {"PATH": os.environ.get("PATH", os.defpath)} | _ENVIRONMENT | dict(more or {})
    try:
        completed = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            timeout=patience_s,
            check=True,
            env=environment,
        )
    except FileNotFoundError as error:
        raise unknown_code(root, "git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise unknown_code(root, f"git did not answer within {patience_s} s") from error
    except subprocess.CalledProcessError as error:
        text = " ".join(error.stderr.decode("utf-8", "replace").split())
        raise unknown_code(root, text[:300] or f"git ended with {error.returncode}") from error
    return completed.stdout


def unknown_code(root: Path, why: str) -> Refused:
    """Return the refusal for code of which nobody can say which it is."""
    return Refused(
        f"nobody can say which code is in {root}: {why}",
        next_step="Commit the code to git, or set AIRLOCK_CODE_COMMIT in an image without git.",
    )


def decoded(name: bytes) -> str:
    """Return a name of git's as Python spells it, whatever its bytes are."""
    return os.fsdecode(name)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout: *root* as Airlock knows it, *prefix* of it in the repository that holds it."""

    root: Path
    top: Path
    prefix: str

    @classmethod
    def at(cls, root: Path) -> Checkout:
        """Return the checkout at *root*, which may be a folder of a larger repository.

        Raises:
            Refused: if git knows no repository there.
        """
        output = run_git(root, "rev-parse", "--show-prefix", "--show-toplevel")
        prefix, _, top = output.partition(b"\n")
        return cls(root, Path(decoded(top.rstrip(b"\n"))), decoded(prefix))

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Return git's output, run from the top of the repository."""
        return run_git(self.top, *arguments, stdin=stdin)

    def head(self) -> str:
        """Return the commit that is checked out.

        Raises:
            Refused: if there is none.
        """
        return self.git("rev-parse", "--verify", "HEAD^{commit}").decode().strip()

    def tree(self, paths: tuple[str, ...]) -> dict[str, tuple[str, str]]:
        """Return path -> (mode, object) of what `HEAD` has at these paths and below them."""
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", "HEAD", "--", *paths)
        objects = {}
        for entry in filter(None, listed.split(b"\0")):
            meta, _, name = entry.partition(b"\t")
            mode, _, oid = meta.decode().split()
            objects[decoded(name)] = (mode, oid)
        return objects
