"""The REST adapter against a pretended Airflow: when it wakes, when it waits, when it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from airlock.adapters.airflow.rest import AirflowRest
from airlock.domain.errors import Refused, Unreachable
from airlock.ports import Account, Parked

PARKED = Parked(
    "rel-1", 1, "my dag", "manual__2026-01-01T00:00:00+00:00", "a.level_1", datetime.now(UTC)
)
RUN = "/api/v2/dags/my%20dag/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00"
TASK = f"{RUN}/taskInstances/a.level_1"


class Airflow:
    """Give the prepared answers; remember the requests."""

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self.answers = {"login": (201, {"access_token": "t1"}), **answers}
        self.requests: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        body = json.loads(request.content) if request.content else None
        self.requests.append((request.method, path, body))
        name = "login" if path == "/auth/token" else request.method.lower()
        answer = self.answers[name]
        status, document = answer() if callable(answer) else answer
        return httpx.Response(status, json=document)


@pytest.fixture
def connect(tmp_path: Path) -> Callable[..., AirflowRest]:
    password = tmp_path / "password"
    password.write_text("secret\n")

    def make(answer: Callable[[httpx.Request], httpx.Response]) -> AirflowRest:
        client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(answer))
        return AirflowRest("http://airflow", password, client)

    return make


def test_a_parked_task_is_woken(connect: Callable[..., AirflowRest]) -> None:
    airflow = Airflow(get=(200, {"state": "awaiting_input"}), patch=(200, {}))
    assert connect(airflow).wake(PARKED, "decided") is True
    login, look, wake = airflow.requests
    assert login[2] == {"username": "airlock-service", "password": "secret"}
    assert look[:2] == ("GET", TASK)
    assert wake == (
        "PATCH",
        f"{TASK}/-1/hitlDetails",
        {"chosen_options": ["Done"], "params_input": {}},
    )


@pytest.mark.parametrize("state", ["running", "queued", "scheduled", "up_for_retry"])
def test_a_task_that_is_about_to_park_is_tried_again(
    connect: Callable[..., AirflowRest], state: str
) -> None:
    assert connect(Airflow(get=(200, {"state": state}))).wake(PARKED, "") is False


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "removed", None])
def test_a_task_that_does_not_wait_needs_no_waking(
    connect: Callable[..., AirflowRest], state: str | None
) -> None:
    assert connect(Airflow(get=(200, {"state": state}))).wake(PARKED, "") is True


def test_a_task_that_is_gone_needs_no_waking(connect: Callable[..., AirflowRest]) -> None:
    assert connect(Airflow(get=(404, {}))).wake(PARKED, "") is True


def test_an_answer_still_being_processed_is_tried_again(
    connect: Callable[..., AirflowRest],
) -> None:
    airflow = Airflow(get=(200, {"state": "awaiting_input"}), patch=(409, {}))
    assert connect(airflow).wake(PARKED, "") is False


def test_a_token_that_ran_out_is_renewed_once(connect: Callable[..., AirflowRest]) -> None:
    states = iter([(401, {}), (200, {"state": "success"})])
    airflow = Airflow(get=lambda: next(states))
    assert connect(airflow).wake(PARKED, "") is True
    assert [path for _, path, _ in airflow.requests].count("/auth/token") == 2


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"login": (401, {})}, Unreachable),
        ({"login": (429, {})}, Unreachable),
        ({"get": (500, {})}, Unreachable),
        ({"get": (503, {})}, Unreachable),
        ({"get": (403, {})}, Refused),
    ],
)
def test_trouble_has_a_name(
    connect: Callable[..., AirflowRest], answers: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        connect(Airflow(**answers)).wake(PARKED, "")


def test_airflow_away_is_unreachable_and_names_its_address(
    connect: Callable[..., AirflowRest],
) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unreachable, match="http://airflow did not answer"):
        connect(away).note("dag", "run", "text")


def test_a_note_is_cut_to_what_airflow_takes(connect: Callable[..., AirflowRest]) -> None:
    airflow = Airflow(patch=(200, {}))
    connect(airflow).note("my dag", PARKED.run_id, "x" * 5000)
    _, path, body = airflow.requests[-1]
    assert path == f"{RUN}?update_mask=note"
    assert len(body["note"]) == 1000


def test_everybody_but_ourselves_is_listed_page_by_page(
    connect: Callable[..., AirflowRest],
) -> None:
    def user(name: str, *, active: bool | None = True) -> dict[str, Any]:
        roles = [{"name": "viewer"}]
        return {
            "username": name,
            "first_name": name.title(),
            "last_name": "",
            "roles": roles,
            "active": active,
        }

    pages = iter(
        [
            (404, {}),  # Airlock's app is not mounted
            (200, {"users": [user("ana"), user("airlock-service")], "total_entries": 3}),
            (200, {"users": [user("lena", active=None)], "total_entries": 3}),
        ]
    )
    accounts = connect(Airflow(get=lambda: next(pages))).accounts()
    roles = frozenset({"viewer"})
    assert accounts == (Account("ana", "Ana", roles, True), Account("lena", "Lena", roles, False))


def test_a_login_without_a_list_of_users_is_no_trouble(
    connect: Callable[..., AirflowRest],
) -> None:
    assert connect(Airflow(get=(404, {}))).accounts() is None


def test_half_a_list_is_never_taken_for_the_whole(connect: Callable[..., AirflowRest]) -> None:
    pages = iter([(404, {}), (200, {"users": [], "total_entries": 5})])
    with pytest.raises(Unreachable, match="0 of 5"):
        connect(Airflow(get=lambda: next(pages))).accounts()


def test_what_is_no_list_of_accounts_is_unreachable(connect: Callable[..., AirflowRest]) -> None:
    for wrong in ({}, {"accounts": [{"user": "ana"}]}, {"accounts": 7}):
        with pytest.raises(Unreachable, match="no list of accounts"):
            connect(Airflow(get=(200, wrong))).accounts()


def test_a_run_is_started_with_an_id_of_ours(connect: Callable[..., AirflowRest]) -> None:
    airflow = Airflow(post=(200, {}))
    connect(airflow).start("airlock_mail", "mail.a", {"message": "mail/a"})
    assert airflow.requests[-1] == (
        "POST",
        "/api/v2/dags/airlock_mail/dagRuns",
        {"dag_run_id": "mail.a", "logical_date": None, "conf": {"message": "mail/a"}},
    )


def test_a_run_that_is_there_already_is_the_one_wanted(connect: Callable[..., AirflowRest]) -> None:
    airflow = Airflow(post=(409, {"detail": "exists"}))
    connect(airflow).start("airlock_mail", "mail.a", {})
    assert len(airflow.requests) == 2  # the login, and this


def test_a_dag_airflow_has_not_read_yet_is_tried_again(connect: Callable[..., AirflowRest]) -> None:
    with pytest.raises(Unreachable, match="airlock_mail"):
        connect(Airflow(post=(404, {}))).start("airlock_mail", "mail.a", {})


ASSET = (200, {"assets": [{"id": 7, "name": "airlock/commit/ab"}, {"id": 8, "name": "other"}]})


def test_an_event_is_posted_on_the_asset_of_exactly_that_name(
    connect: Callable[..., AirflowRest],
) -> None:
    airflow = Airflow(get=ASSET, post=(200, {}))
    connect(airflow).post("airlock/commit/ab", {"commit": "c"})
    assert airflow.requests[-1] == (
        "POST",
        "/api/v2/assets/events",
        {"asset_id": 7, "extra": {"commit": "c"}},
    )


def test_an_asset_airflow_does_not_know_yet_is_waited_for(
    connect: Callable[..., AirflowRest],
) -> None:
    with pytest.raises(Unreachable, match="has no asset airlock/commit/a yet"):
        connect(Airflow(get=ASSET)).post("airlock/commit/a", {})


ORIGIN = "my dag/manual__2026-01-01T00:00:00+00:00"
RUN_BODY = {
    "dag_id": "my dag",
    "dag_run_id": "manual__2026-01-01T00:00:00+00:00",
    "state": "running",
    "triggering_user_name": "ana",
    "start_date": "2026-01-01T00:00:01.5Z",
}


def test_a_run_is_what_airflow_says_of_it(connect: Callable[..., AirflowRest]) -> None:
    run = connect(Airflow(get=(200, RUN_BODY))).run(ORIGIN)
    assert run is not None
    assert (run.triggered_by, run.is_over) == ("ana", False)
    assert run.started_at == datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


def test_a_scheduled_run_was_triggered_by_nobody(connect: Callable[..., AirflowRest]) -> None:
    scheduled = {**RUN_BODY, "triggering_user_name": None, "start_date": None, "state": "failed"}
    run = connect(Airflow(get=(200, scheduled))).run(ORIGIN)
    assert run is not None
    assert (run.triggered_by, run.started_at, run.is_over) == ("", None, True)


@pytest.mark.attack
@pytest.mark.parametrize("origin", ["", "/", "my dag", "my dag/", "/run"])
def test_what_names_no_run_is_not_asked_about(
    connect: Callable[..., AirflowRest], origin: str
) -> None:
    airflow = Airflow(get=(200, RUN_BODY))
    assert connect(airflow).run(origin) is None
    assert airflow.requests == []


@pytest.mark.attack
def test_another_run_than_the_one_asked_about_is_none(connect: Callable[..., AirflowRest]) -> None:
    assert connect(Airflow(get=(200, RUN_BODY))).run("my dag/other") is None
    assert connect(Airflow(get=(404, {}))).run(ORIGIN) is None


def test_an_answer_that_is_no_run_is_unreachable(connect: Callable[..., AirflowRest]) -> None:
    for wrong in ({}, {**RUN_BODY, "start_date": "yesterday"}):
        with pytest.raises(Unreachable):
            connect(Airflow(get=(200, wrong))).run(ORIGIN)


def test_a_task_is_there_or_not(connect: Callable[..., AirflowRest]) -> None:
    assert connect(Airflow(get=(200, {}))).has_task("my dag", "run", "a.level_1")
    assert not connect(Airflow(get=(404, {}))).has_task("my dag", "run", "a.level_1")


def test_what_has_failed_is_named_and_rubbish_is_unreachable(
    connect: Callable[..., AirflowRest],
) -> None:
    rows = {"task_instances": [{"task_id": "train"}, {"task_id": "gates.latency"}]}
    assert connect(Airflow(get=(200, rows))).failed_tasks("d", "r") == ("train", "gates.latency")
    for wrong in ({}, {"task_instances": "none"}):
        with pytest.raises(Unreachable):
            connect(Airflow(get=(200, wrong))).failed_tasks("d", "r")
