"""The composition root: who can be what, and policies that change under a running process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from airlock import bootstrap
from airlock.adapters.keys.ed25519 import FileGateKeys, FileSigner, create
from airlock.adapters.sql_migrations import upgrade
from airlock.config.settings import Settings
from airlock.domain.errors import Invalid
from tests.support import ROOT


def settings(home: Path, **extra: str) -> Settings:
    environ = {"AIRLOCK_DATABASE_URL": f"sqlite:///{home}/x.db", "AIRLOCK_ROOT": str(ROOT)} | extra
    return Settings.from_environment(environ, home)


def test_without_the_signing_key_nothing_decides(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot decide anything"):
        bootstrap.decider(settings(tmp_path))
    assert bootstrap.worker(settings(tmp_path)).signer is None


def test_without_a_database_nothing_works(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="AIRLOCK_DATABASE_URL is not set"):
        bootstrap.worker(settings(tmp_path, AIRLOCK_DATABASE_URL=""))


def test_a_changed_policy_counts_at_once_and_a_refused_one_does_not(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "include/policies", tmp_path / "policies")
    airlock = bootstrap.worker(settings(tmp_path, AIRLOCK_CONFIG_DIR=str(tmp_path)))
    before, file = airlock.rulebook, tmp_path / "policies/approvals.yaml"
    assert airlock.rulebook is before
    text = file.read_text()
    file.write_text(text.replace("grantHours: 336", "grantHours: 100"))
    assert airlock.rulebook.grant_hours == 100
    file.write_text("nonsense: true")
    os.utime(file, ns=(1, 1))
    assert airlock.rulebook.grant_hours == 100


def test_every_process_asks_for_signed_results_of_gates(tmp_path: Path) -> None:
    create(tmp_path / "signing.pem", tmp_path / "keys")
    create(tmp_path / "gate.pem", tmp_path / "gate-keys")
    variables = {
        "AIRLOCK_SIGNING_KEY": "signing.pem",
        "AIRLOCK_GATE_SIGNING_KEY": "gate.pem",
        "AIRLOCK_GATE_KEYS": "gate-keys",
    }
    upgrade(f"sqlite:///{tmp_path}/x.db")
    for role in (bootstrap.worker, bootstrap.decider):
        airlock = role(settings(tmp_path, **variables))
        signer = airlock.gate_signer
        assert signer is not None
        with airlock.store.begin() as unit:
            keys = unit.gate_keys
        assert keys is not None
        assert keys.verify_for("latency", signer.key_id, signer.sign(b"x"), b"x")
        assert not keys.verify_for("latency", signer.key_id, signer.sign(b"x"), b"y")
    assert bootstrap.worker(settings(tmp_path)).gate_signer is None


def test_without_keys_of_gates_nobody_is_trusted(tmp_path: Path) -> None:
    keys = FileGateKeys(tmp_path / "nothing")
    assert (keys.verify_for("latency", "k", b"s", b"m"), keys.keys()) == (False, {})


def test_a_signature_that_was_good_is_not_once_its_key_is_taken_away(tmp_path: Path) -> None:
    create(tmp_path / "gate.pem", tmp_path / "gate-keys" / "latency")
    signer, keys = FileSigner(tmp_path / "gate.pem"), FileGateKeys(tmp_path / "gate-keys")
    arguments = (signer.key_id, signer.sign(b"x"), b"x")
    assert keys.verify_for("latency", *arguments)
    assert keys.verify_for("latency", *arguments)
    assert not keys.verify_for("signature", *arguments)
    for file in (tmp_path / "gate-keys" / "latency").iterdir():
        file.unlink()
    assert not keys.verify_for("latency", *arguments)
    assert keys.keys() == {}
