"""What `airlock status` says of the work, and with which exit code."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from airlock.adapters import disk
from airlock.adapters.keys.ed25519 import create, give_up
from airlock.adapters.sql_migrations import upgrade
from airlock.config.settings import Settings
from airlock.domain.clock import stamp
from airlock.entrypoints.cli.platform import status, work_report
from airlock.entrypoints.cli.platform.status import DOWN, LOOK, WELL
from airlock.entrypoints.cli.platform.work_report import Line, report
from airlock.entrypoints.workers.steps import Round, Step
from airlock_platform.budget import Answer
from airlock_platform.platform import Health

Write = Callable[..., None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    url = f"sqlite:///{tmp_path}/airlock.db"
    upgrade(url)
    (tmp_path / "secrets").mkdir()
    create(tmp_path / "secrets/signing.pem", tmp_path / "keys")
    environment = {
        "AIRLOCK_HOME": str(tmp_path),
        "AIRLOCK_DATABASE_URL": url,
        "AIRLOCK_SIGNING_KEY": str(tmp_path / "secrets/signing.pem"),
    }
    Round([Step("fire timers", int)], tmp_path / "run/work-deciding.json").run()
    return Settings.from_environment(environment, tmp_path)


def problems(settings: Settings) -> dict[str, str]:
    return {line.name: line.problem for line in report(settings) if line.problem}


def test_where_all_is_well_there_is_no_problem(settings: Settings) -> None:
    lines = {line.name: line for line in report(settings)}
    assert {line.problem for line in lines.values()} == {""}
    assert lines["messages to Airflow"].text == "none wait"
    assert lines["fire timers"].text.startswith("last done")


def written(settings: Settings, **changed: Any) -> None:
    row = {"name": "deliver messages", "succeededAt": stamp(datetime.now(UTC)), "error": ""}
    document = {"at": stamp(datetime.now(UTC)), "steps": [row | {"notes": []} | changed]}
    document |= {"at": changed["at"]} if "at" in changed else {}
    (settings.home / "run/work-delivering.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"error": "Airflow did not answer"}, "Airflow did not answer"),
        ({"notes": ["the policies are refused"]}, "the policies are refused"),
        ({"at": "2026-01-01T00:00:00.000000000Z"}, "its round has not ended for"),
        ({"succeededAt": "", "error": "it never worked"}, "it never worked"),
    ],
)
def test_a_step_that_is_late_or_fails_or_has_something_to_say(
    settings: Settings, changed: dict[str, Any], problem: str
) -> None:
    written(settings, **changed)
    assert problem in problems(settings)["deliver messages"]


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"at": "x", "steps": []}', '{"steps": 1}'])
def test_a_broken_file_costs_its_own_line(settings: Settings, text: str) -> None:
    (settings.home / "run/work-asking.json").write_text(text)
    assert list(problems(settings)) == ["work-asking"]


def test_no_round_yet_is_said(settings: Settings) -> None:
    (settings.home / "run/work-deciding.json").unlink()
    assert "has not ended a round" in problems(settings)["steps"]


def test_little_room_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    little = disk.Room(settings.home, total=100 * 10**9, free=9 * 10**9)
    monkeypatch.setattr(disk, "rooms", lambda _folders: [little])
    (name,) = problems(settings)
    assert name == f"disk of {settings.home}"


def certificate(file: Path, days: int) -> None:
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, None)
    )
    file.write_bytes(cert.public_bytes(Encoding.PEM))


def test_certificates_and_keys_near_their_end_are_named(settings: Settings) -> None:
    certificate(settings.trusted_keys / "later.crt", 300)
    assert problems(settings) == {}
    certificate(settings.trusted_keys / "soon.crt", 20)
    certificate(settings.trusted_keys / "over.crt", -1)
    assert settings.signing_key
    key = create(settings.signing_key, settings.trusted_keys)
    give_up(settings.trusted_keys, key, stamp(datetime.now(UTC) + timedelta(minutes=10)))
    assert problems(settings) == {
        "the certificate soon.crt": "it ends",
        "the certificate over.crt": "it has ended",
        f"the key {key} that signs": "it ends",
    }


@pytest.fixture
def hanging() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_database_that_hangs_costs_its_own_lines(
    settings: Settings, hanging: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_report, "BUDGET_S", 0.5)
    url = f"postgresql+psycopg://a:very-secret@127.0.0.1:{hanging}/x"
    lines = report(replace(settings, database_url=url))
    (silent,) = [line for line in lines if line.silent]
    assert (silent.name, silent.problem) == ("database", "it did not answer within 0.5 s")
    assert "fire timers" in {line.name for line in lines}
    assert "very-secret" not in str(lines)


def health(problem: str = "") -> Health:
    return Health("deliver", "Delivery", "RUNNING", problem, 1, 1.0, 1.0, "", "")


@pytest.mark.parametrize(
    ("answer", "lines", "code"),
    [
        (Answer([health()]), [Line("x", "said")], WELL),
        (Answer([health()]), [Line("x", "said", "late")], LOOK),
        (Answer([health()]), [Line("x", "said", "no answer", silent=True)], DOWN),
        (Answer([health("it is not running")]), [], DOWN),
        (Answer(None, "it did not answer within 20 s"), [], DOWN),
        (Answer([]), [], DOWN),
    ],
)
def test_the_exit_code_says_whom_to_wake(
    answer: Answer[list[Health]], lines: list[Line], code: int
) -> None:
    assert status._code(answer, lines) == code
