"""Every refusal on the page, by command and by REST alike: one reason, each try in the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from airlock.services.queries import releases
from tests.command import Said
from tests.integration.door_kit import Doors, running, text_of

OTHER = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        yield found


@dataclass(frozen=True)
class Case:
    """Who tries what, after whom, and how it is refused."""

    who: str
    status: int
    reason: str
    after: tuple[str, ...] = ()
    level: int | None = None
    subject: str = ""
    words: str = "looked at the numbers"
    exit_code: int = 1


CASES = {
    "a viewer": Case("vera", 403, "needs 1 x algorithm_lead; vera holds viewer"),
    "an administrator": Case("admin", 403, "needs 1 x algorithm_lead; admin holds admin"),
    "the requester": Case("ana", 403, "nobody judges own work"),
    "the role of a later level": Case("carla", 403, "carla holds compliance_officer"),
    "a later level before its turn": Case("carla", 409, "level 2 is not open", level=2),
    "a level that is over": Case("carla", 409, "level 1 is not open", ("lena",), level=1),
    "the same person twice": Case("lena", 409, "lena has already answered", ("lena",)),
    "the same person at a later level": Case("mara", 409, "one person", ("lena", "carla", "mara")),
    "a stale subject": Case("lena", 409, "you answered round 1 of 000000", subject=OTHER),
    "no reason": Case("lena", 422, "a reason of 3 to 2000 characters", words="ok", exit_code=2),
    "a release that is over": Case(
        "mina", 409, "nobody can answer any more", ("lena", "carla", "mara", "milo")
    ),
}


def _rest(doors: Doors, release_id: str, case: Case) -> httpx.Response:
    changes = {"reason": case.words}
    if case.level:
        changes |= {"level": case.level}
    if case.subject:
        changes |= {"subjectDigest": case.subject}
    body = doors.body(release_id, **changes)
    return doors.rest(case.who).post(f"/releases/{release_id}/votes", json=body)


def _page(doors: Doors, release_id: str, case: Case) -> httpx.Response:
    body = doors.body(release_id)
    form = {
        "decision": "approve",
        "reason": case.words,
        "level": str(case.level or body["level"]),
        "round": str(body["round"]),
        "subject": case.subject or body["subjectDigest"],
        "key": "a-key",
    }
    return doors.page(case.who).post(f"/releases/{release_id}/votes", data=form)


def _cli(doors: Doors, release_id: str, case: Case) -> Said:
    options = ["--level", str(case.level)] if case.level else []
    options += ["--subject", case.subject] if case.subject else []
    return doors.cli(case.who, "release", "approve", release_id, "--reason", case.words, *options)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_refusal_is_the_same_at_every_door_and_is_logged(doors: Doors, case: Case) -> None:
    release_id = doors.open(f"run-{id(case)}")
    for name in case.after:
        doors.world.approve(release_id, name)
    before = releases.outcome(doors.world.store, release_id)

    rest = _rest(doors, release_id, case)
    problem = rest.json()
    assert rest.status_code == case.status
    assert case.reason in problem["detail"]

    page = _page(doors, release_id, case)
    assert page.status_code == case.status
    assert problem["detail"] in text_of(page.text)
    assert problem["nextStep"] in text_of(page.text)

    said = _cli(doors, release_id, case)
    assert said.code == case.exit_code
    assert said.err.splitlines()[0] == problem["detail"]
    assert f"What to do: {problem['nextStep']}" in said.err

    refusals = [
        (event["channel"], event["who"]["id"], event["why"])
        for event in doors.rest("vera").get(f"/releases/{release_id}/events").json()
        if event["what"] == "VoteRefused"
    ]
    assert refusals == [(door, case.who, problem["detail"]) for door in ("api", "page", "cli")]
    after = releases.outcome(doors.world.store, release_id)
    assert (after.state, after.level, after.votes) == (before.state, before.level, before.votes)


def test_a_role_taken_away_counts_with_the_next_click(doors: Doors) -> None:
    release_id = doors.open("run-role")
    assert "Your answer" in doors.page("luis").get(f"/releases/{release_id}").text
    doors.folks["luis"] = "viewer"
    try:
        answer = doors.rest("luis").post(
            f"/releases/{release_id}/votes", json=doors.body(release_id)
        )
        assert (answer.status_code, "holds viewer" in answer.json()["detail"]) == (403, True)
    finally:
        doors.folks["luis"] = "algorithm_lead"
