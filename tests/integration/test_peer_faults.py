"""Each peer, wrong in each way: "could not tell", nothing is lost or accused, and it heals.

What stands beside a peer that is wrong (timers, votes, the log) has threads of its own; that it
goes on is in `test_the_rounds_beside_a_peer_that_hangs_go_on` and on a whole platform in
`tests/airflow/test_faults.py`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from airlock.adapters import s3_client
from airlock.adapters.airflow import rest
from airlock.adapters.airflow.rest import AirflowRest
from airlock.adapters.checkpoints.s3 import CheckpointBucket
from airlock.adapters.checkpoints.witness_client import WitnessClient
from airlock.adapters.evidence.s3 import EvidenceBucket
from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner, verify_with
from airlock.adapters.mlflow import drift_source
from airlock.adapters.mlflow.drift_source import MlflowWatch
from airlock.adapters.slack.web import SlackWeb
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.outbox.listening import OUTBOX, Listener
from airlock.config.settings import Settings
from airlock.domain.approval.release import State
from airlock.domain.errors import AirlockError, Unreachable
from airlock.domain.log.checkpoint import COSIGNATURE, vkey
from airlock.entrypoints.cli.platform.work_report import report
from airlock.entrypoints.workers.delivery import Courier
from airlock.entrypoints.workers.steps import Step
from airlock.ports import Parked
from airlock.ports.chat import ChatMessage
from airlock.services.audit import transparency_log, verification
from airlock.services.notifications.outbox_relay import Delivery
from airlock.services.queries import releases
from airlock.services.registry.drift import Detector
from airlock.testing import FakeClock, FakeKeys, World
from tests.contract.conftest import enrolled_file, sqlite_database, sqlite_template
from tests.contract.tree_kit import keys, witness
from tests.integration.faulty_peer import (
    FAULTS,
    HANGING,
    NO_HTTP,
    REFUSING,
    SLOW,
    FaultyPeer,
    faulty,
)

__all__ = ["enrolled_file", "sqlite_database", "sqlite_template"]
pytestmark = pytest.mark.chaos
BUDGET_S = 0.5


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every budget be short; what a budget is worth does not depend on its length."""
    monkeypatch.setattr(rest, "_TIMEOUT_S", BUDGET_S)
    monkeypatch.setattr(drift_source, "_TIMEOUT_S", BUDGET_S)
    monkeypatch.setattr(
        "airlock.adapters.checkpoints.witness_client._PATIENCE", httpx.Timeout(BUDGET_S)
    )
    monkeypatch.setattr(s3_client, "CONNECT_S", BUDGET_S)
    monkeypatch.setattr(s3_client, "READ_S", BUDGET_S)
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)


@pytest.fixture(params=FAULTS)
def peer(request: pytest.FixtureRequest) -> Any:
    with faulty(request.param) as made:
        yield made


@pytest.fixture(params=[fault for fault in FAULTS if fault != SLOW])
def bounded(request: pytest.FixtureRequest) -> Any:
    """For the SDKs of AWS and Slack, which bound each part of an answer alone (ADR 0064)."""
    with faulty(request.param) as made:
        yield made


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("secret")
    return file


def could_not_tell(act: Callable[[], object]) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        act()
    return caught.value


def parked(world: World, release_id: str) -> Parked:
    with world.store.begin() as unit:
        found = Parked(release_id, 1, "credit", "run-1", "level_1", unit.now())
        unit.park(found)
        unit.commit()
    return found


def waiting(world: World) -> set[str]:
    with world.store.begin() as unit:
        return {message.kind for message in unit.claim()}


# Airflow


def test_airflow_no_message_is_lost(sqlite_database: Any, peer: FaultyPeer, password: Path) -> None:
    clock = FakeClock()
    world = World(sqlite_database.store("airlock_decider", clock))
    release_id = world.open()
    task = parked(world, release_id)
    world.approve(release_id, "lena")
    delivery = Delivery(world.store, world.keys, AirflowRest(peer.url, password), 0.0)
    delivery.run()
    clock.pass_(hours=1)
    with world.store.begin() as unit:
        assert unit.parked(release_id) == (task,), "a task is forgotten that nobody has woken"
    assert "wake" in waiting(world), "the wake-up is tried again"
    with world.store.begin() as unit:
        assert unit.backlog(unit.now()).given_up == ()


@pytest.mark.parametrize("fault", ["an empty object", "a list", "a page that says 404"])
def test_airflow_an_answer_behind_a_good_login_that_is_not_airflows_wakes_nobody(
    fault: str, password: Path, sqlite_database: Any
) -> None:
    """A proxy that lets the login through and answers the rest itself."""
    with faulty(fault) as peer:
        airflow = AirflowRest(peer.url, password)
        airflow._token = "logged in before"
        world = World(sqlite_database.store("airlock_decider"))
        task = parked(world, world.open())
        could_not_tell(lambda: airflow.wake(task, ""))
        could_not_tell(lambda: airflow.run("credit/run-1"))
        could_not_tell(lambda: airflow.last("commits"))


def test_airflow_accounts_are_not_taken_from_rubbish(peer: FaultyPeer, password: Path) -> None:
    could_not_tell(AirflowRest(peer.url, password).accounts)


# MLflow


def test_mlflow_nothing_is_found_and_nothing_ended_by_rubbish(
    sqlite_database: Any, peer: FaultyPeer
) -> None:
    world = World(sqlite_database.store("airlock_decider"))
    release_id = world.open()
    world.approve_all(release_id)
    world.promote(release_id)
    detector = Detector(world.store, MlflowWatch(peer.url, FakeKeys()))
    for _ in range(2):  # the third time is the finding that nobody can look
        could_not_tell(detector.look)
    assert releases.outcome(world.store, release_id).state is State.PROMOTED
    could_not_tell(lambda: MlflowWatch(peer.url, FakeKeys()).standing("grant"))


