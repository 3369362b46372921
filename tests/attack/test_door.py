"""Who gets in, and that nothing starts half-guarded."""

from __future__ import annotations

import http.client
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from fastapi import FastAPI
from fastapi.routing import APIRoute
from requests.adapters import HTTPAdapter
from starlette.routing import Mount

from airlock.adapters.keys import ed25519
from airlock.domain.errors import Invalid
from airlock.domain.people import access_token
from airlock.domain.promotion.grant import PAYLOAD_TYPE, pae
from airlock_mlflow import boot, surface
from airlock_mlflow.guard import Guard
from airlock_mlflow.settings import from_environment
from tests.attack.guard_kit import Site
from tests.attack.guard_server import PROXY, SECRET, WORKER, environment
from tests.attack.test_alias_attacks import API, Line

ON_SQLITE = pytest.mark.parametrize("site", ["sqlite-files"], indirect=True, scope="session")
SEARCH = f"{API}/registered-models/search"


def status(site: Site, **headers: str) -> int:
    return requests.get(f"{site.url}{SEARCH}", headers=headers, timeout=30).status_code


def refusals(site: Site) -> list[dict[str, Any]]:
    """What the guard has written down, asked for by an auditor."""
    headers = {"Authorization": f"Bearer {site.token('sam', 'audit:read')}"}
    answer = requests.get(f"{site.url}/airlock/refusals?limit=1000", headers=headers, timeout=30)
    return list(answer.json())


def basic(name: str, secret: str) -> str:
    return "Basic " + b64encode(f"{name}:{secret}".encode()).decode()


@ON_SQLITE
def test_nobody_gets_in_without_a_login(site: Site) -> None:
    for path in (SEARCH, "/", "/graphql", "/version", "/airlock/state", "/static-files/x", "//"):
        answer = requests.get(f"{site.url}{path}", timeout=30)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    grant = {"envelope": "{}"}
    assert requests.post(f"{site.url}/airlock/grants", json=grant, timeout=30).status_code == 401
    for path in ("/health", "/airlock/health"):
        assert requests.get(f"{site.url}{path}", timeout=30).status_code == 200


@ON_SQLITE
def test_a_token_lets_in_as_bearer_and_as_password(site: Site) -> None:
    token = site.token("ana")
    assert status(site, Authorization=f"Bearer {token}") == 200
    assert status(site, Authorization=basic("ana", token)) == 200
    assert status(site, Authorization=basic(WORKER, SECRET)) == 200


@ON_SQLITE
def test_every_other_token_stays_outside(site: Site) -> None:
    now = datetime.now(UTC)
    ed25519.create(site.folder / "other.pem", site.folder / "other-keys")
    other = ed25519.FileSigner(site.folder / "other.pem")
    forged = access_token.issue("ana", frozenset(), now, other.key_id, other.sign)
    as_ours = access_token.issue("ana", frozenset(), now, site.signer.key_id, other.sign)
    payload, key, _ = site.token("ana").split(".")
    raw = access_token._bytes(payload)
    as_grant = access_token._text(site.signer.sign(pae(PAYLOAD_TYPE, raw)))
    for token in (
        "",
        "x",
        "a.b.c",
        forged,
        as_ours,
        f"{payload}.{key}.{as_grant}",
        site.token("ana") + "x",
        site.token("ana", now=now - timedelta(hours=11)),
        site.token("ana", now=now + timedelta(hours=1)),
        "." * 100,
        "a" * 10_000,
    ):
        assert status(site, Authorization=f"Bearer {token}") == 401, token
    assert status(site, Authorization=basic("bob", site.token("ana"))) == 401
    assert status(site, Authorization=basic(WORKER, "wrong")) == 401
    assert status(site, Authorization=basic(WORKER, "")) == 401
    assert status(site, Authorization="Basic ***") == 401


@ON_SQLITE
def test_a_header_of_a_proxy_that_is_not_configured_is_not_believed(site: Site) -> None:
    headers = {"X-Forwarded-User": "admin", "X-Forwarded-For": "10.0.0.1", "Remote-User": "admin"}
    assert status(site, **headers) == 401


def by(site: Site, source: str, **headers: str) -> int:
    """Ask from another address of this machine; return the status."""
    parts = urlsplit(site.url)
    link = http.client.HTTPConnection(
        str(parts.hostname), parts.port, timeout=30, source_address=(source, 0)
    )
    try:
        link.request("GET", SEARCH, headers=headers)
        return link.getresponse().status
    finally:
        link.close()


@ON_SQLITE
def test_somebody_the_proxy_has_logged_in_is_in_and_is_blamed_by_that_name(site: Site) -> None:
    assert by(site, PROXY) == 401
    assert by(site, PROXY, **{"X-Forwarded-User": "petra"}) == 200
    assert by(site, PROXY, **{"X-Forwarded-User": "pe\ttra"}) == 401
    assert by(site, PROXY, **{"X-Forwarded-User": "p" * 101}) == 401
    line = Line(site)
    body = {"name": line.model, "alias": "champion", "version": line.evil}
    with requests.Session() as session:
        session.mount("http://", FromProxy())
        answer = session.post(
            f"{site.url}{API}/registered-models/alias",
            json=body,
            headers={"X-Forwarded-User": "petra"},
            timeout=30,
        )
    assert answer.status_code == 403
    assert line.untouched()
    (found,) = [one for one in refusals(site) if line.model in one["thing"]]
    assert (found["who"], found["source"]) == ("petra", PROXY)


