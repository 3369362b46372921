"""The platform DAG `airlock_timers` on a real Airflow: it asks, and it rings when nobody listens.

The delivery process is stopped meanwhile, because it sweeps by itself: so what fires here has come
through the DAG, the outbox and the delivery of its message.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from airlock.adapters.airflow.rest import AirflowRest
from airlock.adapters.keys.ed25519 import FileSigner
from airlock.domain.approval.timers import Kind
from airlock.domain.clock import stamp
from airlock.entrypoints.workers.proposal_loop import ProposalLoop
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.notifications import outbox_relay
from airlock.services.proposals import Handling
from airlock.testing import FakeKeys
from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import Releases

DAG = "airlock_timers"


@pytest.fixture(scope="module")
def silent(platform: RunningPlatform) -> Iterator[Releases]:
    """Return releases of a platform whose delivery process is stopped for as long."""
    platform.platform.supervisor.stop(["deliver"])
    try:
        yield Releases(platform)
    finally:
        platform.up()


def due_since(releases: Releases, release_id: str, minutes: int) -> None:
    """Let the reminder of an open release be due since some minutes ago."""
    decide.settle(releases.decider, FakeKeys(), release_id)  # arms it, signs nothing
    with releases.decider.begin() as unit:
        reminder = next(one for one, _ in unit.timers_of(release_id) if one.kind is Kind.REMIND)
        unit.postpone(reminder, stamp(unit.now() - timedelta(minutes=minutes)))
        unit.commit()


class Unwoken:
    """Waits for nothing: the test looks itself."""

    def wait(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


def answering(releases: Releases, airflow: AirflowRest) -> ProposalLoop:
    """Return what answers tasks in place of the delivery process, and delivers nothing."""
    sources = replace(releases.sources(), runs=airflow)
    return ProposalLoop(Handling(releases.decider, sources), Unwoken())


def reminders(releases: Releases, release_id: str) -> int:
    told = access_log.events(releases.decider, release_id)
    return sum(event["what"] == "LevelReminded" for event in told)


def test_a_due_reminder_fires_through_the_dag(platform: RunningPlatform, silent: Releases) -> None:
    release_id = silent.open("reminded")
    due_since(silent, release_id, minutes=1)
    secrets = platform.platform.secrets
    airflow = AirflowRest(platform.airflow.url, secrets.service_password_file)
    asked = answering(silent, airflow)
    run = platform.airflow.trigger(DAG)
    while not asked.drain():
        assert platform.airflow.run_state(DAG, run) in ("queued", "running")
        time.sleep(0.2)
    assert platform.airflow.await_run(DAG, run) == "success"
    assert platform.airflow.xcom(DAG, run, "sweep") >= 1
    assert reminders(silent, release_id) == 0, "a task may ask, but fires nothing"
    signer = FileSigner(platform.home / "secrets/signing.pem")
    courier = outbox_relay.Delivery(silent.decider, signer, airflow)
    while reminders(silent, release_id) == 0:
        assert courier.run(), "there is no request for a sweep"
    assert reminders(silent, release_id) == 1
    assert silent.state(release_id) == "AWAITING_APPROVAL"


def test_the_dag_is_red_when_nobody_sweeps(platform: RunningPlatform, silent: Releases) -> None:
    release_id = silent.open("forgotten")
    due_since(silent, release_id, minutes=10)
    run = platform.airflow.trigger(DAG)
    assert platform.airflow.await_run(DAG, run) == "failed"
    path = f"dags/{DAG}/dagRuns/{run}/taskInstances/sweep/logs/1"
    said = json.dumps(platform.airflow.get(path, full_content=True))
    assert "the delivery process does not sweep" in said
    assert reminders(silent, release_id) == 0
