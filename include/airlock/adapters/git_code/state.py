"""What is on disk of a model's code, held against `HEAD` byte for byte.

git's own status is not asked: files it was told to ignore or to take for unchanged, and filters,
would hide what Python reads. A file kept by git LFS is unchanged if it is what its pointer names.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airlock.adapters.git_code.imports import Reach
from airlock.adapters.git_code.runner import Checkout
from airlock.domain.digest import digest_bytes, file_digest, manifest_digest

#: Written by tools beside the code, and no part of it.
CACHES = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"})
_LINK, _SUBMODULE = "120000", "160000"
_POINTER = re.compile(
    rb"\Aversion https://git-lfs\.github\.com/spec/v1\n(?s:.*)oid (sha256:\w{64})"
)
_POINTER_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Code:
    """The code of a model: *folder* and *outside* from the checkout's root, *paths* from the
    repository's top, and what about it cannot be told."""

    folder: str
    outside: tuple[str, ...]
    paths: tuple[str, ...]
    unclear: tuple[str, ...] = ()


def code_of(checkout: Checkout, folder: str, reach: Reach | None = None) -> Code:
    """Return the code in *folder* with what it reaches; links are followed into the repository."""
    reach = reach or Reach()
    folder = folder.strip("/") if not Path(folder).is_absolute() else _below(checkout, folder)
    outside, unclear = set(reach.files), list(reach.unclear)
    for path in (folder, *listed(checkout.root, folder), *reach.files):
        place = checkout.root / path
        if not place.is_symlink():
            continue
        target = place.resolve()
        if not target.is_relative_to(checkout.root.resolve()) or not target.is_file():
            unclear.append(f"{path} is a link to something that is no file of this repository")
        else:
            outside.add(target.relative_to(checkout.root.resolve()).as_posix())
    outside = {path for path in outside if not path.startswith(f"{folder}/")}
    paths = tuple(checkout.prefix + path for path in (folder, *sorted(outside)))
    modes = checkout.tree(paths)
    unclear += [f"{path} is a repository of its own" for path, (mode, _) in modes.items()
                if mode == _SUBMODULE]  # fmt: skip
    return Code(folder, tuple(sorted(outside)), paths, tuple(unclear))


def changes(checkout: Checkout, code: Code) -> list[str]:
    """Return the paths of the code that are not on disk what they are in `HEAD`, sorted."""
    committed = checkout.tree(code.paths)
    here = {checkout.prefix + path: checkout.root / path for path in _all(checkout.root, code)}
    hashed = checkout.git("rev-parse", "--show-object-format").decode().strip()
    changed = {path for path in committed if path not in here}
    for path, place in here.items():
        mode, oid = committed.get(path, ("", ""))
        if not oid or not _same(checkout, place, mode, oid, hashed):
            changed.add(path)
    return sorted(changed)


def name_of(checkout: Checkout, code: Code) -> str:
    """Return one digest for what is on disk of the code."""
    files = {}
    for path in _all(checkout.root, code):
        inner = path.removeprefix(f"{code.folder}/") if path not in code.outside else f"/{path}"
        files[inner] = _content(checkout.root / path)
    return manifest_digest(files or {"": digest_bytes(b"")})


def _content(place: Path) -> str:
    if place.is_symlink():
        return digest_bytes(b"link to " + os.fsencode(place.readlink()))
    if not place.is_file():
        return digest_bytes(b"no file")
    return file_digest(place)


def _all(root: Path, code: Code) -> Iterator[str]:
    yield from listed(root, code.folder)
    yield from (path for path in code.outside if os.path.lexists(root / path))


def listed(root: Path, folder: str) -> Iterator[str]:
    """Yield everything below *folder* but folders and caches, whatever git thinks of it."""
    for place, folders, files in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if name not in CACHES)
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted((*files, *links)):
            yield (Path(place) / name).relative_to(root).as_posix()


def _same(checkout: Checkout, place: Path, mode: str, oid: str, hashed: str) -> bool:
    kind = place.lstat().st_mode
    if stat.S_ISLNK(kind):
        return mode == _LINK and _blob(os.fsencode(place.readlink()), hashed) == oid
    if not stat.S_ISREG(kind) or mode in (_LINK, _SUBMODULE):
        return False
    return _blob_of(place, hashed) == oid or _is_pointed_at(checkout, place, oid)


def _blob(data: bytes, hashed: str) -> str:
    return hashlib.new(hashed, b"blob %d\0" % len(data) + data).hexdigest()


def _blob_of(place: Path, hashed: str) -> str:
    with place.open("rb") as stream:
        digest = hashlib.new(hashed, b"blob %d\0" % os.fstat(stream.fileno()).st_size)
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _is_pointed_at(checkout: Checkout, place: Path, oid: str) -> bool:
    size = int(checkout.git("cat-file", "-s", oid))
    if size > _POINTER_SIZE:
        return False
    match = _POINTER.match(checkout.git("cat-file", "blob", oid))
    return match is not None and match[1].decode() == file_digest(place)


def _below(checkout: Checkout, folder: str) -> str:
    return Path(folder).resolve().relative_to(checkout.root.resolve()).as_posix()
