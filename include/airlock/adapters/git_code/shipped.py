"""The example models and policies Airlock comes with: nobody's own work where it is installed.

`shipped.json` names each folder's digest. Whoever changes one byte is asked about in git as for
any other folder. The test of this file prints what it should say.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from airlock.adapters.git_code.state import listed
from airlock.domain.digest import file_digest, manifest_digest

_TABLE = Path(__file__).with_name("shipped.json")


def is_shipped(root: Path, folder: str) -> bool:
    """Say whether *folder* of *root* is, byte for byte and wherever it is, what Airlock came with.

    It holds plain files only; a link, a pipe or a folder that cannot be read is not shipped.
    """
    place = root / folder
    try:
        plain = (path.is_dir() or path.is_file() for path in place.rglob("*"))
        if any(path.is_symlink() for path in place.rglob("*")) or not all(plain):
            return False
        return digest_of(place) in _table().values()
    except (OSError, ValueError):
        return False


def digest_of(folder: Path) -> str:
    """Return the digest of a folder's files, caches left out."""
    return manifest_digest({path: file_digest(folder / path) for path in listed(folder, ".")})


@cache
def _table() -> dict[str, str]:
    table: dict[str, str] = json.loads(_TABLE.read_text("utf-8"))
    return table


def table_of(root: Path) -> dict[str, str]:
    """Return what `shipped.json` has to say of the folders as they are in *root*."""
    models = sorted(path.parent for path in (root / "include/models").glob("*/train.py"))
    folders = [*models, root / "include/policies"]
    return {path.relative_to(root).as_posix(): digest_of(path) for path in folders}
