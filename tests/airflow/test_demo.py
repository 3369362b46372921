"""`airlock demo --auto`, as `make demo AUTO=1` runs it, on the running platform."""

from __future__ import annotations

import subprocess

import pytest

from tests.airflow.harness import RunningPlatform


@pytest.mark.timeout(15 * 60)
def test_the_demo_releases_two_models_and_shows_every_step(
    platform: RunningPlatform, demonstrated: subprocess.CompletedProcess[str]
) -> None:
    done = demonstrated
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in ("train", "gates.latency", "Level 3 of 3", "may answer: carla", "PASSED"):
        assert shown in done.stdout
    client = platform.mlflow_client()
    for model in ("employment", "doctor-visits"):
        serving = client.get_model_version_by_alias(model, "champion").version
        assert f"{model}@champion is version {serving} in MLflow" in done.stdout
    assert "every hash, every state and every signature is right" in done.stdout
