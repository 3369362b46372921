"""The digest of stored files, computed where they lie: the same as over a download of them."""

from __future__ import annotations

import hashlib
import posixpath
from pathlib import Path
from typing import Any

from airlock.domain.digest import (
    check_names,
    check_sizes,
    file_digest,
    folder_manifest,
    manifest_digest,
)


def stored_digest(repository: Any, place: str) -> str:
    """Return the manifest digest of all files at *place* in the server's store.

    Raises:
        ValueError: if there are no files, or things no manifest can name.
    """
    local = repository.get_local_path(place)
    if local is not None and Path(local).is_dir():
        return manifest_digest(folder_manifest(Path(local)))
    infos = [info for info in repository._iter_artifacts_recursive(place) if not info.is_dir]
    names = {posixpath.relpath(info.path, place): info.path for info in infos}
    check_names(names)
    check_sizes(info.file_size or 0 for info in infos)
    return manifest_digest({name: _digest(repository, path) for name, path in names.items()})


def _digest(repository: Any, path: str) -> str:
    local = repository.get_local_path(path)
    if local is not None:
        return file_digest(Path(local))
    digest = hashlib.sha256()
    for block in repository.blocks(path):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"