@ON_SQLITE
def test_only_the_address_itself_makes_a_proxy(site: Site) -> None:
    name = {"X-Forwarded-User": "petra"}
    for more in ({"X-Forwarded-For": PROXY}, {"Forwarded": f"for={PROXY}"}, {"X-Real-IP": PROXY}):
        assert by(site, "127.0.0.1", **name, **more) == 401
        assert by(site, "127.0.0.3", **name, **more) == 401
    assert by(site, PROXY, **name, Authorization=basic(WORKER, "wrong")) == 401


class FromProxy(HTTPAdapter):
    """Speaks from the proxy's address."""

    def init_poolmanager(self, *given: Any, **more: Any) -> Any:
        return super().init_poolmanager(*given, **more, source_address=(PROXY, 0))


def test_refusals_say_who_what_and_from_where_and_only_auditors_read_them(site: Site) -> None:
    line = Line(site)
    body = {"name": line.model, "alias": "champion", "version": line.evil}
    assert site.ask("POST", f"{API}/registered-models/alias", body, "mallory").status == 403
    (found,) = [one for one in refusals(site) if line.model in one["thing"]]
    assert (found["who"], found["source"]) == ("mallory", "127.0.0.1")
    assert (found["what"], found["thing"]) == ("set alias", f"{line.model}@champion")
    assert found["request"] == f"POST {API}/registered-models/alias"
    assert "no unspent grant" in found["why"]
    for person in ("mallory", "admin", WORKER):
        assert site.ask("GET", "/airlock/refusals", None, person).status == 403


# -- it does not start half-guarded ----------------------------------------------------------------

BREAK = {
    "no registry store": ({}, ["--registry-store-uri", "airlock://backend"], []),
    "stock store for files": ({"MLFLOW_ARTIFACTS_DESTINATION": "/x"}, [], []),
    "direct files": ({}, [], ["--default-artifact-root", "/x"]),
    "no keys": ({"AIRLOCK_TRUSTED_KEYS": ""}, [], []),
    "jobs on": ({"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true"}, [], []),
    "gateway on": ({"MLFLOW_ENABLE_AI_GATEWAY": "true"}, [], []),
    "proxies whose addresses can be forged": ({"FORWARDED_ALLOW_IPS": "*"}, [], []),
    "a bad account": ({"AIRLOCK_MLFLOW_ACCOUNTS": "x:short"}, [], []),
    "no security middleware": ({"MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true"}, [], []),
    "files past the server": ({"MLFLOW_ARTIFACTS_PRESIGNED_ONLY": "true"}, [], []),
}
SAID = {
    "no registry store": "--registry-store-uri is not airlock",
    "stock store for files": "--artifacts-destination is neither",
    "direct files": "--default-artifact-root is set",
    "no keys": "AIRLOCK_TRUSTED_KEYS is not set",
    "jobs on": "jobs run code",
    "gateway on": "the gateway calls",
    "proxies whose addresses can be forged": "FORWARDED_ALLOW_IPS",
    "a bad account": "name:secret",
    "no security middleware": "any web page",
    "files past the server": "past the server",
}


@pytest.mark.parametrize("name", BREAK)
def test_it_does_not_start_half_guarded(name: str, tmp_path: Path) -> None:
    """The check the server's worker runs first; test_limits.py starts a whole server."""
    changes, without, more = BREAK[name]
    told = environment(tmp_path, f"sqlite:///{tmp_path}/x.db", f"airlock+file://{tmp_path}/a")
    told |= {
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_FILE_STORE": told["MLFLOW_BACKEND_STORE_URI"],
        "_MLFLOW_SERVER_REGISTRY_STORE": "" if without else "airlock://backend",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": more[1] if more else "mlflow-artifacts:/",
    }
    told |= changes
    told["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = told["MLFLOW_ARTIFACTS_DESTINATION"]
    with pytest.raises(Invalid) as refused:
        boot.check(Guard(from_environment(told)), told)
    assert SAID[name] in refused.value.message


def test_a_method_nobody_has_classified_stops_the_start() -> None:
    found = [*boot._registry_methods(), "promote_model_version"]
    (problem,) = boot.unclassified(found, boot.REGISTRY, "registry operations")
    assert "promote_model_version" in problem
    assert boot.unclassified(boot._registry_methods(), boot.REGISTRY, "x") == []
    assert boot.unclassified(boot._file_methods(), boot.FILES, "x") == []


def test_an_address_nobody_has_classified_stops_the_start() -> None:
    """By whatever it came in: a new router, a new route of a known one, a new older handler."""

    def _promote() -> None: ...

    def router(module: str) -> APIRoute:
        made = APIRoute("/x", lambda: None)
        made.endpoint.__module__, made.endpoint.__qualname__ = module, "promote"
        return made

    for module in ("mlflow.server.new_api", "mlflow.server.artifact_router"):
        assert surface.unclassified([router(module)], []) == [f"{module}.promote"]
    assert surface.unclassified([router("mlflow.server.skill_registry_api")], []) == []
    assert surface.unclassified([Mount("/new", FastAPI())], []) != []
    assert surface.unclassified([], [_promote]) == [_promote.__qualname__]
    assert list(boot._addresses_of_mlflow()) == []
    assert not [name for name in surface.ON_HANDLERS if surface.OFF_HANDLERS.search(name)]
