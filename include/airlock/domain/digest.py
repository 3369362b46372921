"""Digests: one spelling (`sha256:<64 hex>`), one canonical JSON, one manifest of files.

A digest of structured data is always taken over the exact bytes `canonical_json` returns;
those bytes are what gets stored, so that verification never serialises again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_DIGEST = re.compile(r"\Asha256:[0-9a-f]{64}\Z")


def canonical_json(value: Any) -> bytes:
    """Return *value* as UTF-8 JSON with sorted keys and no white space.

    Raises:
        ValueError: for NaN and infinity, which JSON does not have.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def plain(value: Any) -> Any:
    """Return JSON data with one spelling for numbers that are equal.

    150.0, 1.5e2 and 150 are 150, and -0.0 is 0. Whatever people write is digested in this form,
    so that equal options have one digest; what was stored as bytes is never written again.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def digest_bytes(data: bytes) -> str:
    """Return the digest of *data*."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_json(value: Any) -> str:
    """Return the digest of the canonical JSON of *value*."""
    return digest_bytes(canonical_json(value))


def file_digest(path: Path) -> str:
    """Return the digest of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def manifest_digest(files: Mapping[str, str]) -> str:
    """Return one digest for a set of files: relative POSIX path -> digest.

    Raises:
        ValueError: if there is no file at all; an empty artifact proves nothing.
    """
    if not files:
        raise ValueError("a manifest needs at least one file")
    return digest_json(dict(files))


def folder_manifest(folder: Path) -> dict[str, str]:
    """Return relative POSIX path -> digest for every file below *folder*."""
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_digest(text: str) -> bool:
    """Say whether *text* is spelled as a digest."""
    return _DIGEST.fullmatch(text) is not None


def short(digest: str) -> str:
    """Return the first twelve hex digits, for people; never for comparing."""
    return digest.removeprefix("sha256:")[:12]
