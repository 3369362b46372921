"""Waiting for people: the internals of Airflow we lean on, and what a waiting task costs."""

from __future__ import annotations

import inspect
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import Releases

DAG, TASK = "wait-for-level", "level_1"


def test_airflow_still_has_what_waiting_needs() -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput
    from airflow.sdk.execution_time.hitl import upsert_hitl_detail

    assert issubclass(TaskAwaitingInput, BaseException)
    assert not issubclass(TaskAwaitingInput, Exception), "`except Exception` must not swallow it"
    raised = TaskAwaitingInput(method_name="resume", timeout=timedelta(minutes=15))
    assert (raised.method_name, raised.timeout) == ("resume", timedelta(minutes=15))
    wanted = {"ti_id", "options", "subject", "body", "defaults", "multiple", "params"}
    assert wanted | {"assigned_users"} == set(inspect.signature(upsert_hitl_detail).parameters)


def test_parking_names_the_method_that_goes_on() -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    from airlock_airflow import ApprovalGateOperator, waiting

    with pytest.raises(TaskAwaitingInput) as caught:
        waiting.park("resume")
    assert caught.value.timeout == waiting.PARK_FOR <= timedelta(minutes=15)
    assert hasattr(ApprovalGateOperator, caught.value.method_name)


def test_the_required_action_is_for_the_service_account_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.execution_time import hitl

    from airlock_airflow import waiting

    sent: dict[str, object] = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **given: sent.update(given))
    waiting.announce(uuid4(), subject="s", body="b", service_user_id="7")
    assert sent["assigned_users"] == [{"id": "7", "name": "airlock-service"}]
    assert sent["options"] == ["Done"]
    assert sent["defaults"] is None, "a default would answer by itself"


def test_the_adapter_answers_with_the_option_the_task_offers() -> None:
    from airlock.adapters.airflow import rest
    from airlock_airflow import waiting

    assert (rest.DONE_OPTION, rest.USER) == (waiting.DONE_OPTION, waiting.SERVICE)


def test_ten_waiting_releases_hold_no_slot_and_block_nobody(platform: RunningPlatform) -> None:
    dag, pool = "wait-in-one-slot", {"name": "one-slot", "slots": 1}
    platform.airflow.as_user("admin").post("/api/v2/pools", json=pool).raise_for_status()
    releases = Releases(platform)
    opened = [releases.open(f"slots-{number}") for number in range(10)]
    runs = [platform.airflow.trigger(dag, {"release": release}) for release in opened]
    for run in runs:  # with a slot held, the second would never get there
        platform.airflow.await_task(dag, run, TASK, "awaiting_input")
    found = platform.airflow.get("pools/one-slot")
    assert (found["occupied_slots"], found["running_slots"]) == (0, 0)

    other = platform.airflow.trigger("probe-platform")
    assert platform.airflow.await_run("probe-platform", other) == "success"
    for release in opened:
        releases.answer(release, "lena")
    assert {platform.airflow.await_run(dag, run) for run in runs} == {"success"}


@pytest.mark.attack
def test_airflows_own_prompt_links_to_the_release_and_takes_no_answer(
    platform: RunningPlatform,
) -> None:
    releases = Releases(platform)
    release = releases.open("locked-row")
    run = platform.airflow.trigger(DAG, {"release": release})
    platform.airflow.await_task(DAG, run, TASK, "awaiting_input")
    path = f"dags/{DAG}/dagRuns/{run}/taskInstances/{TASK}/-1/hitlDetails"

    row = platform.airflow.get(path)
    assert release in row["subject"]
    assert f"/airlock/releases/{release}" in row["body"]
    assert [user["name"] for user in row["assigned_users"]] == ["airlock-service"]
    body = {"chosen_options": ["Done"], "params_input": {}}
    for user in ("admin", "lena", "ana", "vera"):
        assert platform.airflow.patch(path, body, user=user).status_code == 403, user

    # Even the service account's own answer decides nothing: the task looks, and waits again.
    assert platform.airflow.patch(path, body, user="airlock-service").status_code == 200
    platform.airflow.wait(
        lambda: platform.airflow.get(path)["response_received"] is False, "the row anew", 60
    )
    platform.airflow.await_task(DAG, run, TASK, "awaiting_input")
    assert releases.state(release) == "AWAITING_APPROVAL"
    releases.answer(release, "lena")
    assert platform.airflow.await_run(DAG, run) == "success"
    assert platform.airflow.xcom(DAG, run, TASK)["outcome"] == "approved"
    links = platform.airflow.get(f"dags/{DAG}/dagRuns/{run}/taskInstances/{TASK}/links")
    assert links["extra_links"] == {"Release": f"/airlock/releases/{release}"}
