"""Ed25519 keys in files (RFC 8032, PEM). A key's id is the start of its public bytes' SHA-256."""

from __future__ import annotations

import hashlib
import os
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

from airlock.domain.errors import Invalid


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


class FileSigner:
    """Signs with the private key in a file. Only the deciding processes have one."""

    def __init__(self, private_file: Path) -> None:
        """Read the key.

        Raises:
            Invalid: if the file is missing, unreadable or no Ed25519 key.
        """
        self._private = _private(private_file)

    @property
    def key_id(self) -> str:
        """Which key signs."""
        return key_id(self._private.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of *message*."""
        return self._private.sign(message)


class FileKeyring:
    """Trusts the public keys in a folder, by the id computed from each key, never by file name."""

    def __init__(self, folder: Path) -> None:
        """Read every `*.pem` in *folder*.

        Raises:
            Invalid: if there is none; with no trusted key nothing could be verified.
        """
        keys = [_public(path) for path in sorted(folder.glob("*.pem"))]
        if not keys:
            raise Invalid(
                f"no trusted public key in {folder}: no grant could ever be verified",
                next_step="Run `airlock up`, or set AIRLOCK_TRUSTED_KEYS to the folder of keys.",
            )
        self._keys = {key_id(key): key for key in keys}

    def verify(self, key: str, signature: bytes, message: bytes) -> bool:
        """Say whether a trusted key of that id made the signature."""
        trusted = self._keys.get(key)
        if trusted is None:
            return False
        try:
            trusted.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(path, error) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise _unusable(path, type(found).__name__)
    return found


def _public(path: Path) -> Ed25519PublicKey:
    try:
        found = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(path, error) from error
    if not isinstance(found, Ed25519PublicKey):
        raise _unusable(path, type(found).__name__)
    return found


def _unusable(path: Path, found: object) -> Invalid:
    return Invalid(
        f"{path} is not an Ed25519 key in PEM: {found}",
        next_step="Give the key `airlock up` created, or create one.",
    )
