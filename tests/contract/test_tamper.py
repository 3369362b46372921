"""Invariant 10: the log is tamper-evident. Every attack on a log of hundreds of events is found.

The attacker owns the database and has the log's own signing key; what is kept outside is a
folder of checkpoints, or a witness. The entry named is the first one that is not as it was.
"""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from airlock.adapters.checkpoints.folder import CheckpointFolder
from airlock.adapters.checkpoints.witness_client import WitnessClient
from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.errors import Refused
from airlock.services.audit import transparency_log, verification
from airlock.services.audit.parallel_verification import Split
from airlock.testing import World
from airlock_platform.databases.server import Server
from tests.contract.tamper_kit import ATTACKS, EVENTS, Forger, fill, url_of
from tests.contract.tree_kit import keys, witness
from tests.support import sample

pytestmark = pytest.mark.tamper

#: Even a small log is walked through by two, on any machine.
HALVES = Split(size=1, processors=1)
#: Where in the log, as shares of its length.
PLACES = (0.0, 0.137, 0.5, 0.863, 0.999)


@dataclass(frozen=True)
class Log:
    """A log, its keys, and what is kept outside the database."""

    url: str
    folder: Path
    size: int
    signer: FileSigner
    keyring: FileKeyring

    @property
    def store(self) -> SqlStore:
        """The store over the database as it is now."""
        return SqlStore(self.url, pooled=False)

    @property
    def copies(self) -> CheckpointFolder:
        """The checkpoints kept outside."""
        return CheckpointFolder(self.folder / "checkpoints")

    def verify(self, split: Split = Split()) -> verification.Report:  # noqa: B008
        """Check the log against the copies."""
        return verification.verify(self.store, self.keyring, self.copies.checkpoints(), split=split)


def build(url: str, folder: Path, worker: str = "") -> Log:
    signer, keyring = keys(folder)
    store = SqlStore(url)
    world = World(store, signer=signer, worker=SqlStore(worker) if worker else None)
    world.keys = keyring  # type: ignore[assignment]
    size = fill(world, signer, CheckpointFolder(folder / "checkpoints"))
    store.close()
    world.worker.close()  # type: ignore[attr-defined]
    return Log(url, folder, size, signer, keyring)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("log")
    upgrade(url_of(folder))
    return build(url_of(folder), folder)


@pytest.fixture
def log(original: Log, tmp_path: Path) -> Log:
    shutil.copy(original.folder / "log.db", tmp_path / "log.db")
    return Log(url_of(tmp_path), original.folder, original.size, original.signer, original.keyring)


