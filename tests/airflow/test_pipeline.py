"""Real pipelines, really trained, on a real Airflow: promoted, refused, kept, measured."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.airflow import in_slack
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
    client = platform.mlflow_client()
    found = {one.name: one.aliases for one in client.search_registered_models()}
    version = found.get(model, {}).get("champion")
    return str(version) if version is not None else None


def version_of(platform: RunningPlatform, dag: str, run: str) -> str:
    """Return the version a run has registered."""
    return str(platform.airflow.xcom(dag, run, "request_release")["version"])


def start(platform: RunningPlatform, dag: str, **conf: Any) -> str:
    return platform.airflow.trigger(dag, conf, user="ana")


def waits(platform: RunningPlatform, dag: str, run: str, level: int, seconds: float) -> str:
    """Wait for a level to park, and return the release."""
    platform.airflow.await_task(dag, run, f"approval.level_{level}", "awaiting_input", seconds)
    return str(platform.airflow.xcom(dag, run, "request_release")["release"])


def tasks(platform: RunningPlatform, dag: str, run: str) -> dict[str, str]:
    found = platform.airflow.task_instances(dag, run)
    return {name: task["state"] for name, task in found.items()}


@pytest.mark.slack
@pytest.mark.timeout(20 * 60)
def test_real_models_are_promoted_refused_measured(
    platform: RunningPlatform, demonstrated: subprocess.CompletedProcess[str]
) -> None:
    """One story, because training takes a minute: runs overlap, and the first are the demo's.

    The demo has released both models, employment with all four people. Here one release is
    answered in Slack, the others through the REST API.
    """
    assert demonstrated.returncode == 0
    low = start(platform, "doctor-visits", reason="to be answered in Slack")
    high = start(platform, "employment", reason="on all data")
    low_tier_needs_one_level(platform, low)
    marked = start(platform, "doctor-visits", reason="to be marked as success")
    release = waits(platform, "employment", high, 1, 6 * MINUTES)
    a_reject_at_level_2_is_no_crash(platform, high, release)
    marking_a_level_promotes_nothing_and_votes_still_do(platform, marked)


def low_tier_needs_one_level(platform: RunningPlatform, run: str) -> None:
    airflow, dag = platform.airflow, "doctor-visits"
    release = waits(platform, dag, run, 1, 6 * MINUTES)
    card = in_slack.approve(platform, release, "lena")
    assert airflow.await_run(dag, run) == "success"
    in_slack.await_released(platform, card, "lena")
    ended = tasks(platform, dag, run)
    assert ended["approval.level_1"] == ended["promote"] == "success"
    assert ended["approval.level_2"] == ended["approval.level_3"] == "skipped"
    assert airflow.xcom(dag, run, "outcome")["outcome"] == "promoted"
    assert champion(platform, dag) == version_of(platform, dag, run)
    a_gates_page_says_what_it_found_and_leads_to_the_release(platform, run, release)

    def noted() -> bool:
        return "promoted" in (airflow.get(f"dags/{dag}/dagRuns/{run}")["note"] or "")

    airflow.wait(noted, "the note of the run to say promoted", 30)


def a_gates_page_says_what_it_found_and_leads_to_the_release(
    platform: RunningPlatform, run: str, release: str
) -> None:
    airflow, dag = platform.airflow, "doctor-visits"
    gates = [name for name in tasks(platform, dag, run) if name.startswith("gates.")]
    assert gates
    for name in gates:
        task = airflow.task_instances(dag, run)[name]
        assert " PASSED: " in task["rendered_fields"]["summary"], name
    links = airflow.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{gates[0]}/links")["extra_links"]
    shown = airflow.as_user("ana").get(links["Evidence"], follow_redirects=True)
    assert shown.status_code == 200
    assert shown.url.path == f"/airlock/releases/{release}"
    assert links["Evidence"].endswith("#gates")  # a browser takes that along, httpx does not


def a_reject_at_level_2_is_no_crash(platform: RunningPlatform, run: str, release: str) -> None:
    airflow, dag = platform.airflow, "employment"
    before = champion(platform, dag)
    assert vote(platform, release, "luis").is_success
    waits(platform, dag, run, 2, 2 * MINUTES)
    assert vote(platform, release, "carla", "reject").is_success
    assert airflow.await_run(dag, run) == "success"
    told = airflow.xcom(dag, run, "outcome")
    assert told["outcome"] == "refused"
    assert "carla has looked at the numbers" in told["why"]
    ended = tasks(platform, dag, run)
    assert ended["approval.level_2"] == "success"
    assert ended["approval.level_3"] == ended["promote"] == "skipped"
    assert champion(platform, dag) == before


def marking_a_level_promotes_nothing_and_votes_still_do(
    platform: RunningPlatform, run: str
) -> None:
    airflow, dag = platform.airflow, "doctor-visits"
    release = waits(platform, dag, run, 1, 6 * MINUTES)
    before = champion(platform, dag)
    path = f"dags/{dag}/dagRuns/{run}/taskInstances/approval.level_1"
    assert airflow.patch(path, {"new_state": "success"}).status_code == 200
    assert airflow.await_run(dag, run) == "failed"
    assert tasks(platform, dag, run)["promote"] == "failed"
    assert airflow.xcom(dag, run, "outcome")["outcome"] == "failed"
    assert champion(platform, dag) == before

    assert vote(platform, release, "lena").is_success
    late = start(platform, "airlock_promote", release=release)
    assert airflow.await_run("airlock_promote", late) == "success"
    promoted = airflow.xcom("airlock_promote", late, "promote")
    assert promoted["before"] == before
    assert promoted["after"] == champion(platform, dag) == version_of(platform, dag, run)


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
