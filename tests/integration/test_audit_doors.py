"""The log through REST and the command line: read, checked, proved, taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.domain.log.checkpoint import read_proof
from airlock.services.audit import access_log, transparency_log
from tests.integration.door_kit import Doors, running


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        yield found


@pytest.fixture(scope="module")
def release_id(doors: Doors) -> str:
    """Return an open release that is in the tree."""
    found = doors.open("audited")
    transparency_log.checkpoint_now(doors.world.store, doors.world.keys)
    return found


def last(doors: Doors) -> tuple[str, str]:
    event = access_log.events(doors.world.store, "access", 1)[0]
    return event["what"], event["who"]["id"]


def test_an_auditor_checks_the_log_and_that_is_in_the_log(doors: Doors, release_id: str) -> None:
    report = doors.rest("sam").get("/audit/verification").json()
    assert report["ok"], report["damages"]
    assert report["tree"] > 0
    assert report["checkpoints"] >= 1
    assert last(doors) == ("LogVerified", "sam")


def test_who_reads_a_releases_log_is_in_the_log(doors: Doors, release_id: str) -> None:
    assert doors.rest("vera").get(f"/releases/{release_id}/events").status_code == 200
    assert last(doors) == ("LogRead", "vera")
    assert doors.page("lena").get(f"/releases/{release_id}").status_code == 200
    assert last(doors) == ("LogRead", "lena")


def test_one_entry_is_proved(doors: Doors, release_id: str) -> None:
    answer = doors.rest("sam").get("/audit/proof", params={"stream": release_id, "seq": 1})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert read_proof(answer.text)[0] >= 0
    missing = doors.rest("sam").get("/audit/proof", params={"stream": release_id, "seq": 999})
    assert missing.status_code == 404
    said = doors.cli("sam", "audit", "proof", release_id, "1")
    assert said.code == 0
    assert said.out.startswith("c2sp.org/tlog-proof@v1\n")


@pytest.mark.attack
@pytest.mark.parametrize("user", ["admin", "vera", "ana", "carla"])
def test_only_an_auditor_takes_the_log_away(doors: Doors, user: str, tmp_path: Path) -> None:
    answer = doors.rest(user).post("/audit/export", json={"reason": "just curious"})
    assert answer.status_code == 403
    assert "audit:export" in answer.json()["detail"]
    assert last(doors) == ("AccessRefused", user)
    file = tmp_path / "log.jsonl"
    said = doors.cli(user, "audit", "export", str(file), "--reason", "just curious")
    assert said.code == 1
    assert list(tmp_path.iterdir()) == []


def test_an_auditor_exports_with_a_reason_only(doors: Doors, release_id: str) -> None:
    assert doors.rest("sam").post("/audit/export", json={"reason": ""}).status_code == 422
    assert doors.rest("sam").post("/audit/export", json={}).status_code == 422
    answer = doors.rest("sam").post("/audit/export", json={"reason": "yearly audit"})
    assert answer.status_code == 200
    assert answer.text.startswith('{"airlock":"log","version":1')
    assert last(doors) == ("LogExported", "sam")


def test_the_command_writes_a_whole_file_or_none(
    doors: Doors, release_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "log.jsonl"
    said = doors.cli("sam", "audit", "export", str(file), "--reason", "yearly audit")
    assert said.code == 0, said.err
    assert file.read_text().splitlines()[-1].startswith('{"end":')
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
    nowhere = doors.cli("sam", "audit", "export", "/nowhere/log.jsonl", "--reason", "yearly audit")
    assert nowhere.code == 2
