"""Files of evidence in a folder, each under its own digest: `<root>/ab/cdef...`.

Rules:
* A file is written once and never changed: its name is what is in it.
* What is read back is held against its name; a file that was changed is refused.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from airlock.domain.digest import digest_bytes, file_digest, is_digest, short
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.domain.evidence.evidence_files import check_size


class EvidenceFolder:
    """`airlock.ports.Files` below *root*."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, path: Path) -> str:
        """Keep a file and return its digest; the same file again changes nothing.

        Raises:
            Unreachable: if the folder cannot be written.
        """
        digest = file_digest(path)
        place = self._place(digest)
        try:
            if place.is_file():
                return digest
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=place.parent)
            with os.fdopen(handle, "wb") as copy, path.open("rb") as source:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
            Path(name).chmod(0o400)
            Path(name).replace(place)
        except OSError as error:
            raise Unreachable(
                f"evidence cannot be kept in {self._root}: {error}",
                next_step="Check AIRLOCK_EVIDENCE: the folder, its owner, the space left.",
            ) from error
        return digest

    def get(self, digest: str) -> Path:
        """Return the file with this digest.

        Raises:
            NotFound: if it is not kept here.
            Refused: if it was changed.
        """
        place = self._existing(digest)
        self._check(digest, file_digest(place))
        return place

    def read(self, digest: str, most: int) -> bytes:
        """Return the content of a file of at most *most* bytes.

        Raises:
            NotFound: if it is not kept here.
            Refused: if it is larger, or was changed.
        """
        with self._existing(digest).open("rb") as stream:
            content = stream.read(most + 1)
        check_size(digest, len(content), most)
        self._check(digest, digest_bytes(content))
        return content

    def _existing(self, digest: str) -> Path:
        place = self._place(digest)
        if not place.is_file():
            raise NotFound(
                f"the evidence {short(digest)} is not in {self._root}",
                next_step="Restore the evidence store from its backup.",
            )
        return place

    def _check(self, digest: str, current: str) -> None:
        if current != digest:
            raise Refused(
                f"the evidence {short(digest)} in {self._root} was changed: it is {short(current)}",
                next_step="Restore it from a backup, and find out who writes there.",
            )

    def _place(self, digest: str) -> Path:
        if not is_digest(digest):
            raise NotFound(f"{digest!r} is no digest of evidence")
        name = digest.partition(":")[2]
        return self._root / name[:2] / name[2:]
