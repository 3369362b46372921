"""The plugin: exactly one, nothing shadowed, no route without a login, broken means 503."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from typing import Any

import httpx
import pytest

from airlock.domain.errors import Invalid
from tests.airflow.harness import RunningPlatform
from tests.support import ROOT

_LOOK = """
import json, sys
import mlflow
before = mlflow.__file__
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [p.name for p in plugins if "PLUGINS_FOLDER" in str(p.source)]
own = "/plugins/"
import airflow_local_settings
policies = airflow_local_settings.__all__
shadows = [name for name, module in sys.modules.items()
    if own in (getattr(module, "__file__", "") or "")
    and not name.startswith("airlock_airflow") and name != "airlock_plugin"]
print(json.dumps([ours, errors, shadows, policies, sys.modules["mlflow"].__file__ == before]))
"""


def test_there_is_one_plugin_and_it_shadows_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_LOOK)],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    plugins, errors, shadows, policies, same = json.loads(done.stdout.strip().splitlines()[-1])
    assert (plugins, errors, same) == (["airlock"], {}, True), done.stdout
    # Airflow's own name for cluster policies. Each name of its `__all__` replaces one of Airflow's.
    assert (shadows, policies) == (["airflow_local_settings"], ["task_policy"]), done.stdout


def test_a_component_without_airlocks_settings_still_loads_the_plugin() -> None:
    code = "import airlock_plugin, sys; print('airlock.bootstrap' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "False", done.stderr


def test_a_broken_configuration_is_told_and_heals() -> None:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.testclient import TestClient

    from airlock_airflow.mounting import MountedApp

    tries: list[int] = []

    def build() -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise Invalid("policies/risk.yaml, line 3: found 5", next_step="Mend the file.")
        return PlainTextResponse("works")

    root = Starlette()
    root.mount("/airlock", MountedApp(build))
    client = TestClient(root)
    for _ in range(2):
        answer = client.get("/airlock/releases")
        assert answer.status_code == 503
        assert answer.json()["detail"] == "policies/risk.yaml, line 3: found 5"
        assert answer.json()["nextStep"] == "Mend the file."
    assert client.get("/airlock/releases").text == "works"
    assert client.get("/airlock/releases").text == "works"
    assert len(tries) == 3, "built once"


def test_airflow_shows_the_page_to_everybody(platform: RunningPlatform) -> None:
    for user in ("ana", "lena", "vera", "sam"):
        found = platform.airflow.get("plugins", user=user)["plugins"]
        ours = next(plugin for plugin in found if plugin["name"] == "airlock")
        views = {(view["name"], view["destination"]) for view in ours["external_views"]}
        assert ("Releases", "nav") in views
    assert platform.airflow.get("plugins/importErrors")["import_errors"] == []


@pytest.mark.attack
def test_no_route_answers_anybody_who_is_not_logged_in(platform: RunningPlatform) -> None:
    document = platform.airflow.as_user("ana").get("/airlock/api/openapi.json").json()
    routes = [(verb, path) for path, verbs in document["paths"].items() for verb in verbs]
    assert len(routes) > 5
    routes += [("get", path) for path in ("/", "/releases", "/releases/rel-1", "/nothing", "/docs")]
    for verb, path in routes:
        if path.endswith("/health"):
            continue
        url = f"{platform.airflow.url}/airlock{re.sub('{.*?}', 'x', path)}"
        for headers in ({}, {"Authorization": "Bearer x"}, {"Cookie": "_token=x"}):
            answer = httpx.request(verb, url, headers=headers, timeout=30)
            assert answer.status_code == 401, (verb, path, headers, answer.text[:200])


def test_who_is_logged_in_is_read_from_airflow_with_the_roles_held_now(
    platform: RunningPlatform,
) -> None:
    me = platform.airflow.as_user("lena").get("/airlock/api/v1/me").json()
    assert (me["id"], me["roles"]) == ("lena", ["algorithm_lead"])


@pytest.mark.attack
def test_a_deactivated_account_is_out_at_once(platform: RunningPlatform) -> None:
    client = platform.airflow.as_user("luis")
    assert client.get("/airlock/api/v1/me").status_code == 200
    _set_active(platform, "luis", active=False)
    try:
        assert client.get("/airlock/api/v1/me").status_code == 401
    finally:
        _set_active(platform, "luis", active=True)
    assert client.get("/airlock/api/v1/me").status_code == 200


def _set_active(platform: RunningPlatform, user: str, *, active: bool) -> None:
    import psycopg
    from sqlalchemy.engine import make_url

    url = make_url(platform.url("airflow_app"))
    with psycopg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database
    ) as connection:
        connection.execute("UPDATE ab_user SET active = %s WHERE username = %s", (active, user))


def _environment() -> dict[str, str]:
    import os

    kept = {name: os.environ[name] for name in os.environ if name.startswith(("AIRFLOW", "PATH"))}
    return kept | {
        "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins",
        "HOME": os.environ["AIRFLOW_HOME"],
    }
