"""Secrets: private, generated once, complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from airlock.adapters.keys.ed25519 import FileGateKeys, FileKeyring, FileSigner
from airlock.domain.errors import Invalid
from airlock_platform.people import PEOPLE
from airlock_platform.secrets import DATABASE_ROLES, Secrets, provision_document


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    platform_secrets = Secrets(tmp_path)
    platform_secrets.create()
    return platform_secrets


def test_everything_is_private(secrets: Secrets) -> None:
    assert secrets.folder.stat().st_mode & 0o777 == 0o700
    files = list(secrets.folder.iterdir())
    assert len(files) == 4
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_second_time_changes_nothing(secrets: Secrets) -> None:
    before = {file: file.read_bytes() for file in secrets.folder.iterdir()}
    secrets.create()
    assert {file: file.read_bytes() for file in secrets.folder.iterdir()} == before


def test_what_an_older_platform_did_not_have_is_added_and_nothing_else_changes(
    secrets: Secrets,
) -> None:
    file = secrets.folder / "secrets.json"
    before = json.loads(file.read_text())
    old_values = {name: value for name, value in before.items() if name != "mlflow_worker"}
    file.write_text(json.dumps(old_values))
    secrets.create()
    after = secrets.values()
    assert after.keys() == before.keys()
    assert {name: after[name] for name in old_values} == old_values


def test_two_platforms_share_no_secret(secrets: Secrets, tmp_path: Path) -> None:
    other = Secrets(tmp_path / "other")
    other.create()
    assert not set(secrets.values().values()) & set(other.values().values())


def test_every_database_role_has_a_password_of_its_own(secrets: Secrets) -> None:
    passwords = [secrets.values()[role] for role in ("postgres", *DATABASE_ROLES)]
    assert len(set(passwords)) == 8
    assert all(len(password) >= 32 for password in passwords)


def test_the_public_key_belongs_to_the_private_one_and_is_named_by_its_digest(
    secrets: Secrets,
) -> None:
    import hashlib

    (file,) = secrets.keys.iterdir()
    private = load_pem_private_key(secrets.signing_key.read_bytes(), password=None)
    public = load_pem_public_key(file.read_bytes())
    raw = private.public_key().public_bytes_raw()  # type: ignore[union-attr]
    assert public.public_bytes_raw() == raw  # type: ignore[union-attr]
    assert file.stem == hashlib.sha256(raw).hexdigest()[:16]


def test_the_key_of_gates_is_its_own_and_signs_no_grant(secrets: Secrets) -> None:
    signer, trusted = FileSigner(secrets.gate_signing_key), FileKeyring(secrets.keys)
    assert signer.key_id not in set(trusted.keys())
    assert set(FileGateKeys(secrets.gate_keys).keys()) == {signer.key_id}
    assert secrets.gate_signing_key.stat().st_mode & 0o777 == 0o600


def test_passwords_are_shown_once(secrets: Secrets) -> None:
    assert secrets.show_once()
    assert not secrets.show_once()


def test_damaged_secrets_are_said_and_not_made_anew(secrets: Secrets) -> None:
    secrets.users_file.write_text("{")
    secrets.create()
    with pytest.raises(Invalid, match="is not JSON"):
        secrets.users()
    (secrets.folder / "secrets.json").unlink()
    with pytest.raises(Invalid, match="is missing"):
        secrets.values()


def test_the_demo_people_come_when_they_are_asked_for(secrets: Secrets) -> None:
    operator = secrets.users()
    assert secrets.show_once()
    assert secrets.add_people(PEOPLE)
    assert len(secrets.users()) == len(PEOPLE) == 10
    assert secrets.users()[0] == operator[0], "a password stays as it is"
    assert secrets.show_once(), "the new log-ins are shown, once"
    assert not secrets.add_people(PEOPLE)
    assert not secrets.show_once()


def test_the_service_account_comes_first(secrets: Secrets) -> None:
    document = provision_document(secrets.users(), secrets.service_password())
    assert document["users"][0]["user"] == document["service"] == "airlock-service"
    assert [user["user"] for user in document["users"][1:]] == ["admin"], "the operator alone"
    assert json.loads(json.dumps(document))["users"][0]["role"] == "airlock_service"
