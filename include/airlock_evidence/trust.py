"""Which keys are trusted, and where they came from.

Rules:
* Keys brought from outside decide: a folder of `*.pem` (the log's) and `*.vkey` (witnesses), or
  fingerprints of keys that are in the bundle. Then no other key counts.
* Brought none, the keys in the bundle are used, and that is said: whoever made the bundle could
  have made them too.
* A new key is trusted if a trusted key has signed it (`KeyRotated`). A key given up signs nothing
  later than ten minutes after that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from airlock_evidence.archive import LARGEST_KEY, Failed, canonical, read_plain
from airlock_evidence.ed25519 import verify
from airlock_evidence.proofs import COSIGNATURE, NOTE, note_key, unbase64
from airlock_evidence.words import seconds

KEYS = "keys.json"
#: What a new key's entry has the old key sign, before the new public key.
ROTATION = b"airlock/key/v1\n"
#: So long a key that was given up may still sign: a decision in flight.
GRACE_S = 600
_PREFIX = bytes.fromhex("302a300506032b6570032100")


class WrongUse(Exception):
    """The keys given cannot be used."""


class Trust(NamedTuple):
    """Trusted keys of the log (id -> public) and of witnesses (name -> public)."""

    log: dict[str, bytes]
    witnesses: dict[str, bytes]
    outside: str


class Rotation(NamedTuple):
    """One key given up for another."""

    at: str
    old: str
    new: str
    public: bytes
    signature: bytes


def key_id(public: bytes) -> str:
    """Return how the log names a key: the first 16 hex digits of its fingerprint."""
    return fingerprint(public)[:16]


def fingerprint(public: bytes) -> str:
    """Return the SHA-256 of a public key's 32 bytes, in hex."""
    return hashlib.sha256(public).hexdigest()


def document(log: Mapping[str, bytes], witnesses: Mapping[str, bytes]) -> bytes:
    """Return the file of keys."""
    return canonical(
        {
            "log": {key: base64.b64encode(public).decode() for key, public in log.items()},
            "witnesses": {name: base64.b64encode(key).decode() for name, key in witnesses.items()},
        }
    )


def inside(files: Mapping[str, bytes]) -> Trust:
    """Return the keys a bundle brings along.

    Raises:
        Failed: if they cannot be read, or one is not what its id says.
    """
    try:
        parsed = json.loads(files[KEYS])
        log = {str(key): unbase64(text) for key, text in parsed["log"].items()}
        witnesses = {str(name): unbase64(text) for name, text in parsed["witnesses"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(KEYS, "is missing or cannot be read") from error
    for key, public in log.items():
        if len(public) != 32 or key_id(public) != key:
            raise Failed(KEYS, f"the key {key} is not the one its id names")
    if not log or document(log, witnesses) != files[KEYS]:
        raise Failed(KEYS, "is not spelled as Airlock writes it, or has no key")
    return Trust(log, witnesses, "")


def from_folder(folder: Path) -> Trust:
    """Read the keys to trust from `*.pem` and `*.vkey`.

    Raises:
        WrongUse: if there is none, or a file is no Ed25519 key.
    """
    log: dict[str, bytes] = {}
    witnesses: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.pem")):
        public = _pem(path)
        log[key_id(public)] = public
    for path in sorted(folder.glob("*.vkey")):
        name, kind, public = _vkey(path)
        if kind == NOTE:
            log[key_id(public)] = public
        else:
            witnesses[name] = public
    if not log:
        raise WrongUse(f"{folder} has no public key of the log: expected files *.pem")
    return Trust(log, witnesses, f"the keys in {folder}")


def by_fingerprint(fingerprints: Sequence[str], bundled: Trust) -> Trust:
    """Return the keys of a bundle that have one of these fingerprints.

    Raises:
        WrongUse: if a fingerprint is not one.
    """
    marks = {mark.lower().replace(":", "").replace("sha256", "", 1) for mark in fingerprints}
    for mark in marks:
        if not re.fullmatch("[0-9a-f]{64}", mark):
            raise WrongUse(
                f"{mark!r} is no fingerprint: expected 64 hex digits (SHA-256 of the key)"
            )
    log = {key: public for key, public in bundled.log.items() if fingerprint(public) in marks}
    witnesses = {name: key for name, key in bundled.witnesses.items() if fingerprint(key) in marks}
    return Trust(log, witnesses, "the fingerprints you gave")


def extended(trust: Trust, rotations: Iterable[Rotation]) -> Trust:
    """Return the trust with every key that a trusted key has signed.

    Raises:
        Failed: if a trusted key is said to have signed a new one and has not.
    """
    log = dict(trust.log)
    for rotation in rotations:
        if rotation.old not in log:
            continue
        if not verify(log[rotation.old], rotation.signature, ROTATION + rotation.public):
            raise Failed(
                "log/context.jsonl", f"key {rotation.new} is not signed by {rotation.old} before it"
            )
        log[rotation.new] = rotation.public
    return trust._replace(log=log)


def rotations(contents: Iterable[Mapping[str, Any]]) -> list[Rotation]:
    """Return the key rotations in log entries, oldest first.

    Raises:
        Failed: if one is malformed.
    """
    changes = []
    for content in contents:
        if content["what"] != "KeyRotated":
            continue
        data = content["data"]
        public, signature = unbase64(data["publicKey"]), unbase64(data["signature"])
        if len(public) != 32 or key_id(public) != data["new"]:
            raise Failed("log/context.jsonl", f"the new key {data['new']} is not what its id names")
        changes.append(Rotation(content["at"], data["old"], data["new"], public, signature))
    return sorted(changes)


def check_in_use(where: str, key: str, at: float, rotated: Iterable[Rotation]) -> None:
    """Refuse a signature made later than its key was in use.

    Raises:
        Failed: naming the key.
    """
    for rotation in rotated:
        if rotation.old == key and at > seconds(rotation.at) + GRACE_S:
            raise Failed(
                where, f"is signed with key {key}, which had been given up at {rotation.at}"
            )


def _pem(path: Path) -> bytes:
    body = re.search(
        r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----", _text(path)
    )
    raw = unbase64("".join(body[1].split())) if body else b""
    if len(raw) != 44 or not raw.startswith(_PREFIX):
        raise WrongUse(f"{path} is not an Ed25519 public key in PEM")
    return raw[12:]


def _vkey(path: Path) -> tuple[str, int, bytes]:
    name, _, rest = _text(path).strip().partition("+")
    key, _, encoded = rest.partition("+")
    raw = unbase64(encoded)
    if len(raw) != 33 or raw[0] not in (NOTE, COSIGNATURE):
        raise WrongUse(f"{path} is not the public key of a note: expected name+id+key")
    if note_key(name, raw[0], raw[1:]).hex() != key:
        raise WrongUse(f"{path}: the id {key} is not that of its key")
    return name, raw[0], raw[1:]


def _text(path: Path) -> str:
    try:
        return read_plain(path, LARGEST_KEY).decode("ascii")
    except (OSError, ValueError) as error:
        raise WrongUse(f"{path} cannot be read as a public key") from error
