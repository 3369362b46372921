"""Checkpoints: the signed size and root of the log's tree, in formats any tool can read.

* https://c2sp.org/signed-note: text, an empty line, one line per signature.
* https://c2sp.org/tlog-checkpoint: origin, size, root in base64; no extension lines here.
* https://c2sp.org/tlog-cosignature (`cosignature/v1`): what a witness signs, with its time.
* https://c2sp.org/tlog-proof: one entry's place in the tree, checkable without the log.

Rules:
* The log signs each checkpoint twice with its Ed25519 key: as a note (type 0x01), and as a
  cosignature (type 0x04), which is where the checkpoint's time comes from.
* A line of an unknown key is ignored; one of a known key that does not verify spoils the note.
* A note without a good signature of the log is not a checkpoint.

It builds and reads; keys are behind `airlock.ports`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airlock.domain.errors import Invalid, Refused

NOTE, COSIGNATURE = 0x01, 0x04
_LINE = re.compile(r"— ([^ +]+) ([A-Za-z0-9+/]+={0,2})\n")
_MAX_LINES = 16
_MAX_NOTE = 64 * 1024

#: (key id, signature, message) -> is the signature good?
Verify = Callable[[str, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness that is trusted: its public key, and (signature, message) -> is it good?"""

    public: bytes
    verify: Callable[[bytes, bytes], bool]


class NoteInvalid(Refused):
    """A note is malformed, or not signed by who should have."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log's tree at one size."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the note text that is signed."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Line:
    """One signature of a note: who says to have signed, with which key, and the bytes."""

    name: str
    key: bytes
    signature: bytes

    def text(self) -> str:
        """Return the line as it stands in the note."""
        return f"— {self.name} {_b64(self.key + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose log signature is good. Times are seconds since 1970."""

    checkpoint: Checkpoint
    signed_at: int
    key_id: str
    witnesses: Mapping[str, int]


def note_key(name: str, kind: int, public: bytes) -> bytes:
    """Return the four bytes by which a note names a key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def vkey(name: str, kind: int, public: bytes) -> str:
    """Return a public key as one line: `name+id+key`."""
    return f"{name}+{note_key(name, kind, public).hex()}+{_b64(bytes([kind]) + public)}"


def read_vkey(text: str) -> tuple[str, int, bytes]:
    """Return name, kind and public key of a vkey.

    Raises:
        Invalid: if it is none, or its id is not that of its key.
    """
    name, _, rest = text.strip().partition("+")
    key, _, encoded = rest.partition("+")
    raw = _unb64(encoded)
    if len(raw) != 33 or raw[0] not in (NOTE, COSIGNATURE) or not name:
        raise Invalid(f"{text!r} is not the vkey of an Ed25519 key: expected name+id+key")
    kind = raw[0]
    if note_key(name, kind, raw[1:]).hex() != key:
        raise Invalid(f"the vkey of {name} has the id {key}, which is not that of its key")
    return name, kind, raw[1:]


def seal(checkpoint: Checkpoint, public: bytes, sign: Callable[[bytes], bytes], at: int) -> str:
    """Return *checkpoint* as a note signed by the log's key at the time *at*."""
    text, name = checkpoint.text(), checkpoint.origin
    plain = Line(name, note_key(name, NOTE, public), sign(text.encode()))
    return f"{text}\n{plain.text()}{cosign(text, name, public, sign, at).text()}"


def cosign(text: str, name: str, public: bytes, sign: Callable[[bytes], bytes], at: int) -> Line:
    """Return a cosignature over a note text."""
    signature = at.to_bytes(8, "big") + sign(_cosigned(text, at))
    return Line(name, note_key(name, COSIGNATURE, public), signature)


def parse(note: str) -> tuple[Checkpoint, str, tuple[Line, ...]]:
    """Return checkpoint, note text and signature lines; nothing of it is verified.

    Raises:
        NoteInvalid: if it is not a note, or not that of a checkpoint.
    """
    text, separator, tail = note.rpartition("\n\n")
    text += "\n"
    lines = list(_LINE.finditer(tail))
    broken = any(ord(c) < 32 and c != "\n" for c in note) or len(note) > _MAX_NOTE
    if not separator or broken or "".join(line[0] for line in lines) != tail or not lines:
        raise NoteInvalid("not a signed note: expected text, an empty line and signature lines")
    if len(lines) > _MAX_LINES:
        raise NoteInvalid(f"a note with {len(lines)} signatures; expected at most {_MAX_LINES}")
    signed = tuple(_line(match[1], match[2]) for match in lines)
    return _checkpoint(text), text, signed


def signed_at(note: str) -> int:
    """Return the time a note says it was signed by its log; nothing is verified."""
    checkpoint, _, lines = parse(note)
    own = [line for line in lines if line.name == checkpoint.origin and len(line.signature) == 72]
    return int.from_bytes(own[0].signature[:8], "big") if own else 0


