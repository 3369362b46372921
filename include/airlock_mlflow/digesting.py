"""The digest of stored files, computed where they lie: the same as over a download of them."""

from __future__ import annotations

import hashlib
import posixpath
from pathlib import Path
from typing import Any

from airlock.domain.digest import file_digest, manifest_digest


def stored_digest(repository: Any, place: str) -> str:
    """Return the manifest digest of all files at *place* in the server's store.

    Raises:
        ValueError: if there are no files.
    """
    files = {
        posixpath.relpath(info.path, place): _digest(repository, info.path)
        for info in repository._iter_artifacts_recursive(place)
        if not info.is_dir
    }
    return manifest_digest(files)


def _digest(repository: Any, path: str) -> str:
    local = repository.get_local_path(path)
    if local is not None:
        return file_digest(Path(local))
    digest = hashlib.sha256()
    for block in repository.blocks(path):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"
