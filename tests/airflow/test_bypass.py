"""Going round the approval with everything Airflow and a task's rights offer: nothing promotes."""

from __future__ import annotations

import pytest

from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import HIGH, Releases

DAG = "wait-then-promote"
pytestmark = pytest.mark.attack


@pytest.fixture(scope="module")
def releases(platform: RunningPlatform) -> Releases:
    return Releases(platform)


def test_marking_every_level_as_success_promotes_nothing(
    platform: RunningPlatform, releases: Releases
) -> None:
    release = releases.open("marked", HIGH)
    run = platform.airflow.trigger(DAG, {"release": release})
    for task in ("level_1", "level_2"):
        platform.airflow.await_task(DAG, run, task, "awaiting_input")
        path = f"dags/{DAG}/dagRuns/{run}/taskInstances/{task}"
        answer = platform.airflow.patch(path, {"new_state": "success"})
        assert answer.status_code == 200, answer.text

    assert platform.airflow.await_run(DAG, run) == "failed"
    tasks = platform.airflow.task_instances(DAG, run)
    assert {name: task["state"] for name, task in tasks.items()} == {
        "level_1": "success",
        "level_2": "success",
        "promote": "failed",
    }
    assert tasks["promote"]["try_number"] == 1, "a refusal is not tried again"
    assert releases.state(release) == "AWAITING_APPROVAL"
    with releases.decider.begin() as unit:
        assert unit.grant_of(release) is None
        told = [entry.content for entry in unit.entries(release)]
    refused = [one for one in told if one["what"] == "PromotionRefused"]
    assert "it has no grant" in refused[-1]["why"]


def test_code_in_a_task_cannot_write_a_vote_a_grant_or_history(
    platform: RunningPlatform,
) -> None:
    run = platform.airflow.trigger("forger")
    assert platform.airflow.await_run("forger", run) == "success"
    said = platform.airflow.xcom("forger", run, "attempt")
    assert said.pop("who") == "airlock_worker"
    for attempt, answer in said.items():
        assert "permission denied" in answer or "must be owner" in answer, (attempt, answer)