def open_note(
    note: str,
    keys: Mapping[str, bytes],
    verify: Verify,
    witnesses: Mapping[str, Cosigner] | None = None,
) -> Opened:
    """Check the signatures of a checkpoint.

    *keys* are the log's trusted ones: key id -> public key. *witnesses* are those trusted to
    cosign, by name.

    Raises:
        NoteInvalid: if the log did not sign it, or a line of a known key does not verify.
    """
    checkpoint, text, lines = parse(note)
    plain, timed = "", 0
    for key_id, public in keys.items():
        name = checkpoint.origin
        for line in _of(lines, name, note_key(name, NOTE, public)):
            _demand(verify(key_id, line.signature, text.encode()), line)
            plain = key_id
        for line in _of(lines, name, note_key(name, COSIGNATURE, public)):
            timed = _cosigned_at(line, text, _with(verify, key_id))
    if not plain or not timed:
        raise NoteInvalid(
            f"the checkpoint of size {checkpoint.size} is not signed by a trusted key of the log"
        )
    cosigned_at = {
        name: _cosigned_at(line, text, witness.verify)
        for name, witness in (witnesses or {}).items()
        for line in _of(lines, name, note_key(name, COSIGNATURE, witness.public))
    }
    return Opened(checkpoint, timed, plain, cosigned_at)


def open_cosignature(note: str, lines: str, name: str, witness: Cosigner) -> Line:
    """Return the cosignature of one witness among *lines* it sent for *note*, checked.

    Raises:
        NoteInvalid: if it is not there or does not verify.
    """
    _, text, signatures = parse(note.rpartition("\n\n")[0] + "\n\n" + lines)
    cosignatures = _of(signatures, name, note_key(name, COSIGNATURE, witness.public))
    if not cosignatures:
        raise NoteInvalid(f"there is no cosignature of {name}")
    _cosigned_at(cosignatures[0], text, witness.verify)
    return cosignatures[0]


def proof(index: int, path: Sequence[bytes], note: str) -> str:
    """Return the proof that an entry is in a checkpoint's tree."""
    hashes = "".join(f"{_b64(digest)}\n" for digest in path)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{note}"


def read_proof(text: str) -> tuple[int, tuple[bytes, ...], str]:
    """Return index, audit path and checkpoint note of a proof.

    Raises:
        NoteInvalid: if it is not one.
    """
    head, _, note = text.partition("\n\n")
    first, _, rest = head.partition("\n")
    number, *hashes = rest.split("\n")
    if first != "c2sp.org/tlog-proof@v1" or not re.fullmatch(r"index (0|[1-9][0-9]*)", number):
        raise NoteInvalid("not a proof: expected c2sp.org/tlog-proof@v1 and an index")
    return int(number[6:]), tuple(read_hash(encoded) for encoded in hashes), note


def read_hash(encoded: str) -> bytes:
    """Return the 32 bytes of a hash in base64.

    Raises:
        NoteInvalid: if it is not one.
    """
    digest = _unb64(encoded)
    if len(digest) != 32:
        raise NoteInvalid(f"{encoded!r} is not a SHA-256 hash in base64")
    return digest


def _of(lines: Sequence[Line], name: str, key: bytes) -> list[Line]:
    return [line for line in lines if (line.name, line.key) == (name, key)]


def _cosigned(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _with(verify: Verify, key_id: str) -> Callable[[bytes, bytes], bool]:
    return lambda signature, message: verify(key_id, signature, message)


def _cosigned_at(line: Line, text: str, verify: Callable[[bytes, bytes], bool]) -> int:
    at = int.from_bytes(line.signature[:8], "big")
    _demand(len(line.signature) == 72 and 0 < at < 1 << 63, line)
    _demand(verify(line.signature[8:], _cosigned(text, at)), line)
    return at


def _demand(good: bool, line: Line) -> None:
    if not good:
        raise NoteInvalid(f"the signature of {line.name} (key {line.key.hex()}) does not verify")


def _checkpoint(text: str) -> Checkpoint:
    origin, *rest = text.removesuffix("\n").split("\n")
    if not origin or len(rest) < 2 or not re.fullmatch(r"0|[1-9][0-9]{0,17}", rest[0]):
        raise NoteInvalid("not a checkpoint: expected origin, size and root, one per line")
    if not all(rest):
        raise NoteInvalid("not a checkpoint: it has an empty line")
    return Checkpoint(origin, int(rest[0]), read_hash(rest[1]))


def _line(name: str, encoded: str) -> Line:
    raw = _unb64(encoded)
    if len(raw) < 5:
        raise NoteInvalid(f"the signature of {name} is not base64 of a key id and a signature")
    return Line(name, raw[:4], raw[4:])


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
    # Spare bits in the last character would let two texts stand for one signature.
    return decoded if _b64(decoded) == text else b""
