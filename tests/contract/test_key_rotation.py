"""A new signing key: the old one vouches for it, and signs nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from airlock.adapters.keys.ed25519 import FileKeyring, FileShelf, FileSigner
from airlock.domain.log.checkpoint import Checkpoint, seal
from airlock.domain.log.merkle import EMPTY
from airlock.domain.log.tree import KeptCheckpoint
from airlock.services.audit import access_log, key_rotation, transparency_log, verification
from airlock.testing import World
from tests.contract.conftest import Database
from tests.contract.tree_kit import keys


@pytest.fixture
def signer(tmp_path: Path) -> FileSigner:
    return keys(tmp_path)[0]


@pytest.fixture
def keyring(signer: FileSigner, tmp_path: Path) -> FileKeyring:
    return FileKeyring(tmp_path / "keys")


@pytest.fixture
def world(make_world: Callable[..., World], signer: FileSigner, keyring: FileKeyring) -> World:
    made = make_world(signer=signer)
    made.keys = keyring  # type: ignore[assignment]
    return made


def shelf(tmp_path: Path) -> FileShelf:
    return FileShelf(tmp_path / "signing.pem", tmp_path / "keys")


def test_what_the_old_key_signed_stays_valid_and_the_new_one_signs_on(
    world: World, signer: FileSigner, keyring: FileKeyring, tmp_path: Path
) -> None:
    before = world.open("before")
    world.approve_all(before)
    world.promote(before)
    transparency_log.checkpoint_now(world.store, signer)
    old, new = key_rotation.rotate(world.store, signer, shelf(tmp_path))
    assert old != new
    assert signer.key_id == new  # the running process sees it
    after = world.open("after")
    world.approve_all(after)
    world.promote(after)
    transparency_log.checkpoint_now(world.store, signer)
    report = verification.verify(world.store, keyring)
    assert report.ok, report.damages
    assert (report.grants, report.checkpoints) == (2, 2)
    event = access_log.events(world.store, key_rotation.STREAM)[-1]
    assert (event["data"]["old"], event["data"]["new"]) == (old, new)
    assert not (tmp_path / "signing.pem.next").exists()
    assert (tmp_path / "signing.pem").stat().st_mode & 0o777 == 0o600


def test_a_key_that_was_given_up_signs_nothing_new(
    world: World, signer: FileSigner, keyring: FileKeyring, tmp_path: Path
) -> None:
    stolen = tmp_path / "stolen.pem"
    stolen.write_bytes((tmp_path / "signing.pem").read_bytes())
    key_rotation.rotate(world.store, signer, shelf(tmp_path))
    tree = transparency_log.checkpoint_now(world.store, signer)
    assert tree is not None
    thief = FileSigner(stolen)
    with world.store.begin() as unit:
        later = unit.now() + key_rotation.GRACE + timedelta(seconds=1)
    assert keyring.valid_at(thief.key_id, later - timedelta(minutes=2))
    assert not keyring.valid_at(thief.key_id, later)
    forged = Checkpoint(tree.origin, tree.size + 1, EMPTY)
    note = seal(forged, thief.public, thief.sign, int(later.timestamp()) + 1)
    kept = [KeptCheckpoint("somewhere", tree.size + 1, note)]
    damages = verification.verify(world.store, keyring, kept).damages
    assert any("a key that had been given up" in line for line in damages)


@pytest.mark.tamper
def test_a_new_key_that_the_old_one_did_not_sign_is_found(
    world: World, signer: FileSigner, keyring: FileKeyring, tmp_path: Path
) -> None:
    stranger, _ = keys(tmp_path / "stranger")

    class Impostor(FileSigner):
        key_id = signer.key_id  # type: ignore[assignment]

    key_rotation.rotate(
        world.store, Impostor(tmp_path / "stranger" / "signing.pem"), shelf(tmp_path)
    )
    assert stranger.key_id != signer.key_id
    damages = verification.verify(world.store, keyring).damages
    assert any("the new key is not signed by the old one" in line for line in damages)


def test_a_rotation_that_was_interrupted_is_finished_by_the_next(
    world: World, signer: FileSigner, tmp_path: Path
) -> None:
    prepared = shelf(tmp_path).prepare().key_id
    assert signer.key_id != prepared
    assert key_rotation.rotate(world.store, signer, shelf(tmp_path))[1] == prepared


def test_the_worker_cannot_rotate(
    postgres_database: Database, signer: FileSigner, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match="permission denied"):
        key_rotation.rotate(postgres_database.store("airlock_worker"), signer, shelf(tmp_path))
    with create_engine(postgres_database.urls["postgres"]).begin() as connection:
        found = connection.execute(text("SELECT count(*) FROM audit_event WHERE what='KeyRotated'"))
        assert found.scalar_one() == 0
