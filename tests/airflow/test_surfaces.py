"""The three doors on a real Airflow: its own login, its tokens, its cookie."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import open_release

ANONYMOUS = [
    ("GET", "/releases"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/v1/me"),
    ("GET", "/api/v1/releases"),
    ("GET", "/api/v1/audit/events"),
    ("POST", "/api/v1/releases/rel-1/votes"),
    ("GET", "/docs"),
]


def command(platform: RunningPlatform, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / "airlock")
    return subprocess.run(
        [program, *arguments],
        cwd=platform.platform.options.root,
        env=platform.env,
        capture_output=True,
        text=True,
        timeout=120,
    )


def answer(platform: RunningPlatform, release_id: str, user: str) -> httpx.Response:
    """Approve by REST what is open now."""
    http = platform.airflow.as_user(user)
    view = http.get(f"/airlock/api/v1/releases/{release_id}").json()
    body = {
        "decision": "approve",
        "reason": "looked at the numbers",
        "level": view["level"],
        "round": view["round"],
        "subjectDigest": view["subject"]["digest"],
    }
    return http.post(f"/airlock/api/v1/releases/{release_id}/votes", json=body)


@pytest.mark.parametrize(("method", "path"), ANONYMOUS)
def test_nothing_answers_without_a_login(platform: RunningPlatform, method: str, path: str) -> None:
    found = httpx.request(method, f"{platform.airflow.url}/airlock{path}", timeout=30)
    assert found.status_code == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."])
def test_a_token_that_is_none_is_no_login(platform: RunningPlatform, token: str) -> None:
    found = httpx.get(
        f"{platform.airflow.url}/airlock/api/v1/me",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert found.status_code == 401


def test_airflows_roles_are_airlocks_roles(platform: RunningPlatform) -> None:
    roles = {
        "ana": ["developer"],
        "lena": ["algorithm_lead"],
        "carla": ["compliance_officer"],
        "mara": ["risk_committee"],
        "sam": ["security_auditor"],
        "vera": ["viewer"],
        "admin": ["admin"],
    }
    for user, expected in roles.items():
        me = platform.airflow.as_user(user).get("/airlock/api/v1/me").json()
        assert (me["id"], me["roles"]) == (user, expected)
    service = platform.airflow.as_user("airlock-service").get("/airlock/api/v1/releases")
    assert service.status_code == 403


def test_a_release_is_approved_by_rest_page_and_command(platform: RunningPlatform) -> None:
    release_id = open_release(platform, "surfaces")
    assert answer(platform, release_id, "lena").status_code == 201
    said = command(
        platform, "release", "approve", release_id, "--as", "carla", "--reason", "complies"
    )
    assert said.returncode == 0, said.stderr
    assert "carla approved level 2" in said.stdout
    assert answer(platform, release_id, "mara").status_code == 201
    last = answer(platform, release_id, "milo")
    assert (last.json()["state"], last.json()["grant"]) == ("APPROVED", None)
    channels = {v["channel"] for level in last.json()["levels"] for v in level["votes"]}
    assert channels == {"api", "cli"}
    verified = command(platform, "audit", "verify", "--as", "sam", "--json")
    assert json.loads(verified.stdout)["ok"] is True, verified.stdout


@pytest.mark.parametrize("user", ["ana", "vera", "admin", "carla"])
def test_a_refusal_is_the_same_by_rest_and_command(platform: RunningPlatform, user: str) -> None:
    release_id = open_release(platform, "surfaces")
    refused = answer(platform, release_id, user)
    assert refused.status_code == 403
    said = command(platform, "release", "approve", release_id, "--as", user, "--reason", "please")
    assert said.returncode == 1
    assert said.stderr.splitlines()[0] == refused.json()["detail"]


def test_pipelines_are_listed_through_airflow(platform: RunningPlatform) -> None:
    said = command(platform, "pipeline", "list", "--as", "ana", "--json")
    assert said.returncode == 0, said.stderr
    names = {row["name"] for row in json.loads(said.stdout)["pipelines"]}
    assert {"employment", "doctor-visits"} <= names
    assert "airlock_promote" not in names
    refused = command(platform, "pipeline", "run", "employment", "--as", "vera")
    assert refused.returncode == 1


def test_promote_without_approval_is_refused_with_the_reason(platform: RunningPlatform) -> None:
    release_id = open_release(platform, "surfaces")
    said = command(platform, "release", "promote", release_id, "--as", "ana")
    assert said.returncode == 1, said.stderr
    assert "has no grant, so nothing may be promoted" in said.stderr
    logs = command(platform, "pipeline", "logs", "airlock_promote", "--as", "ana", "--json")
    assert logs.returncode == 0, logs.stderr
    told = json.loads(logs.stdout)["tasks"]
    assert [line for task in told for line in task["lines"] if "has no grant" in line]
