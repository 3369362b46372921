"""A digest of what a model file says, without what differs each time it is written.

A skops file holds the hour it was written (in the zip) and where its objects lay in memory (their
ids, and the names of its members made of them): two equal models never have equal bytes. So the
digest is taken over the schema, with ids numbered as they appear and members named by their own
digest. Two files of one digest build the same object, number for number. Every other format is
taken as its bytes. Nothing is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airlock.artifacts.plain_text import read_json
from airlock.artifacts.plain_zip import open_plain
from airlock.artifacts.skops_file import SCHEMA
from airlock.domain.digest import digest_bytes, file_digest

_ID = "__id__"


def content_digest(path: Path, kind: str) -> str:
    """Return the digest of a model file's content; *kind* is its format.

    Raises:
        NotPlain: if it is called a skops file and is none.
    """
    if kind != "skops":
        return file_digest(path)
    archive = open_plain(path)
    with archive.archive:
        schema = read_json(archive.read(SCHEMA))
        members = {
            name: digest_bytes(archive.read(name)) for name in archive.members if name != SCHEMA
        }
    plain = _plain(schema, members, {})
    return digest_bytes(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode())


def _plain(node: Any, members: dict[str, str], ids: dict[Any, int]) -> Any:
    if isinstance(node, list):
        return [_plain(entry, members, ids) for entry in node]
    if not isinstance(node, dict):
        return node
    plain: dict[str, Any] = {}
    for key in sorted(node):
        value = node[key]
        if key == _ID:
            plain[key] = ids.setdefault(str(value), len(ids))
        elif key == "file" and "__loader__" in node:
            plain[key] = members[value]
        else:
            plain[key] = _plain(value, members, ids)
    return plain
