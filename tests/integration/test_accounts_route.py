"""Who may log in is told to Airlock's own account alone, and comes back whole."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from airlock.adapters.airflow.rest import AirflowRest
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.entrypoints.http.app import create_app
from airlock.entrypoints.http.authentication import SERVICE, Identity
from airlock.ports import Account
from airlock.services.people import sync
from airlock.testing import FakeKeys, World
from airlock.testing.approvers import seen_account
from tests.integration.door_kit import FakePlatform

LENA = Account("lena", "Lena", frozenset({"algorithm_lead"}), True, seen_account("lena"))


def identify(request: Request) -> Identity:
    who = request.headers.get("authorization", "").removeprefix("Bearer ")
    return Identity(who, who, frozenset({"Admin"}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    upgrade(f"sqlite:///{tmp_path}/airlock.db")
    return World(SqlStore(f"sqlite:///{tmp_path}/airlock.db"))


def client(world: World, accounts: list[Account] | None) -> TestClient:
    keys = FakeKeys()
    platform = FakePlatform(world.store, keys, keys, world.rulebook)
    app = create_app(platform, identify, accounts=lambda: accounts)
    return TestClient(app, base_url="http://127.0.0.1:9")


def test_nobody_but_the_service_account_is_told(world: World) -> None:
    found = client(world, [LENA])
    for who in ("admin", "sam", f"{SERVICE}2"):
        answer = found.get("/api/v1/accounts", headers={"Authorization": f"Bearer {who}"})
        assert answer.status_code == 403
        assert "password" not in answer.text
    answer = found.get("/api/v1/accounts", headers={"Authorization": f"Bearer {SERVICE}"})
    assert [one["user"] for one in answer.json()["accounts"]] == ["lena"]
    with world.store.begin() as unit:
        assert SERVICE not in {person.id for person in unit.people()}


@pytest.mark.parametrize("accounts", [[LENA], [], None])
def test_the_delivery_process_reads_it_whole(
    world: World, tmp_path: Path, accounts: list[Account] | None
) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    found = client(world, accounts)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": SERVICE})
        assert request.url.path.startswith("/airlock/")
        there = found.get(request.url.path.removeprefix("/airlock"), headers=request.headers)
        return httpx.Response(there.status_code, json=there.json())

    transport = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(answer))
    read = AirflowRest("http://airflow", password, transport).accounts()
    assert (read if read is None else list(read)) == accounts


def test_a_changed_mark_suspends_without_a_click(world: World) -> None:
    others = [
        Account(name, name.title(), frozenset({role}), True)
        for name, role in {"admin": "admin", "sam": "security_auditor"}.items()
    ]
    changed = seen_account("lena", password="reset by somebody")
    known = Account("lena", "Lena", LENA.roles, True, changed)
    assert "lena" in sync.sync(world.store, world.rulebook, [known, *others])
    assert world.actor("lena").roles == frozenset()
