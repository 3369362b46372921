"""The decider's own checkout, as what tasks say about their code is held against it."""

from __future__ import annotations

from pathlib import Path

from airlock.adapters.git_code import authors, commit
from airlock.adapters.git_code.change import change
from airlock.domain.digest import file_digest
from airlock.ports import CodeChange


class OwnCheckout:
    """`airlock.ports.CodeSource` over git."""

    def __init__(self, root: Path, pinned: str = "") -> None:
        """*root*: of the checkout; *pinned*: the commit, in an image without git."""
        self._root, self._pinned = root, pinned

    def commit(self, folder: str) -> str:
        """Return the commit of the code in a folder. Raises Refused."""
        return commit(self._root, folder, self._pinned)

    def committers(self, folder: str, since: str = "") -> tuple[str, ...]:
        """Return the authors of a folder's changes since a commit."""
        return authors(self._root, folder, since)

    def lock(self) -> str:
        """Return the digest of the file that locks the libraries."""
        return file_digest(self._root / "requirements.txt")

    def change(self, folder: str, before: str, after: str) -> CodeChange:
        """Return the change of a folder's code between two commits. Raises Refused."""
        return change(self._root, folder, before, after)
