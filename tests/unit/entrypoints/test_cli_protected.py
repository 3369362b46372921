"""`airlock up` takes the protected aliases from the policies; stopping needs no policies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airlock.config.problems import ConfigurationError
from airlock.entrypoints.cli.platform.lifecycle import current_platform
from tests.support import ROOT


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "include/policies", tmp_path / "policies")
    monkeypatch.setenv("AIRLOCK_ROOT", str(ROOT))
    monkeypatch.setenv("AIRLOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRLOCK_CONFIG_DIR", str(tmp_path))
    return tmp_path / "policies"


def test_without_readable_policies_nothing_starts_and_everything_can_stop(policies: Path) -> None:
    shutil.rmtree(policies)
    with pytest.raises(ConfigurationError):
        current_platform(protected=True)
    assert current_platform().options.protected_aliases == ""


def test_the_aliases_of_the_environments_and_the_operators_are_protected(
    policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = "champion,development,prod,production,staging"
    assert current_platform(protected=True).options.protected_aliases == usual
    monkeypatch.setenv("AIRLOCK_PROTECTED_ALIASES", "blessed")
    assert current_platform(protected=True).options.protected_aliases == f"blessed,{usual}"
