"""Digests: one spelling (`sha256:<64 hex>`), one canonical JSON, one manifest of files.

A digest of structured data is always taken over the exact bytes `canonical_json` returns;
those bytes are what gets stored, so that verification never serialises again.

A manifest is of plain files with plain names. Whatever else lies in a folder is refused by name:
left out, it would be approved without having been part of the digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: The most files of one folder, and the most bytes in all of them.
MOST_FILES, MOST_BYTES = 50_000, 256 << 30

_DIGEST = re.compile(r"\Asha256:[0-9a-f]{64}\Z")
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


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
    """Return relative POSIX path -> digest for every file below *folder*.

    Nothing is left out: what has no place in a manifest is refused, with its name and before
    anything is read.

    Raises:
        OddFolder: (a ValueError) for a link, a pipe, a socket, a device, an empty folder, a name
            another system would not keep, two names that differ in letter case only, and more
            files or bytes than `MOST_FILES` and `MOST_BYTES`.
    """
    files = sorted(_files(folder))
    check_names(name for name, _, _ in files)
    check_sizes(size for _, _, size in files)
    return {name: _plain_digest(path) for name, path, _ in files}


def check_names(names: Iterable[str]) -> None:
    """Refuse names of files that are not the same everywhere they may be copied to.

    Raises:
        OddFolder: naming the first, escaped.
    """
    spellings: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        if not name.isprintable() or "\\" in name or {"", ".", ".."} & {*parts}:
            raise _odd(f"the name {name!a} is absolute, has other parts than names, or other "
                       "characters than can be shown")  # fmt: skip
        other = spellings.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise _odd(f"{other!a} and {name!a} are one name on other systems")


def check_sizes(sizes: Iterable[int]) -> None:
    """Refuse more files, or more bytes in them, than anybody wants to hash.

    Raises:
        OddFolder: saying how many there are, as far as they were counted.
    """
    total = 0
    for number, size in enumerate(sizes, 1):
        total += size
        if number > MOST_FILES or total > MOST_BYTES:
            raise _odd(f"it has more than {MOST_FILES} files or {MOST_BYTES} bytes")


def _files(folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield name, place and size of every file; refuse everything else there is."""
    if not folder.is_dir():
        return
    todo, count = [folder], 0
    while todo:
        place = todo.pop()
        with os.scandir(place) as entries:
            inside = list(entries)
        if not inside and place != folder:
            raise _odd(f"{place.relative_to(folder).as_posix()!a} is an empty folder")
        for entry in inside:
            path, kind = Path(entry.path), entry.stat(follow_symlinks=False).st_mode
            name = path.relative_to(folder).as_posix()
            if stat.S_ISDIR(kind):
                todo.append(path)
            elif stat.S_ISREG(kind):
                count += 1
                if count > MOST_FILES:
                    raise _odd(f"it has more than {MOST_FILES} files")
                yield name, path, entry.stat(follow_symlinks=False).st_size
            else:
                raise _odd(f"{name!a} is {_KINDS.get(stat.S_IFMT(kind), 'no file')}")


def _plain_digest(path: Path) -> str:
    """Return the digest of a file that is still one; nothing waits for what took its place."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(opened, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise _odd(f"{path.name!a} was a file and is none any more")
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _odd(why: str) -> ValueError:
    # Imported here: this file travels in evidence bundles, the errors do not.
    from airlock.domain.errors import OddFolder

    return OddFolder(
        f"the folder cannot be given a digest: {why}",
        next_step="Keep plain files with plain names, and nothing else, in the folder.",
    )


def is_digest(text: str) -> bool:
    """Say whether *text* is spelled as a digest."""
    return _DIGEST.fullmatch(text) is not None


def short(digest: str) -> str:
    """Return the first twelve hex digits, for people; never for comparing."""
    return digest.removeprefix("sha256:")[:12]
