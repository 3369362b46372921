"""The composition root: who can be what, and policies that change under a running process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from airlock import bootstrap
from airlock.config.settings import Settings
from airlock.domain.errors import Invalid
from tests.support import ROOT


def settings(home: Path, **given: str) -> Settings:
    environ = {"AIRLOCK_DATABASE_URL": f"sqlite:///{home}/x.db", "AIRLOCK_ROOT": str(ROOT)} | given
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
