"""What proves an entry: RFC 6962 trees, and checkpoints as C2SP signed notes.

Rules:
* A leaf is `SHA-256(0x00 || hash of the entry)`, an inner node `SHA-256(0x01 || left || right)`.
* A note is text, an empty line, signature lines. The log signs a checkpoint as a note (0x01) and
  as a cosignature (0x04), from which its time comes; a witness adds a cosignature.
* A line of an unknown key is ignored; one of a trusted key that does not verify spoils the note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from airlock_evidence.archive import Failed
from airlock_evidence.ed25519 import verify

NOTE, COSIGNATURE = 0x01, 0x04
_LINE = re.compile(r"\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})\n")


class Signed(NamedTuple):
    """A checkpoint whose log signature is good: times in seconds since 1970."""

    origin: str
    size: int
    root: bytes
    at: int
    key: str
    witnesses: dict[str, int]


class _Signature(NamedTuple):
    name: str
    key: bytes
    raw: bytes


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Say whether *path* proves a leaf hash at *index* under *root* (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    digest, last, left = leaf, size - 1, index
    for sibling in path:
        if not last:
            return False
        if left & 1 or left == last:
            digest = _node(sibling, digest)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            digest = _node(digest, sibling)
        left, last = left >> 1, last >> 1
    return not last and digest == root


def consistent(old: int, new: int, path: Sequence[bytes], before: bytes, after: bytes) -> bool:
    """Say whether *path* proves that *after* extends *before* (RFC 9162, 2.1.4.2)."""
    if not 0 < old < new:
        return not path and 0 < old == new and before == after
    left, last = old - 1, new - 1
    while left & 1:
        left, last = left >> 1, last >> 1
    hashes = [before, *path] if not left else list(path)
    if not hashes:
        return False
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if not last:
            return False
        if left & 1 or left == last:
            first, second = _node(sibling, first), _node(sibling, second)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            second = _node(second, sibling)
        left, last = left >> 1, last >> 1
    return not last and first == before and second == after


def open_note(
    where: str, note: bytes, keys: Mapping[str, bytes], witnesses: Mapping[str, bytes]
) -> Signed:
    """Check the signatures of a checkpoint: of the log's *keys* (id -> key) and of *witnesses*.

    Raises:
        Failed: if it is malformed, or the log did not sign it.
    """
    (origin, size, root), text, lines = _parse(where, note)
    plain = ""
    times: list[int] = []
    for key_id, public in keys.items():
        for signature in _of(lines, origin, NOTE, public):
            _demand(where, signature, verify(public, signature.raw, text))
            plain = key_id
        times += [
            _cosigned(where, signature, public, text)
            for signature in _of(lines, origin, COSIGNATURE, public)
        ]
    if not plain or not times:
        used = sorted({signature.key.hex() for signature in lines if signature.name == origin})
        raise Failed(where, f"not signed by a trusted key of the log (signed by {', '.join(used)})")
    cosigned = {
        name: _cosigned(where, signature, public, text)
        for name, public in witnesses.items()
        for signature in _of(lines, name, COSIGNATURE, public)
    }
    return Signed(origin, size, root, times[-1], plain, cosigned)


def peek(note: bytes) -> tuple[str, int, bytes, int]:
    """Return origin, size, root and time of a note without verifying anything."""
    (origin, size, root), _, lines = _parse("the checkpoint", note)
    own = [
        signature for signature in lines if signature.name == origin and len(signature.raw) == 72
    ]
    return origin, size, root, int.from_bytes(own[0].raw[:8], "big") if own else 0


def signers(note: bytes) -> list[str]:
    """Return the names of all who have signed a note, the log's own first."""
    (origin, _, _), _, lines = _parse("the checkpoint", note)
    names = {signature.name for signature in lines}
    return [origin, *sorted(names - {origin})]


def note_key(name: str, kind: int, public: bytes) -> bytes:
    """Return the four bytes by which a note names a key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def unbase64(text: str) -> bytes:
    """Return the bytes of canonical base64; empty for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
    return data if base64.b64encode(data).decode() == text else b""


def _parse(where: str, note: bytes) -> tuple[tuple[str, int, bytes], bytes, list[_Signature]]:
    try:
        text, separator, tail = note.decode().rpartition("\n\n")
        lines = list(_LINE.finditer(tail))
        origin, count, root, *rest = f"{text}\n".split("\n")
    except ValueError as error:
        raise Failed(where, "is not a signed note of a checkpoint") from error
    signatures = [_signature(line[1], unbase64(line[2])) for line in lines]
    whole = "".join(line[0] for line in lines) == tail and all(
        signature.raw for signature in signatures
    )
    good = bool(origin) and re.fullmatch(r"0|[1-9][0-9]{0,17}", count) and rest == [""]
    if not (separator and whole and good and lines and len(unbase64(root)) == 32):
        raise Failed(where, "is not a signed note of a checkpoint")
    return (origin, int(count), unbase64(root)), f"{text}\n".encode(), signatures


def _signature(name: str, raw: bytes) -> _Signature:
    return _Signature(name, raw[:4], raw[4:])


def _of(lines: Sequence[_Signature], name: str, kind: int, public: bytes) -> list[_Signature]:
    key = note_key(name, kind, public)
    return [signature for signature in lines if (signature.name, signature.key) == (name, key)]


def _cosigned(where: str, signature: _Signature, public: bytes, text: bytes) -> int:
    at = int.from_bytes(signature.raw[:8], "big")
    message = f"cosignature/v1\ntime {at}\n".encode() + text
    _demand(where, signature, len(signature.raw) == 72 and 0 < at < 1 << 63)
    _demand(where, signature, verify(public, signature.raw[8:], message))
    return at


def _demand(where: str, signature: _Signature, good: bool) -> None:
    if not good:
        raise Failed(
            where, f"the signature of {signature.name} (key {signature.key.hex()}) does not verify"
        )


#: (key id, signature, message) -> is it good?
Verify = Callable[[str, bytes, bytes], bool]
