"""The processes of a running platform hang or are killed: the rest works, and all heals by itself.

A process that is stopped (SIGSTOP) is the peer that hangs: the system accepts connections for it,
and nothing answers. Answers that are rubbish, slow or refused are in `tests/integration`
(`test_peer_faults.py`), where each costs a moment.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import psycopg
import pytest

from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.services.audit import access_log, verification
from airlock.services.queries import releases as release_queries
from airlock_platform.processes import process_group
from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import HIGH, Releases
from tests.airflow.test_platform import command, process_tree

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]
PATIENCE_S = 180.0


@contextmanager
def hanging(platform: RunningPlatform, name: str) -> Iterator[None]:
    """Let a process and its children stand still."""
    process = psutil.Process(platform.platform.supervisor.processes(name)["child"])
    stopped = [process, *process.children(recursive=True)]
    for one in stopped:
        os.kill(one.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in stopped:
            os.kill(one.pid, signal.SIGCONT)


def status(platform: RunningPlatform) -> tuple[int, dict[str, Any]]:
    done = command(platform, "status", "--json")
    return done.returncode, json.loads(done.stdout)


def ill(platform: RunningPlatform) -> set[str]:
    """Return the processes that `airlock status` names; it says so by its exit code, too."""
    code, document = status(platform)
    named = {row["name"] for row in document["processes"] if row["problem"]}
    assert (code == 2) == bool(named or any(row["silent"] for row in document["work"]))
    return named


def vote(platform: RunningPlatform, releases: Releases, release_id: str) -> None:
    """Approve as a person does: by REST."""
    release = release_queries.outcome(releases.decider, release_id)
    body = {
        "decision": "approve",
        "reason": "looked at the numbers",
        "level": release.level,
        "round": release.round,
        "subjectDigest": release.subject.digest,
    }
    path = f"/airlock/api/v1/releases/{release_id}/votes"
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = platform.airflow.as_user("lena").post(path, json=body, headers=headers)
    assert answer.status_code in (200, 201), answer.text


MakeDue = Callable[[str], None]


@pytest.fixture
def make_due(platform: RunningPlatform) -> Iterator[MakeDue]:
    """Let the first reminder of a release be due, as soon as there is one; put back at the end."""
    before: list[tuple[str, str]] = []

    def superuser() -> psycopg.Connection[tuple[str, str]]:
        connection = psycopg.connect(platform.platform.server().dsn("postgres", "airlock"))
        connection.execute("SET session_replication_role = replica")
        return connection

    def change(release_id: str) -> bool:
        with superuser() as connection:
            timers = connection.execute(
                "SELECT due_at, key FROM timer "
                "WHERE release = %s AND kind = 'remind' AND number = 1 AND ended_at IS NULL",
                (release_id,),
            ).fetchall()
            past = "UPDATE timer SET due_at = '2026-01-01T00:00:00.000000Z' WHERE key = %s"
            connection.cursor().executemany(past, [(key,) for _, key in timers])
        before.extend(timers)
        return bool(timers)

    yield lambda release_id: platform.airflow.wait(
        lambda: change(release_id), "the release to have a timer", PATIENCE_S
    )
    with superuser() as connection:
        connection.cursor().executemany("UPDATE timer SET due_at = %s WHERE key = %s", before)
    report = verification.verify(Releases(platform).decider, FileKeyring(platform.home / "keys"))
    assert report.damages == ()


def fired(releases: Releases, release_id: str) -> bool:
    events = access_log.events(releases.decider, release_id)
    return any(event["what"] == "LevelReminded" for event in events)


def all_delivered(releases: Releases) -> bool:
    with releases.decider.begin() as unit:
        found = unit.backlog(datetime.now(UTC) - timedelta(hours=24))
    return not found.messages.count and not found.timers.count


def damages(platform: RunningPlatform, releases: Releases) -> list[str]:
    """Return what the verification finds beside the timers that `make_due` has changed."""
    report = verification.verify(releases.decider, FileKeyring(platform.home / "keys"))
    return [one for one in report.damages if "due_at is 2026-01-01T00:00:00" not in one]


@pytest.mark.parametrize("name", ["mlflow", "api-server"])
def test_beside_a_process_that_hangs_votes_timers_and_the_log_go_on(
    platform: RunningPlatform, make_due: MakeDue, name: str
) -> None:
    releases = Releases(platform)
    timed, voted = (releases.open(f"beside-{name}-{what}", HIGH) for what in ("time", "vote"))
    platform.airflow.as_user("lena")  # logged in before
    with hanging(platform, name):
        make_due(timed)
        if name == "api-server":
            releases.answer(voted, "lena", HIGH)  # as the process for Slack does
        else:
            vote(platform, releases, voted)
        assert release_queries.outcome(releases.decider, voted).level == 2
        platform.airflow.wait(lambda: fired(releases, timed), "a timer to fire", PATIENCE_S)
        assert ill(platform) >= {name}
        assert damages(platform, releases) == []
    platform.airflow.wait(lambda: all_delivered(releases), "all messages to arrive", PATIENCE_S)
    platform.airflow.wait(lambda: not ill(platform), "everything to be well", PATIENCE_S)


def test_a_database_that_hangs_is_named_and_everything_goes_on_after_it(
    platform: RunningPlatform, make_due: MakeDue
) -> None:
    releases = Releases(platform)
    release_id = releases.open("hanging-database", HIGH)
    with hanging(platform, "postgres"):
        code, document = status(platform)
        assert code == 2
        assert "postgres" in {row["name"] for row in document["processes"] if row["problem"]}
        assert "database" in {row["name"] for row in document["work"] if row["silent"]}
    make_due(release_id)
    platform.airflow.wait(lambda: fired(releases, release_id), "a timer to fire", PATIENCE_S)
    vote(platform, releases, release_id)
    platform.airflow.wait(lambda: all_delivered(releases), "all messages to arrive", PATIENCE_S)
    platform.airflow.wait(lambda: not ill(platform), "everything to be well", PATIENCE_S)
    assert damages(platform, releases) == []


@pytest.mark.parametrize(
    "names",
    [("mlflow", "scheduler", "dag-processor", "deliver", "slack"), ("api-server", "postgres")],
    ids=["all beside the answers", "where answers are taken"],
)
def test_killed_processes_come_back_without_a_hand(
    platform: RunningPlatform, make_due: MakeDue, names: tuple[str, ...]
) -> None:
    releases = Releases(platform)
    timed, voted = (releases.open(f"killed-{names[0]}-{what}", HIGH) for what in ("time", "vote"))
    platform.airflow.as_user("lena")
    make_due(timed)
    health = platform.health()
    trees = [process for name in names for process in process_tree(health[name].pid or 0)]
    killed = {name: platform.kill(name) for name in names}
    if "api-server" not in names:
        vote(platform, releases, voted)

    def back() -> bool:
        health = platform.health()
        return all(row.healthy for row in health.values()) and not any(
            health[name].pid == pid for name, pid in killed.items()
        )

    platform.airflow.wait(back, "the killed processes to be back", PATIENCE_S)
    assert [process.pid for process in trees if process_group.alive(process.pid)] == []
    if "api-server" in names:
        vote(platform, releases, voted)
    assert release_queries.outcome(releases.decider, voted).level == 2
    platform.airflow.wait(lambda: fired(releases, timed), "a timer to fire", PATIENCE_S)
    platform.airflow.wait(lambda: all_delivered(releases), "all messages to arrive", PATIENCE_S)
    assert damages(platform, releases) == []
