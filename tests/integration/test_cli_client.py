"""The commands that are clients of the REST API, run for real against a real server."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.services.queries import releases
from tests.command import run_cli
from tests.integration.door_kit import PASSWORD, Doors, running


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def test_login_keeps_the_token_in_a_private_file(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    said = run_cli("login", "--url", doors.url, "--user", "lena", "--password-stdin")
    assert said.code == 0, said.err
    kept = tmp_path / "config" / "airlock" / "session.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert PASSWORD not in kept.read_text()
    assert json.loads(run_cli("whoami", "--json").out)["roles"] == ["algorithm_lead"]


def test_a_wrong_password_is_refused(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("guess\n"))
    said = run_cli("login", "--url", doors.url, "--user", "lena", "--password-stdin")
    assert said.code == 1
    assert "does not accept this user name and password" in said.err


def test_as_logs_in_with_the_demo_password(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "home" / "secrets" / "users.json"
    users.parent.mkdir(parents=True)
    users.write_text(json.dumps([{"user": "lena", "password": PASSWORD}]))
    monkeypatch.setenv("AIRLOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRLOCK_AIRFLOW_URL", doors.url)
    release_id = doors.world.open()
    said = run_cli("release", "approve", release_id, "--as", "lena", "--reason", "good numbers")
    assert said.code == 0, said.err
    assert f"lena approved level 1 of release {release_id}." in said.out
    assert "Now open: level 2 (compliance)." in said.out
    (vote,) = releases.outcome(doors.world.store, release_id).votes
    assert (vote.person, vote.channel, vote.reason) == ("lena", "cli", "good numbers")
    unknown = run_cli("release", "list", "--as", "leni")
    assert (unknown.code, "no demo user 'leni'" in unknown.err) == (2, True)


def test_approve_shows_what_is_approved(doors: Doors) -> None:
    release_id = doors.world.open()
    digest = doors.body(release_id)["subjectDigest"]
    said = doors.cli("lena", "release", "approve", release_id, "--reason", "good numbers")
    assert f"subject {digest}" in said.out
    assert "metrics-threshold:roc_auc" in said.out


def test_reject_and_withdraw(doors: Doors) -> None:
    rejected = doors.world.open("run-1")
    said = doors.cli("lena", "release", "reject", rejected, "--reason", "wrong data")
    assert (said.code, "The release is REJECTED" in said.out) == (0, True)
    withdrawn = doors.world.open("run-2")
    refused = doors.cli("lena", "release", "withdraw", withdrawn, "--reason", "not mine")
    assert (refused.code, "was requested by ana" in refused.err) == (1, True)
    said = doors.cli("ana", "release", "withdraw", withdrawn, "--reason", "wrong data")
    assert (said.code, "The release is WITHDRAWN" in said.out) == (0, True)


def test_reads_for_people_and_for_programs(doors: Doors) -> None:
    release_id = doors.world.open()
    listed = json.loads(doors.cli("vera", "release", "list", "--json").out)
    assert [row["id"] for row in listed] == [release_id]
    assert release_id in doors.cli("vera", "release", "list", "--state", "awaiting-approval").out
    waiting = doors.cli("vera", "release", "list", "--waiting", "--json")
    assert json.loads(waiting.out) == []
    shown = doors.cli("lena", "release", "show", release_id)
    assert "level 1 (lead), needs 1 x algorithm_lead: open" in shown.out
    assert "You may answer" in shown.out
    view = json.loads(doors.cli("vera", "release", "show", release_id, "--json").out)
    assert view["whyNot"].endswith("you hold viewer")


def test_audit_list_and_verify(doors: Doors) -> None:
    release_id = doors.world.open()
    listed = doors.cli("sam", "audit", "list", "--stream", release_id)
    assert "gates judged: 1 passed" in " ".join(listed.out.split())
    events = json.loads(doors.cli("sam", "audit", "list", "--json").out)
    assert {event["what"] for event in events} >= {"Registered", "LevelOpened"}
    verified = doors.cli("sam", "audit", "verify")
    assert (verified.code, "nothing is damaged" in verified.out) == (0, True)
    refused = doors.cli("vera", "audit", "verify")
    assert (refused.code, "audit:verify" in refused.err) == (1, True)


def test_damage_is_exit_code_1(doors: Doors) -> None:
    doors.world.open()
    with sqlite3.connect(doors.folder / "airlock.db") as database:
        for (name,) in database.execute(
            "select name from sqlite_master where type = 'trigger'"
        ).fetchall():
            database.execute(f"drop trigger {name}")
        database.execute("update release set requester = 'eve'")
    report = doors.cli("sam", "audit", "verify")
    assert report.code == 1
    assert "DAMAGED" in report.out
    assert json.loads(doors.cli("sam", "audit", "verify", "--json").out)["ok"] is False


def test_nobody_answers_is_exit_code_3(doors: Doors) -> None:
    release_id = doors.world.open()
    doors.url = "http://127.0.0.1:9"
    said = doors.cli("lena", "release", "show", release_id)
    assert said.code == 3
    assert "does not answer" in said.err
    assert "airlock status" in said.err


def test_an_unknown_release_and_an_expired_login_are_exit_code_1(doors: Doors) -> None:
    assert doors.cli("lena", "release", "show", "rel-0").code == 1
    doors.folks.pop("lena")
    said = doors.cli("lena", "release", "list")
    assert (said.code, "airlock login" in said.err) == (1, True)
