"""What goes beyond a vote, by REST and by command: what is said, sent twice, and seen too late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock.services.audit import access_log
from airlock.services.queries import duties, releases
from tests.integration.door_kit import Doors, running
from tests.integration.duty_kit import WRITES, delegation, finding, fresh, later, promoted, smashed
from tests.integration.test_bad_input import state

EXPORTS = {"take the log away", "take the evidence away"}  # the log notes each of them
KEYED = [name for name in WRITES if name not in EXPORTS]
TAGGED = [name for name in KEYED if WRITES[name].path.startswith("/releases")]


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def post(doors: Doors, name: str, one: str, body: Any, **headers: str) -> Any:
    write = WRITES[name]
    path = write.path.replace("{id}", one)
    return doors.rest(min(write.able)).post(path, json=body, headers=headers)


@pytest.mark.parametrize("name", KEYED)
def test_the_same_key_does_it_once_and_answers_again(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    body, key = dict(write.body(doors, one)), {"Idempotency-Key": "once"}
    first = post(doors, name, one, body, **key)
    assert first.status_code == write.status, first.text
    before = state(doors)
    again = post(doors, name, one, body, **key)
    assert (again.status_code, state(doors)) == (write.status, before)
    if "ETag" not in first.headers:  # whole releases tell more with time
        assert again.json() == first.json()
    if "reason" in body:
        other = post(doors, name, one, {**body, "reason": "something else"}, **key)
        assert (other.status_code, "idempotency key" in other.json()["detail"]) == (409, True)
    assert state(doors) == before


@pytest.mark.parametrize("name", KEYED)
def test_a_key_belongs_to_one_person_and_one_kind_of_request(doors: Doors, name: str) -> None:
    key = {"Idempotency-Key": "shared"}
    doors.rest("carla").post(
        "/delegations", json=dict(WRITES["delegate"].body(doors, "")), headers=key
    )
    if name == "delegate":
        body = dict(WRITES[name].body(doors, ""))
        answer = doors.rest("lena").post("/delegations", json=body, headers=key)
    else:
        one = WRITES[name].prepare(doors)
        answer = post(doors, name, one, dict(WRITES[name].body(doors, one)), **key)
    assert answer.status_code == WRITES[name].status, answer.text


@pytest.mark.parametrize("name", TAGGED)
def test_what_has_changed_since_is_refused(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    body = dict(write.body(doors, one))
    tag = doors.rest("vera").get(f"/releases/{one}").headers["ETag"]
    before = state(doors)
    stale = post(doors, name, one, body, **{"If-Match": f'"{"0" * 32}"'})
    assert (stale.status_code, stale.json()["title"]) == (412, "Changed since you looked")
    assert state(doors) == before
    fits = {"If-Match": tag, "Idempotency-Key": "tagged"}
    assert post(doors, name, one, body, **fits).status_code == write.status
    again = post(doors, name, one, body, **fits)
    assert again.status_code == write.status, "it is the answer of then, not a new request"


def test_a_tag_changes_with_an_emergency(doors: Doors) -> None:
    release_id = fresh(doors)
    url, tags = f"/releases/{release_id}", []
    for people in ((), ("lena",), ("carla",)):
        smashed(doors, *people, release_id=release_id)
        tags.append(doors.rest("vera").get(url).headers["ETag"])
    assert len(set(tags)) == 3


def test_a_delegation_by_command(doors: Doors) -> None:
    said = doors.cli("lena", "delegate", "to", "vera", "--reason", "on leave", "--days", "2")
    assert said.code == 0, said.err
    assert "vera may answer for lena until" in said.out
    (one,) = json.loads(doors.cli("vera", "delegate", "list", "--person", "vera", "--json").out)
    assert (one["giver"], one["inForce"], one["reason"]) == ("lena", True, "on leave")
    assert one["id"] in doors.cli("sam", "delegate", "list").out
    release_id = fresh(doors)
    voted = doors.cli("vera", "release", "approve", release_id, "--reason", "for lena, I looked")
    assert voted.code == 0, voted.err
    assert "vera for lena: approve" in doors.cli("sam", "release", "show", release_id).out
    rights = doors.cli("admin", "user", "roles", "vera")
    assert "may answer for: lena" in rights.out
    ended = doors.cli("vera", "delegate", "end", one["id"])
    assert (ended.code, "vera no longer answers for lena" in ended.out) == (0, True)
    again = doors.cli("vera", "delegate", "end", one["id"])
    assert (again.code, "ended at" in again.err) == (1, True)


def test_an_approval_under_conditions_by_command(doors: Doors) -> None:
    release_id = fresh(doors)
    day = later(20).date().isoformat()
    said = doors.cli(
        "lena",
        *("release", "approve", release_id, "--reason", "good for a start"),
        *("--share", "0.25", "--segment", "staff", "--segment", "beta", "--until", day),
        *("--finding", f"ana:{day}:explain the age effect: why so large"),
    )
    assert said.code == 0, said.err
    (vote,) = releases.outcome(doors.world.store, release_id).votes
    tied = vote.conditions
    assert (tied.max_traffic_share, tied.segments) == (0.25, ("staff", "beta"))
    assert [one.text for one in tied.findings] == ["explain the age effect: why so large"]
    shown = doors.cli("vera", "release", "show", release_id).out
    for words in ("at most 25.0% of the traffic", "only for staff, beta", "ana mends by"):
        assert words in shown


def test_findings_by_command(doors: Doors) -> None:
    one = finding(doors)
    (row,) = json.loads(doors.cli("vera", "finding", "list", "--json").out)
    assert (row["id"], row["owner"], row["overdue"], row["closed_by"]) == (one, "ana", False, None)
    assert doors.cli("vera", "finding", "list", "--model", "other", "--json").out == "[]\n"
    assert "explain the age effect" in doors.cli("vera", "finding", "list").out
    owner = doors.cli("ana", "finding", "close", one, "--reason", "it is done")
    assert (owner.code, "nobody judges own work" in owner.err) == (1, True)
    closed = doors.cli("mara", "finding", "close", one, "--reason", "read the analysis")
    assert (closed.code, f"Finding {one} is closed." in closed.out) == (0, True)
    assert doors.rest("vera").get("/findings").json()[0]["closed_by"] == "mara"


def test_an_emergency_by_command(doors: Doors) -> None:
    release_id = fresh(doors)
    words = ("release", "break-glass", release_id, "--reason", "it burns", "--incident", "INC-7")
    first = doors.cli("lena", *words)
    assert first.code == 0, first.err
    assert f"subject {doors.body(release_id)['subjectDigest']}" in first.out
    assert (
        "1 more must agree; in all it takes 2 x algorithm_lead or compliance_officer" in first.out
    )
    assert "1 more must agree" in doors.cli("vera", "release", "show", release_id).out
    other = doors.cli("carla", *words, "--subject", f"sha256:{'0' * 64}")
    assert (other.code, "you looked at 000000" in other.err) == (1, True)
    second = doors.cli("carla", *words)
    assert (second.code, f"Release {release_id} is APPROVED." in second.out) == (0, True)
    assert "a review is due by" in doors.cli("vera", "release", "show", release_id).out
    review = ("release", "review", release_id, "--reason", "it was right")
    assert doors.cli("lena", *review).code == 1
    done = doors.cli("sam", *review)
    assert "The emergency INC-7 of release" in done.out
    assert "reviewed by sam" in doors.cli("vera", "release", "show", release_id).out
    assert access_log.verify(doors.world.store, doors.world.keys).ok


def test_what_the_rest_api_says_of_an_emergency(doors: Doors) -> None:
    release_id = fresh(doors)
    url = f"/releases/{release_id}"
    before = doors.rest("lena").get(url).json()["emergency"]
    assert (before["incident"], before["youMayBreak"], before["review"]) == (None, True, None)
    assert doors.rest("ana").get(url).json()["emergency"]["youMayBreak"] is False
    smashed(doors, "lena", "carla", release_id=release_id)
    after = doors.rest("sam").get(url).json()["emergency"]
    assert (after["people"], after["youMayReview"]) == (["lena", "carla"], True)
    assert (after["review"]["by"], after["review"]["overdue"]) == (None, False)
    levels = doors.rest("sam").get(url).json()["levels"]
    assert [level["state"] for level in levels] == ["skipped"] * 3
    again = fresh(doors)
    blocked = doors.rest("luis").get(f"/releases/{again}").json()["emergency"]
    assert (blocked["blockedBy"], blocked["youMayBreak"]) == ([release_id], False)


def test_a_rollback_by_rest(doors: Doors) -> None:
    first, second = promoted(doors), promoted(doors)
    given = doors.rest("otto").post(f"/releases/{second}/rollback", json={"reason": "it drifts"})
    assert given.status_code == 201
    assert (given.json()["to"], given.json()["version"]) == (first, "1")
    body = {"reason": "it drifts", "to": "rel-00000000"}
    assert doors.rest("otto").post(f"/releases/{second}/rollback", json=body).status_code == 404


def test_a_release_shows_its_findings(doors: Doors) -> None:
    one = finding(doors)
    (kept,) = duties.finding_rows(doors.world.store).rows
    shown = doors.rest("vera").get(f"/releases/{kept['release']}").json()["findings"]
    assert [(row["id"], row["owner"], row["overdue"]) for row in shown] == [(one, "ana", False)]


def test_a_delegation_lists_whether_it_is_in_force_and_over(doors: Doors) -> None:
    one = delegation(doors)
    (row,) = doors.rest("vera").get("/delegations", params={"person": "lena"}).json()
    assert (row["id"], row["inForce"], row["over"]) == (one, True, False)
    assert doors.rest("vera").get("/delegations", params={"person": "mara"}).json() == []
