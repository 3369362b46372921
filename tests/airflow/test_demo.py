"""`airlock demo --auto`, as `make demo AUTO=1` runs it, on the running platform."""

from __future__ import annotations

import subprocess
from datetime import datetime
from typing import Any

import pytest

from tests.airflow.conftest import LAST_SLOTS
from tests.airflow.harness import FINAL, RunningPlatform


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


def scheduled(platform: RunningPlatform, dag: str) -> list[dict[str, Any]]:
    runs = platform.airflow.get(f"dags/{dag}/dagRuns", limit=100)["dag_runs"]
    return [run for run in runs if run["run_type"] == "scheduled"]


def test_a_slot_before_the_demo_runs_nothing_and_one_in_its_middle_runs(
    platform: RunningPlatform, demonstrated: subprocess.CompletedProcess[str], due: datetime
) -> None:
    assert demonstrated.returncode == 0, demonstrated.stdout + demonstrated.stderr
    for name in ("employment", *LAST_SLOTS):  # a minute, an hour and 15 hours before
        assert scheduled(platform, name) == []
    platform.airflow.wait(lambda: scheduled(platform, "doctor-visits"), "the slot to be run", 120)
    (run,) = scheduled(platform, "doctor-visits")
    assert datetime.fromisoformat(run["run_after"]) == due
    _end(platform, run["dag_run_id"])


def _end(platform: RunningPlatform, run: str) -> None:
    """Let the scheduled run come to its end; nobody answers its release, so it is withdrawn."""
    ana = platform.airflow.as_user("ana")

    def over() -> bool:
        open_now = ana.get(
            "/airlock/api/v1/releases",
            params={"model": "doctor-visits", "state": "AWAITING_APPROVAL"},
        ).json()
        for release in open_now:
            if release["origin"]["runId"] == run:
                body = {"reason": "nobody waits for it in these tests"}
                ana.post(f"/airlock/api/v1/releases/{release['id']}/withdrawal", json=body)
        return platform.airflow.run_state("doctor-visits", run) in FINAL

    platform.airflow.wait(over, "the scheduled run to be over", 300)