@pytest.fixture(scope="module")
def postgres_original(
    postgres: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Log:
    admin = psycopg.connect(postgres.dsn("postgres"), autocommit=True)
    admin.execute(f"CREATE DATABASE tamper TEMPLATE {template} OWNER airlock_owner")
    admin.close()
    folder = tmp_path_factory.mktemp("postgres-log")
    decider, worker = (postgres.url(f"airlock_{role}", "tamper") for role in ("decider", "worker"))
    return build(decider, folder, worker)


@pytest.fixture
def postgres_log(postgres: Server, postgres_original: Log) -> Iterator[Log]:
    name, first = f"tamper_{uuid.uuid4().hex[:8]}", postgres_original
    admin = psycopg.connect(postgres.dsn("postgres"), autocommit=True)
    admin.execute(f"CREATE DATABASE {name} TEMPLATE tamper OWNER airlock_owner")
    url = postgres.url("postgres", name)
    yield Log(url, first.folder, first.size, first.signer, first.keyring)
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


def attack(log: Log, name: str, share: float) -> int | None:
    return ATTACKS[name][0](Forger(log.url, log.signer), int(share * log.size))


def test_the_untouched_log_verifies(log: Log) -> None:
    report = log.verify()
    assert report.ok, report.damages
    assert report.events == report.tree == log.size >= EVENTS
    assert report.checkpoints >= EVENTS // 50
    assert report.first is None


@pytest.mark.parametrize(("name", "share"), sample(itertools.product(ATTACKS, PLACES), 3))
def test_every_attack_is_found_at_its_place(log: Log, name: str, share: float) -> None:
    expected = attack(log, name, share)
    report = log.verify()
    assert not report.ok
    if expected is None:
        assert any("not in the tree: forged" in line for line in report.damages)
    elif name != "restore an old backup" or expected < log.size:
        assert report.first == expected, report.damages[:3]


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_found_on_postgresql(postgres_log: Log, name: str) -> None:
    expected = attack(postgres_log, name, 0.5)
    report = postgres_log.verify()
    assert not report.ok
    assert report.first == expected, report.damages[:3]


def test_the_untouched_log_verifies_on_postgresql(postgres_log: Log) -> None:
    report = postgres_log.verify()
    assert report.ok, report.damages
    assert report.tree == postgres_log.size


@pytest.mark.parametrize("name", sample(ATTACKS, 12))
def test_two_processes_find_what_one_finds(log: Log, name: str) -> None:
    attack(log, name, 0.2)
    assert log.verify(HALVES) == log.verify()


@pytest.mark.parametrize("name", sample(ATTACKS, 12))
def test_two_processes_find_what_one_finds_on_postgresql(postgres_log: Log, name: str) -> None:
    attack(postgres_log, name, 0.7)
    assert postgres_log.verify(HALVES) == postgres_log.verify()


@pytest.fixture(scope="module")
def watched(original: Log, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WitnessClient]:
    """Return a witness that has cosigned the original."""
    folder = tmp_path_factory.mktemp("witness")
    shutil.copy(original.folder / "log.db", folder / "log.db")
    world = World(SqlStore(url_of(folder)), folks={})
    with witness(folder, world, original.signer) as client:
        transparency_log.publish(world.store, client)  # type: ignore[arg-type]
        yield client


REWRITES = [name for name, (_, refused) in ATTACKS.items() if refused]


@pytest.mark.parametrize(("name", "share"), sample(itertools.product(REWRITES, PLACES[:-1]), 3))
def test_what_only_a_witness_can_find_is_found_with_the_witness(
    log: Log, watched: WitnessClient, name: str, share: float
) -> None:
    """The attacker rewrote the folder as well: the log and its own checkpoints agree."""
    attack(log, name, share)
    alone = verification.verify(log.store, log.keyring)
    tree_damage = [line for line in alone.damages if "tree" in line]
    assert tree_damage == []  # nothing in the tree shows it
    report = verification.verify(
        log.store, log.keyring, watched.checkpoints(), {watched.witness_name: watched.cosigner}
    )
    assert any(watched.name in line for line in report.damages)
    transparency_log.checkpoint_now(log.store, log.signer)
    with pytest.raises(Refused, match="does not cosign"):
        transparency_log.publish(log.store, watched)


def test_the_folder_takes_nothing_from_a_database_that_was_set_back(log: Log) -> None:
    attack(log, "restore an old backup", 0.5)
    with log.store.begin() as unit:
        unit.log("later", transparency_log.system_event("Said", "life/goes-on", ""))
        unit.commit()
    transparency_log.checkpoint_now(log.store, log.signer)
    Forger(log.url, log.signer).execute("DELETE FROM audit_copy")
    with pytest.raises(Refused, match="that the database does not know"):
        transparency_log.publish(log.store, log.copies)


def test_a_checkpoint_signed_by_a_stranger_is_no_checkpoint(log: Log, tmp_path: Path) -> None:
    stranger, _ = keys(tmp_path / "stranger")
    forger = Forger(log.url, stranger)
    forger.write(rebuild=True)
    damages = log.verify().damages
    assert any("not signed by a trusted key" in line for line in damages)


def test_checkpoints_removed_from_the_database_are_missed(log: Log) -> None:
    forger = Forger(log.url, log.signer)
    size = min(forger.notes)
    forger.execute("DELETE FROM audit_checkpoint WHERE size = :s", s=size)
    assert any(
        line.startswith(f"the checkpoint of {size} kept in") for line in log.verify().damages
    )


def test_a_damaged_copy_is_told_from_a_damaged_log(log: Log, tmp_path: Path) -> None:
    folder = shutil.copytree(log.folder / "checkpoints", tmp_path / "copy")
    file = sorted(folder.glob("*.leaves"))[3]
    file.chmod(0o644)
    file.write_bytes(b"\x00" * 32 + file.read_bytes()[32:])
    report = verification.verify(log.store, log.keyring, CheckpointFolder(folder).checkpoints())
    assert len(report.damages) == 1
    assert "the copy of the leaf kept outside" in report.damages[0]
