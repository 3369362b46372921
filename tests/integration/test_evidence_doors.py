"""Evidence through REST, command line and page: taken away by auditors, checked by anybody."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.services.audit import access_log
from tests.command import Said
from tests.contract.tree_kit import keys
from tests.integration.door_kit import Doors, running, text_of, with_real_keys


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Run the doors with real keys: the fake ones sign nothing a stranger could check."""
    with running(tmp_path_factory.mktemp("doors")) as found:
        with_real_keys(found)
        yield found


@pytest.fixture(scope="module")
def release_id(doors: Doors) -> str:
    """Return a promoted release."""
    found = doors.open("proved")
    doors.world.approve_all(found)
    doors.world.promote(found)
    return found


def verify(doors: Doors, *arguments: str) -> Said:
    """Run `airlock evidence verify`, which needs no login."""
    return doors.cli("sam", "evidence", "verify", *arguments, options=())


def last(doors: Doors) -> tuple[str, str]:
    event = access_log.events(doors.world.store, "access", 1)[0]
    return event["what"], event["who"]["id"]


def test_without_a_reason_nothing_is_handed_out(doors: Doors, release_id: str) -> None:
    path = f"/releases/{release_id}/evidence"
    for body in ({}, {"reason": ""}, {"reason": "   "}, {"reason": "why", "more": 1}):
        assert doors.rest("sam").post(path, json=body).status_code == 422
    assert (
        doors.rest("sam").post("/releases/rel-x/evidence", json={"reason": "why"}).status_code
        == 404
    )


@pytest.mark.attack
@pytest.mark.parametrize("user", ["admin", "vera", "ana", "carla", "lena"])
def test_only_an_auditor_takes_evidence_away(
    doors: Doors, release_id: str, user: str, tmp_path: Path
) -> None:
    path = f"/releases/{release_id}/evidence"
    answer = doors.rest(user).post(path, json={"reason": "just curious"})
    assert answer.status_code == 403
    assert "evidence:export" in answer.json()["detail"]
    assert last(doors) == ("AccessRefused", user)
    file = tmp_path / "bundle.zip"
    said = doors.cli(
        user, "evidence", "export", release_id, "-o", str(file), "--reason", "just curious"
    )
    assert said.code == 1
    assert list(tmp_path.iterdir()) == []
    assert doors.rest("").post(path, json={"reason": "just curious"}).status_code == 401


def test_an_auditor_exports_and_anybody_checks(
    doors: Doors, release_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "bundle.zip"
    said = doors.cli(
        "sam", "evidence", "export", release_id, "-o", str(file), "--reason", "yearly audit"
    )
    assert said.code == 0, said.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert last(doors) == ("EvidenceExported", "sam")
    trusted = str(doors.folder / "keys")
    checked = verify(doors, str(file), "--keys", trusted)
    assert checked.code == 0, checked.out + checked.err
    assert "brought from outside" in checked.out
    as_data = doors.cli(
        "sam", "evidence", "verify", str(file), "--keys", trusted, "--json", options=()
    )
    assert json.loads(as_data.out)["trust"] == "outside"
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(file) as usual:
        usual.extractall(folder)
    program = [sys.executable, "-I", "-S", str(folder / "verify.py")]
    stranger = subprocess.run(program, capture_output=True, text=True, env={})
    assert stranger.returncode == 0, stranger.stdout + stranger.stderr


def test_a_changed_bundle_is_exit_code_1_and_named(
    doors: Doors, release_id: str, tmp_path: Path
) -> None:
    file, trusted = tmp_path / "bundle.zip", str(doors.folder / "keys")
    answer = doors.rest("sam").post(f"/releases/{release_id}/evidence", json={"reason": "audit"})
    assert answer.headers["content-type"] == "application/zip"
    assert f'filename="evidence-{release_id}.zip"' in answer.headers["content-disposition"]
    file.write_bytes(answer.content.replace(b"looked at the numbers", b"looked at the weather"))
    said = verify(doors, str(file), "--keys", trusted)
    assert said.code == 1
    assert "DOES NOT HOLD" in said.out
    file.write_bytes(answer.content)
    keys(tmp_path / "foreign")
    foreign = str(tmp_path / "foreign" / "keys")
    assert verify(doors, str(file), "--keys", foreign).code == 1
    for wrong in (
        ("/nowhere.zip",),
        (str(file), "--keys", str(tmp_path)),
        (str(file), "--fingerprint", "x"),
    ):
        assert verify(doors, *wrong).code == 2


def test_the_release_page_leads_to_the_report_for_those_who_may_read_it(
    doors: Doors, release_id: str
) -> None:
    page = doors.page("vera").get(f"/releases/{release_id}")
    assert f'href="/airlock/releases/{release_id}/evidence"' in page.text
    report = doors.page("vera").get(f"/releases/{release_id}/evidence")
    assert report.status_code == 200
    assert "What exactly is approved" in text_of(report.text)
    assert last(doors) == ("LogRead", "vera")
    style = report.text.split("<style>")[1].split("</style>")[0]
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{hashed}'" in report.headers["content-security-policy"]
    assert doors.page("vera").get("/releases/rel-x/evidence").status_code == 404
    assert doors.page("").get(f"/releases/{release_id}/evidence").status_code == 401


@pytest.mark.attack
def test_who_may_not_read_evidence_sees_no_report(doors: Doors, release_id: str) -> None:
    viewer = doors.app.state.airlock.rulebook.document["access"]["spec"]["roles"]["viewer"]
    viewer["permissions"].remove("evidence:read")
    try:
        assert "Evidence report" not in doors.page("vera").get(f"/releases/{release_id}").text
        assert doors.page("vera").get(f"/releases/{release_id}/evidence").status_code == 403
    finally:
        viewer["permissions"].append("evidence:read")
