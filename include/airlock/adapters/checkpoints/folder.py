"""Checkpoints in a folder, one note per size with the leaves since the one before.

The folder is meant to be somewhere the database's administrator cannot write: another disk, a
share of another team, a git checkout that is pushed. Files are never written twice; a note that
is there already and says something else, or a larger one the database does not know, is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

from airlock.domain.errors import Refused, Unreachable
from airlock.domain.log.tree import KeptCheckpoint
from airlock.services.audit.transparency_log import Copy

NOTE, LEAVES = ".note", ".leaves"


class CheckpointFolder:
    """Keeps every checkpoint as `<size>.note` and `<size>.leaves`."""

    witness = False

    def __init__(self, folder: Path) -> None:
        """Use *folder*; it is created with the first checkpoint."""
        self._folder = folder
        self.name = f"folder {folder}"

    def put(self, copy: Copy) -> str:
        """Keep a checkpoint.

        Raises:
            Refused: if it contradicts what is kept.
            Unreachable: if the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            self._check(copy)
            self._write(f"{copy.size:012}{LEAVES}", copy.leaves)
            self._write(f"{copy.size:012}{NOTE}", copy.note.encode())
        except OSError as error:
            raise Unreachable(f"{self.name} cannot be written: {error}") from error
        return ""

    def _check(self, copy: Copy) -> None:
        largest = max(self._sizes(), default=0)
        file = self._folder / f"{copy.size:012}{NOTE}"
        same = file.exists() and signed_part(file.read_text()) == signed_part(copy.note)
        if largest > copy.after and not same:
            raise Refused(
                f"{self.name} holds a checkpoint of {largest} entries that the database does not "
                f"know, so it does not take one of {copy.size}",
                next_step="The database was set back or the log rewritten: `airlock audit verify`.",
            )

    def _write(self, name: str, content: bytes) -> None:
        file = self._folder / name
        if file.exists():
            return
        fresh = self._folder / f".{name}.{os.getpid()}.new"
        with fresh.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.chmod(0o444)
        fresh.replace(file)

    def _sizes(self) -> list[int]:
        files = self._folder.glob(f"*{NOTE}") if self._folder.is_dir() else ()
        return sorted(int(file.stem) for file in files if file.stem.isdigit())

    def checkpoints(self) -> tuple[KeptCheckpoint, ...]:
        """Return every checkpoint kept here, smallest first."""
        return tuple(self._checkpoint(size) for size in self._sizes())

    def _checkpoint(self, size: int) -> KeptCheckpoint:
        note = (self._folder / f"{size:012}{NOTE}").read_text(errors="replace")
        leaves = self._folder / f"{size:012}{LEAVES}"
        data = leaves.read_bytes() if leaves.exists() else b""
        return KeptCheckpoint(self.name, size, note, data)


def signed_part(note: str) -> str:
    """Return the part the log itself signed; cosignatures may come later."""
    return note.rpartition("\n\n")[0]
