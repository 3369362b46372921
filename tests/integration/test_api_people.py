"""Rights at a moment, and erasing what somebody wrote, over real HTTP."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.domain.approval.release import Decision
from airlock.services.queries import releases
from tests.integration.door_kit import Doors, running


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def test_anybody_may_see_their_own_rights(doors: Doors) -> None:
    found = doors.rest("lena").get("/people/lena/rights").json()
    assert (found["active"], found["roles"]) == (True, ["algorithm_lead"])
    assert "release:vote" in found["permissions"]


def test_the_rights_of_others_need_a_permission(doors: Doors) -> None:
    assert doors.rest("vera").get("/people/lena/rights").status_code == 403
    assert doors.rest("admin").get("/people/lena/rights").json()["roles"] == ["algorithm_lead"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("at=2020-01-01T00:00:00Z", 404),
        ("at=2100-01-01T00:00:00%2B02:00", 200),
        ("at=2020-01-01T00:00:00", 422),
        ("at=yesterday", 422),
    ],
)
def test_a_moment_has_a_time_zone(doors: Doors, query: str, status: int) -> None:
    assert doors.rest("lena").get(f"/people/lena/rights?{query}").status_code == status


def test_somebody_unknown_is_404(doors: Doors) -> None:
    assert doors.rest("admin").get("/people/nobody/rights").status_code == 404


def test_an_erasure_needs_a_reason(doors: Doors) -> None:
    for body in ({}, {"reason": ""}, {"reason": "x" * 2001}, {"reason": "fine", "more": 1}):
        assert doors.rest("admin").post("/people/lena/erasure", json=body).status_code == 422
    assert doors.rest("admin").post("/people/-/erasure", json={"reason": "why"}).status_code == 422


@pytest.mark.attack
@pytest.mark.parametrize("user", ["lena", "vera", "sam", "ana"])
def test_only_who_has_the_permission_erases(doors: Doors, user: str) -> None:
    answer = doors.rest(user).post("/people/lena/erasure", json={"reason": "asked for it"})
    assert answer.status_code == 403
    assert "people:erase" in answer.json()["detail"]
    said = doors.cli(user, "user", "erase", "lena", "--reason", "asked for it", "--yes")
    assert said.code == 1


def test_an_erased_text_is_shown_as_erased_at_every_door(doors: Doors) -> None:
    release_id = doors.world.open("run-1")
    doors.world.vote(release_id, "lena", Decision.REJECT, reason="I know the applicant")
    assert "I know the applicant" in doors.page("vera").get(f"/releases/{release_id}").text
    answer = doors.rest("admin").post("/people/lena/erasure", json={"reason": "asked for it"})
    assert (answer.status_code, answer.json()) == (201, {"person": "lena", "texts": 2})
    shown = doors.rest("vera").get(f"/releases/{release_id}").json()
    assert shown["levels"][0]["votes"][0]["reason"] == "erased"
    assert shown["levels"][0]["votes"][0]["name"] == "lena"
    assert shown["why"] == "erased"
    for text in (
        doors.page("vera").get(f"/releases/{release_id}").text,
        doors.rest("vera").get(f"/releases/{release_id}/events").text,
        doors.rest("vera").get("/releases").text,
        doors.cli("vera", "release", "show", release_id).out,
    ):
        assert "I know the applicant" not in text
        assert "erased" in text
    assert doors.rest("sam").get("/audit/verification").json()["ok"]
    told = doors.cli("sam", "audit", "list", "--stream", "access").out
    assert "erased what lena had written (2 texts): asked for it" in told


def test_the_command_asks_before_it_erases(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    release_id = doors.world.open("run-1")
    doors.world.approve(release_id, "lena", reason="keep this")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    said = doors.cli("admin", "user", "erase", "lena", "--reason", "asked for it")
    assert said.code == 1
    assert releases.outcome(doors.world.store, release_id).votes[0].reason == "keep this"
    said = doors.cli("admin", "user", "erase", "lena", "--reason", "asked for it", "--yes")
    assert (said.code, "Erased 1 texts of lena" in said.out) == (0, True)
    assert releases.outcome(doors.world.store, release_id).votes[0].reason == "erased"
    unknown = doors.cli("admin", "user", "erase", "nobody", "--reason", "asked for it", "--yes")
    assert (unknown.code, "does not know 'nobody'" in unknown.err) == (1, True)
