"""Real pipelines, really trained, on a real Airflow: promoted, refused, kept, measured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.airflow.harness import RunningPlatform

MINUTES = 60.0


def vote(platform: RunningPlatform, release: str, user: str, decision: str = "approve") -> Any:
    """Answer through the REST API as *user*, as the page and the CLI do."""
    client = platform.airflow.as_user(user)
    seen = client.get(f"/airlock/api/v1/releases/{release}").json()
    body = {
        "decision": decision,
        "reason": f"{user} has looked at the numbers",
        "level": seen["level"],
        "round": seen["round"],
        "subjectDigest": seen["subject"]["digest"],
    }
    return client.post(f"/airlock/api/v1/releases/{release}/votes", json=body)


def champion(platform: RunningPlatform, model: str) -> str | None:
    """Return where the alias points, as any MLflow client sees it."""
    from mlflow import MlflowClient

    client = MlflowClient(platform.mlflow_uri)
    return client.get_registered_model(model).aliases.get("champion")


def start(platform: RunningPlatform, dag: str, **conf: Any) -> str:
    return platform.airflow.trigger(dag, conf, user="ana")


def waits(platform: RunningPlatform, dag: str, run: str, level: int, seconds: float) -> str:
    """Wait for a level to park, and return the release."""
    platform.airflow.await_task(dag, run, f"approval.level_{level}", "awaiting_input", seconds)
    return str(platform.airflow.xcom(dag, run, "request_release")["release"])


def tasks(platform: RunningPlatform, dag: str, run: str) -> dict[str, str]:
    found = platform.airflow.task_instances(dag, run)
    return {name: task["state"] for name, task in found.items()}


@pytest.mark.timeout(20 * 60)
def test_two_releases_promoted_and_refused(platform: RunningPlatform) -> None:
    """One story, because training costs a minute: each step needs the one before."""
    airflow = platform.airflow
    low = start(platform, "doctor-visits", reason="first release")
    high = start(platform, "employment", reason="first release")

    # Low tier: one level, two more skip themselves, the alias moves.
    release = waits(platform, "doctor-visits", low, 1, 6 * MINUTES)
    assert vote(platform, release, "lena").is_success
    assert airflow.await_run("doctor-visits", low) == "success"
    ended = tasks(platform, "doctor-visits", low)
    assert ended["approval.level_1"] == ended["promote"] == "success"
    assert ended["approval.level_2"] == ended["approval.level_3"] == "skipped"
    assert airflow.xcom("doctor-visits", low, "outcome")["outcome"] == "promoted"
    assert champion(platform, "doctor-visits") == "1"
    note = airflow.get(f"dags/doctor-visits/dagRuns/{low}")["note"]
    airflow.wait(
        lambda: "promoted" in airflow.get(f"dags/doctor-visits/dagRuns/{low}")["note"],
        f"the note to say promoted (it says {note})",
        30,
    )

    # High tier: rejected at level 2. No crash, no alias, the run says "refused".
    release = waits(platform, "employment", high, 1, 6 * MINUTES)
    assert vote(platform, release, "luis").is_success
    waits(platform, "employment", high, 2, MINUTES)

    # Meanwhile another candidate is measured, and kept: a release of its line is open.
    kept = start(platform, "employment", reason="while one is open")
    dry = start(platform, "doctor-visits", dry_run=True)

    assert vote(platform, release, "carla", "reject").is_success
    assert airflow.await_run("employment", high) == "success"
    told = airflow.xcom("employment", high, "outcome")
    assert told["outcome"] == "refused"
    assert "carla has looked at the numbers" in told["why"]
    ended = tasks(platform, "employment", high)
    assert ended["approval.level_2"] == "success"
    assert ended["approval.level_3"] == ended["promote"] == "skipped"
    assert champion(platform, "employment") is None

    # Dry run: measured against the champion, nothing asked for.
    assert airflow.await_run("doctor-visits", dry, 6 * MINUTES) == "success"
    assert airflow.xcom("doctor-visits", dry, "outcome")["outcome"] == "measured"
    assert airflow.xcom("doctor-visits", dry, "evaluate")["championVersion"] == "1"
    assert tasks(platform, "doctor-visits", dry)["promote"] == "skipped"
    assert champion(platform, "doctor-visits") == "1"

    # The rejected release has freed the line, so the candidate measured meanwhile may ask.
    release = waits(platform, "employment", kept, 1, 6 * MINUTES)
    for user in ("lena", "carla", "mara", "milo"):
        assert vote(platform, release, user).is_success, user
    assert airflow.await_run("employment", kept) == "success"
    assert airflow.xcom("employment", kept, "outcome")["outcome"] == "promoted"
    assert champion(platform, "employment") == "2"


@pytest.mark.timeout(10 * 60)
def test_a_window_without_rows_is_a_named_failure_and_registers_nothing(
    platform: RunningPlatform,
) -> None:
    airflow = platform.airflow
    run = start(platform, "employment", until="1990-01-01")
    assert airflow.await_run("employment", run, 3 * MINUTES) == "failed"
    ended = airflow.task_instances("employment", run)
    assert ended["pin_data"]["state"] == "failed"
    assert ended["pin_data"]["try_number"] == 1, "a refusal is not tried again"
    assert ended["request_release"]["state"] == "skipped"
    told = airflow.xcom("employment", run, "outcome")
    assert told["outcome"] == "failed"
    assert "pin_data" in told["why"]


@pytest.mark.parametrize(
    "conf", [{"raise_tier": "low"}, {"until": "yesterday"}, {"dry_run": "maybe"}]
)
def test_the_form_takes_only_what_makes_sense(
    platform: RunningPlatform, conf: dict[str, Any]
) -> None:
    body = {"logical_date": None, "conf": conf}
    answer = platform.airflow.as_user("ana").post("/api/v2/dags/employment/dagRuns", json=body)
    assert answer.status_code == 400, answer.text
