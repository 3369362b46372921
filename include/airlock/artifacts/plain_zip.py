"""Zip files that are nothing but zip files.

Rules:
* The members lie one behind the other from the first byte; then the directory, then its end record,
  then nothing. So nothing hides before, between or behind, and every reader sees the same members.
* Each member's own header names it as the directory does. No encryption, no data descriptor, no
  comment, no name twice, no folder, no path: a member is a plain file name.
* Stored or deflated, at most a hundred times smaller than unpacked, and bounded in sum, so that
  reading it cannot fill the memory.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from airlock.artifacts.refusals import NotPlain

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_MEMBERS_LIMIT = 100_000
_TOTAL_LIMIT = 8 << 30
_RATIO_LIMIT = 100
_RATIO_FREE = 16 << 20  # below this a high ratio does no harm
_HEADER = 30
_END = 22
_PLAIN_FLAGS = 0x0806  # compression level, and names in UTF-8


@dataclass(frozen=True)
class PlainZip:
    """An open zip that was found plain. Members are read through `read` alone."""

    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]

    def size(self, name: str) -> int:
        """Return how long a member is."""
        return self.members[name].file_size

    def read(self, name: str) -> bytes:
        """Return a member's bytes; their checksum was checked."""
        return self.archive.read(self.members[name])


def open_plain(source: Path | bytes) -> PlainZip:
    """Open a zip file and check that it is plain.

    Raises:
        NotPlain: naming what is odd about it.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise NotPlain(f"a broken zip ({error})", "a whole zip file") from error
    members = _members(archive)
    stream = archive.fp
    if stream is None:
        raise NotPlain("a closed zip", "a whole zip file")
    _check_tiling(archive, stream, members)
    return PlainZip(archive, {member.filename: member for member in members})


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    names = {member.filename for member in members}
    if not members or len(members) > _MEMBERS_LIMIT:
        raise NotPlain(f"{len(members)} members", f"1 to {_MEMBERS_LIMIT:,} members")
    if len(names) != len(members):
        raise NotPlain("a member that is there twice", "each member once")
    for member in members:
        _check_member(member)
    packed = sum(member.compress_size for member in members)
    whole = sum(member.file_size for member in members)
    if whole > _TOTAL_LIMIT or whole > max(_RATIO_FREE, packed * _RATIO_LIMIT):
        raise NotPlain(
            f"{packed:,} bytes that unpack to {whole:,}",
            f"at most {_TOTAL_LIMIT:,} bytes and a hundred times the packed size",
        )
    return members


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if not _NAME.fullmatch(name) or member.orig_filename != name:
        raise NotPlain(f"a member named {member.orig_filename!r}", "plain file names, no paths")
    if member.flag_bits & ~_PLAIN_FLAGS:
        raise NotPlain(f"{name} with flags {member.flag_bits:#x}", "no encryption or descriptor")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotPlain(f"{name} packed by method {member.compress_type}", "stored or deflated")
    if member.comment:
        raise NotPlain(f"a comment at {name}", "no comments")
    if member.is_dir() or (member.external_attr >> 28) not in (0, 8):
        raise NotPlain(f"{name}, which is no file", "files only, no links or folders")


def _check_tiling(
    archive: zipfile.ZipFile, stream: IO[bytes], members: list[zipfile.ZipInfo]
) -> None:
    """Check that members, directory and end record cover the file without a gap."""
    at = 0
    for member in members:
        if member.header_offset != at:
            raise NotPlain(
                f"{abs(member.header_offset - at)} bytes before {member.filename} that belong to "
                "no member",
                "members one behind the other from the first byte",
            )
        at = _end_of(stream, member)
    if archive.start_dir != at:
        raise NotPlain("bytes between the members and the directory", "the directory behind them")
    stream.seek(at)
    _check_directory(stream.read(), len(members))


def _end_of(stream: IO[bytes], member: zipfile.ZipInfo) -> int:
    stream.seek(member.header_offset)
    head = stream.read(_HEADER)
    if len(head) < _HEADER or head[:4] != b"PK\x03\x04":
        raise NotPlain(f"no header before {member.filename}", "a header before each member")
    flags, method = struct.unpack_from("<HH", head, 6)
    name_size, extra_size = struct.unpack_from("<HH", head, 26)
    name = stream.read(name_size)
    if name != member.filename.encode() or (flags, method) != (
        member.flag_bits,
        member.compress_type,
    ):
        raise NotPlain(
            f"a header that says {name!r} where the directory says {member.filename!r}",
            "headers and directory that agree",
        )
    behind: int = member.header_offset + _HEADER + name_size + extra_size + member.compress_size
    return behind


def _check_directory(tail: bytes, count: int) -> None:
    """Check that the rest of the file is the directory and its end record, without a comment."""
    at = 0
    for _ in range(count):
        if tail[at : at + 4] != b"PK\x01\x02" or len(tail) < at + 46:
            raise NotPlain("a directory that ends early", "a whole directory")
        name, extra, comment = struct.unpack_from("<HHH", tail, at + 28)
        at += 46 + name + extra + comment
    rest = tail[at:]
    if len(rest) != _END or rest[:4] != b"PK\x05\x06":
        raise NotPlain(f"{len(rest)} bytes behind the directory", f"its end record, {_END} bytes")