# the places of the log's checkpoints


@pytest.fixture
def told(sqlite_database: Any, tmp_path: Path) -> tuple[World, FileSigner, FileKeyring]:
    signer, keyring = keys(tmp_path)
    world = World(sqlite_database.store("airlock_decider"), signer)
    world.keys = keyring  # type: ignore[assignment]
    world.open()
    return world, signer, keyring


def test_a_witness_that_is_wrong_is_a_note_of_the_verification_and_then_cosigns(
    told: tuple[World, FileSigner, FileKeyring], tmp_path: Path, peer: FaultyPeer
) -> None:
    world, signer, keyring = told
    with witness(tmp_path, world, signer) as real:
        address = real._http.base_url
        peer._behind = (address.host, address.port or 0)
        client = WitnessClient(peer.url, _vkey(real), verify_with)
        (carrier,) = transparency_log.carriers(world.store, [client])
        could_not_tell(carrier.round)
        report = verification.verify_against(world.store, keyring, [client])
        assert report.ok, report.damages
        if peer.fault not in ("an empty object", "a list"):
            assert any("not compared with witness" in one for one in report.warnings)
        peer.heal()
        carrier.round()
        assert len(client.checkpoints()) == 1


def _vkey(client: WitnessClient) -> str:
    return vkey(client.witness_name, COSIGNATURE, client.public)


def bucket(peer: FaultyPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the AWS SDK ask the peer."""
    told = {
        "AWS_ENDPOINT_URL": peer.url,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)


def test_a_bucket_that_is_wrong_keeps_nothing_and_accuses_nobody(
    told: tuple[World, FileSigner, FileKeyring],
    tmp_path: Path,
    bounded: FaultyPeer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, signer, keyring = told
    transparency_log.checkpoint_now(world.store, signer)
    bucket(bounded, monkeypatch)
    place = CheckpointBucket("s3://audit/log")
    with contextlib.suppress(Unreachable):  # S3 may say by an empty answer that it has it
        place.checkpoints()
        place.put(transparency_log.Copy(0, 1, "note", b"", lambda _: ()))
    report = verification.verify_against(world.store, keyring, [place])
    assert report.ok, report.damages


def test_evidence_is_never_what_a_wrong_bucket_says(
    tmp_path: Path, bounded: FaultyPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(bounded, monkeypatch)
    place = EvidenceBucket("s3://evidence", tmp_path)
    with pytest.raises(AirlockError):
        place.read(f"sha256:{'ab' * 32}", 1000)


# Slack


def test_slack_an_answer_that_is_not_slacks_is_no_answer(bounded: FaultyPeer) -> None:
    chat = SlackWeb("xoxb-1", f"{bounded.url}/api/", timeout=BUDGET_S)
    error = could_not_tell(lambda: chat.post("C1", ChatMessage("hello", ())))
    assert error.message


# PostgreSQL


@pytest.mark.parametrize("fault", [REFUSING, HANGING, NO_HTTP])
def test_postgresql_that_is_wrong_is_unreachable_and_status_says_so(
    fault: str, tmp_path: Path
) -> None:
    with faulty(fault) as peer:
        url = f"postgresql+psycopg://a:b@127.0.0.1:{peer.port}/airlock"
        could_not_tell(SqlStore(url, pooled=False).begin)
        Listener(url, OUTBOX).wait(0.01)  # says it in the log, raises nothing
        given = {"AIRLOCK_HOME": str(tmp_path), "AIRLOCK_DATABASE_URL": url}
        lines = report(Settings.from_environment(given, tmp_path))
        (line,) = [one for one in lines if one.name == "database"]
        assert line.silent
        assert "does not answer" in line.problem


# beside them


@pytest.mark.parametrize("fault", [HANGING, SLOW])
def test_the_rounds_beside_a_peer_that_hangs_go_on(
    sqlite_database: Any,
    tmp_path: Path,
    password: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rest, "_TIMEOUT_S", 600.0)
    monkeypatch.setattr(
        "airlock.adapters.checkpoints.witness_client._PATIENCE", httpx.Timeout(600.0)
    )
    clock = FakeClock()
    world = World(sqlite_database.store("airlock_decider", clock))
    release_id = world.open()
    signer, keyring = keys(tmp_path)
    with faulty(fault) as peer, witness(tmp_path, world, signer) as real:
        hung = WitnessClient(peer.url, _vkey(real), verify_with)
        settings = SimpleNamespace(
            airflow_url=peer.url,
            service_password_file=password,
            home=tmp_path,
            handover=tmp_path / "work",
            data_dir=tmp_path / "data",
            evidence=tmp_path / "evidence",
            keep_work_days=0,
            disk_reserve_mb=0,
            slack=None,
            alert_mail=None,
        )
        airlock: Any = SimpleNamespace(
            settings=settings, store=world.store, signer=signer, places=(hung,)
        )
        courier = Courier(airlock)
        stuck = [courier.delivering(), *courier.carrying()]
        threads = [threading.Thread(target=one.run, daemon=True) for one in stuck]
        for thread in threads:
            thread.start()
        assert world.approve(release_id, "lena").level == 2
        clock.pass_(days=60)
        courier.deciding().run()
        assert releases.outcome(world.store, release_id).state is State.EXPIRED
        assert verification.verify(world.store, keyring).ok
        assert all(thread.is_alive() for thread in threads)


def test_a_step_says_that_a_peer_does_not_answer(password: Path) -> None:
    with faulty(HANGING) as peer:
        step = Step("keep people in step", AirflowRest(peer.url, password).accounts)
        step.run()
        assert peer.url in step.error
