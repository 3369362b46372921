"""The token for MLflow, over real HTTP: whose it is, what it says, that it is in the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airlock.domain.people.access_token import read
from tests.integration.door_kit import Doors, running


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def test_a_token_says_who_its_owner_is_and_what_they_may(doors: Doors) -> None:
    answer = doors.rest("sam").post("/mlflow-token", json={})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    found = read(answer.json()["token"], doors.world.keys.verify, datetime.now(UTC))
    assert found.person == answer.json()["user"] == "sam"
    assert "audit:read" in found.permissions


def test_an_approvers_token_does_not_read_refusals(doors: Doors) -> None:
    told = doors.rest("lena").post("/mlflow-token", json={}).json()
    found = read(told["token"], doors.world.keys.verify, datetime.now(UTC))
    assert "audit:read" not in found.permissions


def test_that_a_token_was_issued_is_in_the_log_and_the_token_is_not(doors: Doors) -> None:
    token = doors.rest("lena").post("/mlflow-token", json={}).json()["token"]
    with doors.world.store.begin() as unit:
        entries = [entry.content for entry in unit.entries("access")]
    (issued,) = [one for one in entries if one["what"] == "AccessTokenIssued"]
    assert (issued["who"]["id"], issued["resource"]) == ("lena", "mlflow")
    assert token not in repr(entries)
