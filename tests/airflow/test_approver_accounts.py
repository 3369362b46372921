"""Approvers against a real Airflow: its administrator, and whoever holds its database.

Each test makes accounts of its own, in Airflow's own login (FAB) on PostgreSQL.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import create_engine, text

from airlock.adapters.sql_store import SqlStore
from airlock.services.audit import access_log
from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import Releases

API = "/airlock/api/v1"
WHY = "a test needs it"


@pytest.fixture(scope="module")
def release_id(platform: RunningPlatform) -> str:
    """Return a release of low risk: one vote of an algorithm lead would approve it."""
    return Releases(platform).open("approver-accounts")


@pytest.fixture
def nora(platform: RunningPlatform) -> Iterator[str]:
    """Return a new approver, made in Airflow and enrolled by two people."""
    name = f"nora{secrets.token_hex(3)}"
    made(platform, name, "algorithm_lead")
    log_in(platform, name)
    enrolled(platform, name)
    yield name
    platform.airflow.as_user("admin").delete(f"/auth/fab/v1/users/{name}")


def made(platform: RunningPlatform, name: str, role: str) -> None:
    """Make an account, as an administrator of Airflow does."""
    password = secrets.token_hex(8)
    body = {
        **{"username": name, "password": password, "email": f"{secrets.token_hex(4)}@x.example"},
        **{"first_name": name, "last_name": "New", "roles": [{"name": role}]},
    }
    answer = platform.airflow.as_user("admin").post("/auth/fab/v1/users", json=body)
    assert answer.status_code < 300, answer.text
    platform.airflow.users[name] = password


def log_in(platform: RunningPlatform, name: str) -> httpx.Response:
    """Log in anew and ask who one is."""
    platform.airflow._clients.pop(name, None)
    return platform.airflow.as_user(name).get(f"{API}/me")


def enrolled(platform: RunningPlatform, name: str) -> None:
    body = {"person": name, "role": "algorithm_lead", "reason": WHY}
    proposed = platform.airflow.as_user("admin").post(f"{API}/enrolments", json=body)
    assert proposed.status_code == 201, proposed.text
    address = f"{API}/enrolments/{proposed.json()['id']}/confirmation"
    confirmed = platform.airflow.as_user("sam").post(address, json={"reason": WHY})
    assert confirmed.status_code == 201, confirmed.text


def vote(platform: RunningPlatform, release_id: str, name: str) -> httpx.Response:
    view = platform.airflow.as_user("vera").get(f"{API}/releases/{release_id}").json()
    body = {"decision": "approve", "reason": WHY, "level": view["level"], "round": view["round"]}
    body["subjectDigest"] = view["subject"]["digest"]
    return platform.airflow.as_user(name).post(f"{API}/releases/{release_id}/votes", json=body)


def events(platform: RunningPlatform, what: str, person: str) -> list[str]:
    store = SqlStore(platform.url("airlock_decider"), pooled=False)
    found = access_log.events(store, "access", 1000)
    return [e["why"] for e in found if e["what"] == what and e["data"].get("person") == person]


def test_four_accounts_of_an_administrator_release_nothing(
    platform: RunningPlatform, release_id: str
) -> None:
    for role in ("algorithm_lead", "compliance_officer", "risk_committee", "risk_committee"):
        name = f"sock{secrets.token_hex(3)}"
        made(platform, name, role)
        assert log_in(platform, name).json()["unconfirmed"] == [role]
        refused = vote(platform, release_id, name)
        assert refused.status_code == 403
        assert f"{role} (not enrolled)" in refused.json()["detail"]


def test_a_password_reset_by_an_administrator_suspends(
    platform: RunningPlatform, release_id: str, nora: str
) -> None:
    assert log_in(platform, nora).json()["roles"] == ["algorithm_lead"]
    new = secrets.token_hex(8)
    path = f"/auth/fab/v1/users/{nora}"
    reset = platform.airflow.as_user("admin").patch(
        path, params={"update_mask": "password"}, json={"password": new}
    )
    assert reset.status_code == 200, reset.text
    platform.airflow.wait(
        lambda: events(platform, "ApproverSuspended", nora), "the suspension, without a click", 60
    )
    assert events(platform, "AccountChanged", nora) == [f"{nora} has a new password in Airflow"]
    platform.airflow.users[nora] = new
    assert log_in(platform, nora).json()["roles"] == []
    assert vote(platform, release_id, nora).status_code == 403
    enrolled(platform, nora)
    assert log_in(platform, nora).json()["roles"] == ["algorithm_lead"]


def test_an_account_made_anew_under_an_old_name_is_not_enrolled(
    platform: RunningPlatform, nora: str
) -> None:
    gone = platform.airflow.as_user("admin").delete(f"/auth/fab/v1/users/{nora}")
    assert gone.status_code < 300, gone.text
    made(platform, nora, "algorithm_lead")
    assert log_in(platform, nora).json()["roles"] == []
    assert "another account of that name" in events(platform, "AccountChanged", nora)[-1]


def test_three_rows_in_airflows_database_make_no_approver(
    platform: RunningPlatform, release_id: str, nora: str
) -> None:
    name = f"row{secrets.token_hex(3)}"
    engine = create_engine(platform.url("airflow_app"))
    with engine.begin() as connection:
        copied = "SELECT password FROM ab_user WHERE username = :known"
        user = connection.execute(
            text(
                "INSERT INTO ab_user (id, first_name, last_name, username, password, active, "
                f"email) VALUES (99001, 'R', 'W', :name, ({copied}), true, :name) RETURNING id"
            ),
            {"name": name, "known": nora},
        ).scalar_one()
        lead = text("SELECT id FROM ab_role WHERE name = 'algorithm_lead'")
        role = connection.execute(lead).scalar_one()
        columns = "INSERT INTO ab_user_role (id, user_id, role_id) VALUES (99001, :user, :role)"
        connection.execute(text(columns), {"user": user, "role": role})
    engine.dispose()
    platform.airflow.users[name] = platform.airflow.users[nora]
    assert log_in(platform, name).json()["unconfirmed"] == ["algorithm_lead"]
    assert vote(platform, release_id, name).status_code == 403


def test_a_look_alike_is_nobody(platform: RunningPlatform) -> None:
    name = f"len{chr(0x430)}"
    made(platform, name, "algorithm_lead")
    refused = log_in(platform, name)
    assert refused.status_code == 403
    assert "'len<U+0430>' looks like 'lena'" in refused.json()["detail"]
    platform.airflow.as_user("admin").delete(f"/auth/fab/v1/users/{name}")
