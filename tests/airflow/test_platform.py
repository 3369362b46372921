"""The embedded platform, really running: health, repair, rights, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from airlock_platform.people import PEOPLE
from airlock_platform.processes import process_group
from tests.airflow.harness import RunningPlatform
from tests.slack.kit import CHANNEL

PROCESSES = {
    *("postgres", "mlflow", "api-server", "scheduler", "dag-processor", "triggerer"),
    *("deliver", "slack"),
}


def command(platform: RunningPlatform, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "airlock"
    return subprocess.run(
        [program, *arguments], env=platform.env, capture_output=True, text=True, timeout=300
    )


def test_every_process_is_there_and_healthy(platform: RunningPlatform) -> None:
    assert set(platform.health()) == PROCESSES
    assert platform.problems() == {}


def test_status_says_so_too(platform: RunningPlatform) -> None:
    assert platform.problems() == {}
    done = command(platform, "status", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["healthy"] is True
    assert document["slack"] == f"running, channel {CHANNEL}"
    assert {row["name"] for row in document["processes"]} == PROCESSES
    assert all(row["memoryMb"] > 1 for row in document["processes"])
    work = {row["name"]: row for row in document["work"]}
    assert {"deliver messages", "fire timers", "messages to Airflow", "timers due"} <= set(work)
    assert [row for row in document["work"] if row["problem"]] == []


def test_airflows_home_shows_no_part_as_down(platform: RunningPlatform) -> None:
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")

    def healthy() -> bool:
        health = platform.airflow.get("monitor/health")
        return all(health[part]["status"] == "healthy" for part in parts)

    platform.airflow.wait(healthy, "every part that Airflow's home shows", 120)


def test_up_again_changes_nothing(platform: RunningPlatform) -> None:
    before = {name: row.pid for name, row in platform.health().items()}
    platform.up()
    assert {name: row.pid for name, row in platform.health().items()} == before


def test_everybody_can_log_in_ten_times_in_a_row(platform: RunningPlatform) -> None:
    for user, *_ in PEOPLE:
        assert platform.airflow.login(user)


def test_a_wrong_password_is_refused(platform: RunningPlatform) -> None:
    import httpx

    body = {"username": "ana", "password": "wrong"}
    answer = httpx.post(f"{platform.airflow.url}/auth/token", json=body, timeout=30)
    assert answer.status_code == 401


@pytest.mark.attack
@pytest.mark.parametrize("user", [user for user, *_, role in PEOPLE if role != "Admin"])
def test_nobody_but_the_admin_marks_a_task_as_success(platform: RunningPlatform, user: str) -> None:
    run = platform.airflow.trigger("probe-platform")
    path = f"dags/probe-platform/dagRuns/{run}/taskInstances/look"
    answer = platform.airflow.patch(path, {"new_state": "success"}, user=user)
    assert answer.status_code == 403
    assert platform.airflow.as_user(user).get(f"/api/v2/{path}").status_code == 200


@pytest.mark.parametrize(("user", "status"), [("ana", 200), ("vera", 403), ("lena", 403)])
def test_only_developers_start_runs(platform: RunningPlatform, user: str, status: int) -> None:
    answer = platform.airflow.as_user(user).post(
        "/api/v2/dags/probe-platform/dagRuns", json={"logical_date": None}
    )
    assert answer.status_code == status


def test_a_task_is_a_worker_and_knows_no_key(platform: RunningPlatform) -> None:
    run = platform.airflow.trigger("probe-platform")
    assert platform.airflow.await_run("probe-platform", run) == "success"
    seen = platform.airflow.xcom("probe-platform", run, "look")
    assert seen["role"] == "airlock_worker"
    assert seen["AIRLOCK_SIGNING_KEY"] == ""
    assert seen["MLFLOW_TRACKING_URI"] == platform.mlflow_uri
    assert "'role': 'airlock_worker'" in platform.airflow.log("probe-platform", run, "look")


@pytest.mark.attack
@pytest.mark.parametrize("role", ["airlock_worker", "airlock_decider"])
@pytest.mark.parametrize("database", ["airflow", "mlflow", "postgres", "template1"])
def test_airlock_roles_reach_no_other_database(
    platform: RunningPlatform, role: str, database: str
) -> None:
    dsn = platform.platform.server().dsn(role, database)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(dsn)


@pytest.mark.attack
def test_the_dag_processor_and_mlflow_know_no_url_of_airlock(platform: RunningPlatform) -> None:
    for name in ("dag-processor", "mlflow"):
        pid = platform.platform.supervisor.processes(name)["child"]
        environment = Path(f"/proc/{pid}/environ").read_text()
        assert "airlock_decider" not in environment
        assert "airlock_worker" not in environment
        assert "SIGNING_KEY" not in environment


def test_secrets_are_private_and_not_on_any_command_line(platform: RunningPlatform) -> None:
    folder = platform.home / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    secrets = [*platform.platform.secrets.values().values(), *platform.users.values()]
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        assert not any(secret in line for secret in secrets), process.pid


def test_servers_listen_on_this_machine_only(platform: RunningPlatform) -> None:
    pids = {
        process.pid
        for name in PROCESSES
        for process in process_tree(platform.platform.supervisor.processes(name).get("wrapper", 0))
    }
    listening = [
        entry
        for entry in psutil.net_connections("tcp")
        if entry.pid in pids and entry.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert {entry.laddr.ip for entry in listening} == {"127.0.0.1"}


def process_tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.chaos
def test_down_leaves_no_process_and_up_brings_all_back(platform: RunningPlatform) -> None:
    run = platform.airflow.trigger("probe-platform", {"seconds": 300})
    platform.airflow.await_task("probe-platform", run, "linger", "running")
    everything = [
        one.pid
        for name in PROCESSES
        for one in process_tree(platform.platform.supervisor.processes(name)["wrapper"])
    ]
    platform.down()
    assert [pid for pid in everything if process_group.alive(pid)] == []
    assert platform.leftovers() == []
    platform.down()
    assert command(platform, "status").returncode == 2
    platform.up()
    assert platform.problems() == {}
    platform.airflow.patch(f"dags/probe-platform/dagRuns/{run}", {"state": "failed"})
