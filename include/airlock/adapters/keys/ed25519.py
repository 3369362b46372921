"""Ed25519 keys in files (RFC 8032, PEM). A key's id is the start of its public bytes' SHA-256.

Beside the public keys, `validity.json` says until when a key that was given up signed:
`{"<key id>": {"until": "<UTC time>"}}`. Both classes look at the files again when they change, so
a rotation needs no restart.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from airlock.domain.clock import moment
from airlock.domain.errors import Invalid

VALIDITY = "validity.json"
#: Signatures of gates remembered as good: every vote on a release asks about the same ones.
MOST = 10_000


def key_id(public: Ed25519PublicKey) -> str:
    """Return the id of a public key: 16 hex digits."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def create(private_file: Path, public_folder: Path) -> str:
    """Create a key pair unless the private file is there; return the key id.

    The private file has mode 0600, the public one is named after its id.
    """
    if not private_file.exists():
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        private_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(
            os.open(private_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        ) as f:
            f.write(pem)
    public = _private(private_file).public_key()
    public_folder.mkdir(parents=True, exist_ok=True)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (public_folder / f"{key_id(public)}.pem").write_bytes(pem)
    return key_id(public)


def raw(public: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of a public key."""
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


class FileSigner:
    """Signs with the private key in a file. Only the deciding processes have one."""

    def __init__(self, private_file: Path) -> None:
        """Read the key.

        Raises:
            Invalid: if the file is missing, unreadable or no Ed25519 key.
        """
        self._file = private_file
        self._read()

    def _read(self) -> None:
        self._stamp = _state(self._file)
        self._private = _private(self._file)

    @property
    def _key(self) -> Ed25519PrivateKey:
        if _state(self._file) != self._stamp:  # rotated
            self._read()
        return self._private

    @property
    def key_id(self) -> str:
        """Which key signs."""
        return key_id(self._key.public_key())

    @property
    def public(self) -> bytes:
        """The 32 bytes of its public key."""
        return raw(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of *message*."""
        return self._key.sign(message)


class FileKeyring:
    """Trusts the public keys in a folder, by the id computed from each key, never by file name."""

    def __init__(self, folder: Path) -> None:
        """Read every `*.pem` in *folder*.

        Raises:
            Invalid: if there is none; with no trusted key nothing could be verified.
        """
        self._folder = folder
        self._read()

    def _read(self) -> None:
        stamp = _state(self._folder)
        keys = [_public(path) for path in sorted(self._folder.glob("*.pem"))]
        if not keys:
            raise Invalid(
                f"no trusted public key in {self._folder}: no grant could ever be verified",
                next_step="Run `airlock up`, or set AIRLOCK_TRUSTED_KEYS to the folder of keys.",
            )
        self._keys = {key_id(key): key for key in keys}
        self._until = _validity(self._folder / VALIDITY)
        self._stamp = stamp  # last: what could not be read is read again, not forgotten

    def _fresh(self) -> Mapping[str, Ed25519PublicKey]:
        if _state(self._folder) != self._stamp:
            self._read()
        return self._keys

    def keys(self) -> Mapping[str, bytes]:
        """Return key id -> the 32 bytes of the public key."""
        return {name: raw(key) for name, key in self._fresh().items()}

    def valid_at(self, key: str, at: datetime) -> bool:
        """Say whether a key was in use at a time: a key given up signs nothing new."""
        trusted = key in self._fresh()
        return trusted and (key not in self._until or at <= self._until[key])

    def ends(self, key: str) -> datetime | None:
        """Return until when a key signs, if it was given up."""
        return self._until.get(key) if key in self._fresh() else None

    def verify(self, key: str, signature: bytes, message: bytes) -> bool:
        """Say whether a trusted key of that id made the signature."""
        trusted = self._fresh().get(key)
        if trusted is None:
            return False
        try:
            trusted.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class FileGateKeys:
    """Who is trusted with which gate: `<folder>/*.pem` with every gate, `<folder>/<gate>/*.pem`
    with that one alone. A folder without keys trusts nobody; a key taken away is trusted no more.
    """

    def __init__(self, folder: Path) -> None:
        """Look into *folder* whenever it is asked."""
        self._folder = folder
        self._rings: dict[Path, tuple[object, FileKeyring | None]] = {}
        self._good: set[tuple[str, str, bytes, bytes]] = set()

    def verify_for(self, gate: str, key_id: str, signature: bytes, message: bytes) -> bool:
        """Say whether a key trusted with this gate made the signature."""
        rings = (self._ring(self._folder), self._ring(self._folder / gate))
        claim = (gate, key_id, signature, hashlib.sha256(message).digest())
        if claim not in self._good:
            if not any(ring.verify(key_id, signature, message) for ring in rings if ring):
                return False
            if len(self._good) >= MOST:
                self._good.clear()
            self._good.add(claim)
        return True

    def keys(self) -> Mapping[str, bytes]:
        """Return key id -> the 32 bytes of the public key, of every signer of gates."""
        below = sorted(path for path in self._folder.glob("*") if path.is_dir())
        rings = [self._ring(path) for path in (self._folder, *below)]
        return {name: key for ring in rings if ring for name, key in ring.keys().items()}

    def _ring(self, folder: Path) -> FileKeyring | None:
        stamp = _state(folder)
        cached = self._rings.get(folder)
        if cached is None or cached[0] != stamp:
            ring = FileKeyring(folder) if any(folder.glob("*.pem")) else None
            cached = self._rings[folder] = (stamp, ring)
            self._good.clear()  # somebody may be trusted no more
        return cached[1]


def verify_with(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether the key with these 32 public bytes made the signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def give_up(folder: Path, key: str, until: str) -> None:
    """Note in *folder* until when a key has signed."""
    file = folder / VALIDITY
    validity = json.loads(file.read_text()) if file.exists() else {}
    fresh = folder / f"{VALIDITY}.{os.getpid()}.new"
    fresh.write_text(json.dumps({**validity, key: {"until": until}}, indent=1, sort_keys=True))
    fresh.replace(file)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)


def _validity(file: Path) -> dict[str, datetime]:
    if not file.exists():
        return {}
    try:
        document = json.loads(file.read_text())
        return {key: moment(entry["until"]) for key, entry in document.items()}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Invalid(
            f"{file} does not say until when keys are valid: {error!r}",
            next_step='Expected {"<key id>": {"until": "<UTC time>"}}; restore it from a backup.',
        ) from error


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(path, error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, type(key).__name__)
    return key


def _public(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(path, error) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(path, type(key).__name__)
    return key


def _unusable(path: Path, reason: object) -> Invalid:
    return Invalid(
        f"{path} is not an Ed25519 key in PEM: {reason}",
        next_step="Give the key `airlock up` created, or create one.",
    )


class FileShelf:
    """The signing key's file and the folder of trusted keys, for a rotation."""

    def __init__(self, private_file: Path, public_folder: Path) -> None:
        """The new key waits beside the one in use, as `<name>.next`."""
        self._file, self._folder = private_file, public_folder
        self._next = private_file.with_name(f"{private_file.name}.next")

    def prepare(self) -> FileSigner:
        """Create a new key, trusted but not yet in use, or return the one already prepared."""
        create(self._next, self._folder)
        return FileSigner(self._next)

    def replace(self) -> None:
        """Let the prepared key take the place of the one in use."""
        self._next.replace(self._file)

    def give_up(self, key: str, until: str) -> None:
        """Note until when a key was in use."""
        give_up(self._folder, key, until)
