"""Secrets of the platform: generated once, kept in files only their owner can read.

`<home>/secrets` has mode 0700 and every file in it 0600. Nothing here is ever generated a
second time while its file exists: a new key or password would lock people out of old data.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets as random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airlock.domain.errors import Invalid
from airlock_platform.people import OPERATOR, ROLES, SERVICE, Entry

#: The roles of the three databases, each with a password of its own.
DATABASE_ROLES = (
    *("airflow_app", "mlflow_owner", "mlflow_app", "airlock_guard"),
    *("airlock_owner", "airlock_decider", "airlock_worker"),
)


class Secrets:
    """The secrets of the platform in *home*."""

    def __init__(self, home: Path) -> None:
        """Use the folder `<home>/secrets`."""
        self.folder = home / "secrets"
        self.keys = home / "keys"
        self.signing_key = self.folder / "signing.pem"
        self.users_file = self.folder / "users.json"
        self.service_password_file = self.folder / "service_password"
        #: The place that trains signs models with a key of its own, which can sign no grant.
        self.model_signing_key = home / "training" / "model-signing.pem"
        self.model_keys = home / "model-keys"
        #: The place that runs gates signs their results with another one.
        self.gate_signing_key = home / "training" / "gate-signing.pem"
        self.gate_keys = home / "gate-keys"
        self._file = self.folder / "secrets.json"

    def create(self) -> None:
        """Generate what is missing."""
        private_folder(self.folder)
        stored = _read(self._file) if self._file.exists() else {}
        if missing := {name: secret for name, secret in _generate().items() if name not in stored}:
            write_private(self._file, json.dumps({**stored, **missing}, indent=1))
        self.create_signing_key()
        self.create_model_key()
        self.create_gate_key()
        self._create_people()

    def create_signing_key(self) -> None:
        """Generate the key pair unless it exists; publish the public half."""
        private_folder(self.folder)
        if not self.signing_key.exists():
            write_private(self.signing_key, _new_signing_key())
        _publish(self.signing_key, self.keys)

    def create_model_key(self) -> None:
        """Generate the key pair of model signatures unless it exists; publish the public half."""
        private_folder(self.model_signing_key.parent)
        if not self.model_signing_key.exists():
            write_private(self.model_signing_key, _new_model_key())
        _publish(self.model_signing_key, self.model_keys)

    def create_gate_key(self) -> None:
        """Generate the key pair of gate results unless it exists; publish the public half."""
        private_folder(self.gate_signing_key.parent)
        if not self.gate_signing_key.exists():
            write_private(self.gate_signing_key, _new_signing_key())
        _publish(self.gate_signing_key, self.gate_keys)

    def exist(self) -> bool:
        """Return whether the platform was ever set up here."""
        return self._file.exists()

    def values(self) -> dict[str, str]:
        """Return the passwords and keys by name."""
        values: dict[str, str] = _read(self._file)
        return values

    def users(self) -> list[dict[str, Any]]:
        """Return the accounts made here, with their passwords."""
        users: list[dict[str, Any]] = _read(self.users_file)
        return users

    def service_password(self) -> str:
        """Return the password of airlock-service."""
        return self.service_password_file.read_text().strip()

    def show_once(self) -> bool:
        """Return True the first time it is asked: the passwords are shown to people once."""
        marker = self.folder / "users.shown"
        if marker.exists():
            return False
        write_private(marker, "")
        return True

    def _create_people(self) -> None:
        if not self.service_password_file.exists():
            write_private(self.service_password_file, random.token_urlsafe(24))
        if not self.users_file.exists():
            self._write_users([_login(OPERATOR)])

    def add_people(self, people: Iterable[Entry]) -> bool:
        """Make log-ins for those of *people* who have none; say whether there was one to make."""
        users = self.users()
        names = {user["user"] for user in users}
        new = [_login(entry) for entry in people if entry[0] not in names]
        if new:
            self._write_users([*users, *new])
            (self.folder / "users.shown").unlink(missing_ok=True)
        return bool(new)

    def _write_users(self, users: list[dict[str, Any]]) -> None:
        write_private(self.users_file, json.dumps(users, indent=1))


def _login(entry: Entry) -> dict[str, Any]:
    user, first, last, role = entry
    return {"user": user, "name": f"{first} {last}", "roles": [role], "password": _password()}


def private_folder(folder: Path) -> None:
    """Create *folder* with mode 0700, whatever it was before."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write *text* into a file that never has another mode than 0600, in one step."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(path)


def provision_document(users: list[dict[str, Any]], service_password: str) -> dict[str, Any]:
    """Return the document from which `airlock_airflow.provision` creates Airflow's log-ins."""
    people = [
        {
            "user": entry["user"],
            "first": entry["name"].split()[0],
            "last": entry["name"].split()[-1],
            "role": entry["roles"][0],
            "password": entry["password"],
        }
        for entry in users
    ]
    service = {
        **{"user": SERVICE, "first": "Airlock", "last": "Service"},
        **{"role": "airlock_service", "password": service_password},
    }
    return {"roles": ROLES, "users": [service, *people], "service": SERVICE}


def _generate() -> Mapping[str, str]:
    fernet = base64.urlsafe_b64encode(random.token_bytes(32)).decode()
    names = ("postgres", *DATABASE_ROLES, "jwt_secret", "api_secret_key", "mlflow_worker")
    return {name: random.token_urlsafe(32) for name in names} | {"fernet_key": fernet}


def _password() -> str:
    """Return a password a person can type: four groups of letters and digits, 80 bits."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(random.choice(alphabet) for _ in range(4)) for _ in range(4))


def _new_signing_key() -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return _pem(Ed25519PrivateKey.generate())


def _new_model_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import ec

    return _pem(ec.generate_private_key(ec.SECP256R1()))  # what OpenSSF model signing uses


def _pem(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    text: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return text.decode()


def _publish(private_file: Path, folder: Path) -> None:
    """Write the public half of a key, under the name that is its id."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = serialization.load_pem_private_key(private_file.read_bytes(), password=None)
    public, kinds = key.public_key(), serialization.PublicFormat
    pem = public.public_bytes(serialization.Encoding.PEM, kinds.SubjectPublicKeyInfo)
    if isinstance(public, Ed25519PublicKey):
        named = public.public_bytes(serialization.Encoding.Raw, kinds.Raw)
    else:
        named = public.public_bytes(serialization.Encoding.DER, kinds.SubjectPublicKeyInfo)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{hashlib.sha256(named).hexdigest()[:16]}.pem"
    if not target.exists():
        target.write_bytes(pem)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise Invalid(
            f"{path} is missing.", next_step="Run `airlock up`: it creates the secrets."
        ) from error
    except ValueError as error:
        raise Invalid(
            f"{path} is not JSON: {error}.",
            next_step="Restore it from a backup, or start anew: `make down`, then remove .airlock.",
        ) from error
