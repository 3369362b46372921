"""The bundle as bytes: one zip with exactly one spelling, or the folder it was unpacked into.

Rules:
* Files are stored, not compressed, in order of their names, with fixed times and rights. So the
  same files always give the same bytes, and any other byte of the zip is a change: a bundle that
  is not spelled like this is refused. Unpacked again by another tool, check the folder instead.
* `manifest.json` names every other file with its SHA-256; nothing is missing and nothing is added.

Reading follows no path in the zip and writes nothing. It opens plain files only, and none before
its size is known: a pipe or a device is refused at once instead of being waited for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,2}")
#: Midnight of 1 January 1980, the first day a zip knows.
_TIME, _DATE = 0, 0x21
_RIGHTS = 0o100644 << 16
#: The most bytes of a whole bundle and of a file beside it, and the most files of a folder.
LARGEST, LARGEST_KEY, MOST_FILES = 1 << 30, 1 << 20, 20_000


class Failed(Exception):
    """Something does not hold. `where` is the file or the entry, `why` what is wrong with it."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where, self.why = where, why


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the one zip that holds these files."""
    body, index = bytearray(), bytearray()
    for name in sorted(files):
        data, raw = files[name], name.encode("ascii")
        same: tuple[int, ...] = (0, 0, _TIME, _DATE, zlib.crc32(data), len(data), len(data))
        head = (b"PK\x01\x02", 3 << 8 | 20, 20, *same, len(raw), 0, 0, 0, 0, _RIGHTS, len(body))
        index += _CENTRAL.pack(*head) + raw
        body += _LOCAL.pack(b"PK\x03\x04", 20, *same, len(raw), 0) + raw + data
    count = len(files)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(index), len(body), 0)
    return bytes(body + index + end)


def unpack(data: bytes, where: str) -> dict[str, bytes]:
    """Return the files of a zip that `pack` has made.

    Raises:
        Failed: if it is any other one, naming the first file that is not as it was written.
    """
    files: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == b"PK\x03\x04" and at + _LOCAL.size <= len(data):
        fields = _LOCAL.unpack_from(data, at)
        size, length = fields[7], fields[9]
        start = at + _LOCAL.size + length
        name = data[at + _LOCAL.size : start].decode("ascii", "replace")
        content = data[start : start + size]
        if zlib.crc32(content) != fields[6] or not _NAME.fullmatch(name) or name in files:
            raise Failed(f"{where}, {name!r:.60}", "is damaged in the zip")
        files[name] = content
        at = start + size
    if not files or pack(files) != data:
        why = "is not a bundle as Airlock packs it: changed, cut off, or packed by another tool"
        raise Failed(where, f"{why} (then unpack it and check the folder)")
    return files


def read_plain(path: Path, most: int = LARGEST) -> bytes:
    """Return the bytes of a plain file of at most *most* bytes, never waiting for a writer.

    Raises:
        OSError: saying so, if it is anything else: a pipe, a device, a socket, a folder, too large.
    """
    if not stat.S_ISREG(os.stat(str(path)).st_mode):
        raise OSError("it is no plain file")
    opened = os.open(str(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(opened, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no plain file")
        if status.st_size > most:
            raise OSError(f"it has {status.st_size} bytes, more than the {most} that are read")
        data = stream.read(most + 1)
    if len(data) > most:
        raise OSError(f"it grew beyond the {most} bytes that are read")
    return data


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder; a link or anything else that is no file is a failure."""
    files: dict[str, bytes] = {}
    left = LARGEST
    for base, folders, names in os.walk(str(folder)):
        for name in (*folders, *names):
            path = Path(base, name)
            inside = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise Failed(inside, "is a link, which no bundle has")
            if name not in names:
                continue
            if len(files) >= MOST_FILES:
                raise Failed("the folder", f"has more than {MOST_FILES} files, which no bundle has")
            try:
                files[inside] = read_plain(path, left)
            except OSError as error:
                why = error.strerror or str(error)
                raise Failed(inside, f"cannot be part of a bundle: {why}") from error
            left -= len(files[inside])
    return files


def manifest(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of all files but itself."""
    digests = {name: sha256(data) for name, data in files.items() if name != MANIFEST}
    return pretty({"files": digests})


def check_manifest(files: Mapping[str, bytes]) -> None:
    """Compare every file with the manifest.

    Raises:
        Failed: naming the first file that is changed, missing or added.
    """
    try:
        digests = json.loads(files[MANIFEST])["files"]
        listed = {str(name): str(digest) for name, digest in digests.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(MANIFEST, "is missing or cannot be read") from error
    here = {name: sha256(data) for name, data in files.items() if name != MANIFEST}
    for name in sorted({*listed, *here}):
        if name not in here:
            raise Failed(name, "is missing, the manifest names it")
        if name not in listed:
            raise Failed(name, "was added, the manifest does not name it")
        if here[name] != listed[name]:
            raise Failed(name, f"was changed: expected {listed[name]}, found {here[name]}")
    if files[MANIFEST] != manifest(files):
        raise Failed(MANIFEST, "is not spelled as Airlock writes it: changed")


def sha256(data: bytes) -> str:
    """Return a digest as Airlock spells it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def canonical(value: Any) -> bytes:
    """Return the JSON whose bytes Airlock takes digests of: sorted keys, no white space."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def pretty(value: Any) -> bytes:
    """Return JSON for people, always spelled the same way."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
