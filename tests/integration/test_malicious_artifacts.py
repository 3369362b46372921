"""Models that run code when they are loaded: each really does, and each is refused, unloaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airlock import artifacts
from airlock.domain.gates import Evidence, Verdict
from airlock.gates import ArtifactFormat
from tests.integration import malicious_kit as kit
from tests.integration.real_models import REAL, Models
from tests.support import ROOT, sample

pytestmark = [pytest.mark.integration, pytest.mark.attack]

CASES = {case.name: case for case in kit.cases()}


def verdict(folder: Path) -> tuple[Verdict, str]:
    facts = artifacts.facts(folder)
    evidence = Evidence("artifact-format", facts["manifestDigest"], facts)
    result = ArtifactFormat().judge({"artifact-format": evidence})
    return result.verdict, result.message


def test_there_are_at_least_sixty_cases_and_each_is_another_one() -> None:
    assert len(CASES) == len(kit.cases()) >= 60


@pytest.fixture(scope="module")
def ran(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """Load cases without a guard, in a child; say of which the marker was left."""
    base = tmp_path_factory.mktemp("control")
    good = models.folder("sklearn logistic regression")
    todo, markers = [], {}
    for number, case in enumerate(sample(CASES.values(), 12)):
        folder, marker = base / f"case-{number}", base / f"marker-{number}"
        kit.build(case, good, folder, marker)
        assert not marker.exists(), f"{case.name}: building it must not run it"
        todo.append([case.loader, str(folder), case.file])
        markers[case.name] = marker
    (base / "cases.json").write_text(json.dumps(todo))
    environment = {"PATH": os.environ["PATH"], "HOME": str(base), "MLFLOW_TRACKING_URI": "file:///"}
    subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests/integration/unsafe_loaders.py"),
            str(base / "cases.json"),
        ],
        env=environment,
        cwd=base,
        timeout=500,
        check=False,
    )
    return {name: marker.exists() for name, marker in markers.items()}


@pytest.mark.parametrize("name", sample(CASES, 12))
def test_loaded_without_a_guard_it_runs(ran: dict[str, bool], name: str) -> None:
    assert ran[name]


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_not_run(models: Models, tmp_path: Path, name: str) -> None:
    folder, marker = tmp_path / "model", tmp_path / "marker"
    kit.build(CASES[name], models.folder("sklearn logistic regression"), folder, marker)
    found, message = verdict(folder)
    assert found is Verdict.FAILED, message
    assert "expected" in message
    assert not marker.exists()


@pytest.mark.parametrize("name", REAL)
def test_a_real_model_is_not_refused(models: Models, name: str) -> None:
    found, message = verdict(models.folder(name))
    assert found is Verdict.PASSED, message
