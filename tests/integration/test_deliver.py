"""`airlock deliver`: registers what is on disk, keeps trying, says things once, ends when asked."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.outbox.listening import outbox_watch
from airlock.bootstrap import _Policies
from airlock.domain.errors import Unreachable
from airlock.entrypoints.workers import delivery, steps
from airlock.entrypoints.workers.delivery import Courier
from airlock.ports import Account
from airlock.testing import FakeKeys
from airlock_platform.databases.postgres import free_port
from tests.support import ROOT


class Airflow:
    """Knows one person, or does not answer."""

    def __init__(self) -> None:
        self.down = False
        self.people = [
            Account("lena", "Lena", frozenset({"algorithm_lead"}), True),
            Account("ana", "Ana", frozenset({"developer"}), True),
        ]

    def accounts(self) -> list[Account]:
        if self.down:
            raise Unreachable("Airflow did not answer")
        return self.people


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for part in ("pipelines", "policies"):
        shutil.copytree(ROOT / "include" / part, tmp_path / "include" / part)
    return tmp_path / "include"


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    url = f"sqlite:///{tmp_path}/airlock.db"
    upgrade(url)
    return SqlStore(url, pooled=False)


@pytest.fixture
def courier(config: Path, store: SqlStore, tmp_path: Path, monkeypatch: Any) -> Courier:
    password = tmp_path / "password"
    password.write_text("secret")
    settings = SimpleNamespace(
        config_dir=config,
        root=ROOT,
        airflow_url="http://127.0.0.1:9",
        service_password_file=password,
        slack=None,
        alert_mail=None,
        home=tmp_path,
        handover=tmp_path / "work",
        data_dir=tmp_path / "data",
        evidence=tmp_path / "evidence",
        keep_work_days=14,
        disk_reserve_mb=0,
        code_commit="",
    )
    airlock: Any = SimpleNamespace(
        settings=settings,
        store=store,
        signer=FakeKeys(),
        places=(),
        promotions=SimpleNamespace(settle_all=int),
    )
    made = Courier(airlock)
    monkeypatch.setattr(made, "_airflow", Airflow())
    monkeypatch.setattr(delivery, "PEOPLE_S", 0.0)
    monkeypatch.setattr(delivery, "SETTLED_S", 0.0)
    return made


def registered(store: SqlStore) -> set[tuple[str, str]]:
    from sqlalchemy import text

    with store.begin() as unit:
        rows = unit._connection.execute(text("SELECT kind, digest FROM configuration"))
        return {(kind, digest) for kind, digest in rows}


def kinds(store: SqlStore) -> list[str]:
    return sorted(kind for kind, _ in registered(store))


def test_what_is_on_disk_is_registered_once(courier: Courier, store: SqlStore) -> None:
    courier.round()
    courier.round()
    assert kinds(store) == ["pipeline", "pipeline", "policy"]


def test_a_place_that_keeps_checkpoints_no_more_is_late_with_nothing(
    courier: Courier, tmp_path: Path
) -> None:
    old = tmp_path / "run" / "work-carrying-7.json"
    old.parent.mkdir()
    old.write_text("{}")
    courier.carrying()
    assert not old.exists()


def test_a_changed_file_is_registered_beside_the_old(
    courier: Courier, store: SqlStore, config: Path
) -> None:
    courier.round()
    file = config / "policies" / "approvals.yaml"
    file.write_text(file.read_text().replace("grantHours: 336", "grantHours: 24"))
    courier.round()
    assert kinds(store) == ["pipeline", "pipeline", "policy", "policy"]


def test_a_comment_changes_nothing(courier: Courier, store: SqlStore, config: Path) -> None:
    courier.round()
    before = registered(store)
    file = config / "policies" / "approvals.yaml"
    file.write_text(f"# a remark\n{file.read_text()}")
    courier.round()
    assert registered(store) == before


def test_a_broken_policy_is_said_once_and_changes_nothing(
    courier: Courier, store: SqlStore, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asking = courier.asking()
    asking.run()
    before = registered(store)
    (config / "policies" / "risk.yaml").write_text("kind: RiskPolicy\n")
    asking.run()
    asking.run()
    said = [record.message for record in caplog.records if "policies are refused" in record.message]
    assert len(said) == 1
    assert "risk.yaml" in said[0]
    assert registered(store) == before


def test_a_refused_file_is_a_failed_step_until_it_is_mended(
    courier: Courier, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(steps, "LONGEST_PAUSE_S", 0.0)
    asking = courier.asking()
    name = "read every policy and pipeline"
    (step,) = [one for one in asking.steps if one.name == name]
    file = config / "pipelines" / "employment.yaml"
    good = file.read_text()
    file.write_text(good.replace("seed: 0", "sede: 0"))
    asking.run()
    assert "pipelines/employment.yaml" in step.error
    assert "sede" in step.error
    assert asking.file is not None
    written = json.loads(asking.file.read_text())["steps"]
    assert {one["name"]: one["error"] for one in written}[name] == step.error
    file.write_text(good)
    asking.run()
    assert step.error == ""


def test_files_count_when_they_have_stayed_the_same(
    courier: Courier, store: SqlStore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(delivery, "SETTLED_S", 4.0)
    monkeypatch.setattr(delivery, "time", SimpleNamespace(monotonic=lambda: now[0]))
    courier.round()
    file, before = config / "policies" / "approvals.yaml", registered(store)
    for hours in (24, 48):  # saved twice, two seconds apart
        file.write_text(re.sub("grantHours: [0-9]+", f"grantHours: {hours}", file.read_text()))
        for _ in range(2):
            courier.round()
            now[0] += 1.0
    assert registered(store) == before
    now[0] += 4.0
    courier.round()
    assert len(registered(store) - before) == 1


def test_a_process_that_goes_on_with_the_old_policies_says_so(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policies = _Policies(config)
    before = policies.rulebook().digest
    (config / "policies" / "risk.yaml").write_text("kind: RiskPolicy\n")
    assert policies.rulebook().digest == policies.rulebook().digest == before
    (record,) = [one for one in caplog.records if "old policies stay in force" in one.message]
    assert "policies/risk.yaml" in record.message


def test_a_refused_pipeline_does_not_stop_the_other(
    courier: Courier, store: SqlStore, config: Path
) -> None:
    file = config / "pipelines" / "employment.yaml"
    file.write_text(file.read_text().replace("seed: 0", "sede: 0"))
    courier.round()
    assert kinds(store) == ["pipeline", "policy"]


def test_people_are_known_before_they_click(courier: Courier, store: SqlStore) -> None:
    courier.round()
    with store.begin() as unit:
        assert {person.id: person.claimed for person in unit.people()} == {
            "lena": frozenset({"algorithm_lead"}),
            "ana": frozenset({"developer"}),
        }


def test_airflow_away_is_said_once_and_then_that_it_is_back(
    courier: Courier,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(delivery, "PERIOD_S", 0.01)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE_S", 0.05)
    airflow: Any = courier._airflow
    airflow.down = True
    stop = threading.Event()
    posted = outbox_watch(f"sqlite:///{tmp_path}/airlock.db")
    worker = threading.Thread(target=delivery.run, args=(courier, stop, posted))
    worker.start()
    try:
        time.sleep(1)
        airflow.down = False
        _until(lambda: "it works again" in caplog.text)
    finally:
        stop.set()
        worker.join(timeout=10)
    assert not worker.is_alive()
    assert caplog.text.count("Airflow did not answer") == 1
    assert "ended as asked" in caplog.text


@pytest.mark.chaos
def test_the_real_process_survives_everything_being_away_and_ends_on_sigterm(
    config: Path, tmp_path: Path
) -> None:
    with _process(tmp_path, config, f"postgresql+psycopg://a:b@127.0.0.1:{free_port()}/x") as child:
        deadline = time.monotonic() + 60
        while "WARNING Airlock's" not in (tmp_path / "log").read_text():
            assert child.poll() is None, "it gave up"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(2)
        assert child.poll() is None, "it gave up"
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=20) == 0
        told = (tmp_path / "log").read_text()
    assert told.count("WARNING MLflow at") == 1, told
    # Each by itself: who decides, asks others, delivers, hashes, answers proposals.
    assert 1 <= told.count("WARNING Airlock's database") <= 5, told
    assert "ended as asked" in told


class _process:
    """`airlock deliver` as a process of its own."""

    def __init__(self, folder: Path, config: Path, database: str) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = folder / "key.pem"
        key.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key.chmod(0o600)
        (folder / "password").write_text("x")
        self._log = (folder / "log").open("w")
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "include"),
            "AIRLOCK_ROOT": str(ROOT),
            "AIRLOCK_HOME": str(folder),
            "AIRLOCK_CONFIG_DIR": str(config),
            "AIRLOCK_DATABASE_URL": database,
            "AIRLOCK_SIGNING_KEY": str(key),
            "AIRLOCK_SERVICE_PASSWORD_FILE": str(folder / "password"),
            "AIRLOCK_AIRFLOW_URL": "http://127.0.0.1:9",
        }

    def __enter__(self) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).parent / "airlock"
        self._child = subprocess.Popen(
            [program, "deliver"], env=self._environment, stdout=self._log, stderr=self._log
        )
        return self._child

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._log.close()


def _until(question: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)
