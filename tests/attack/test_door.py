"""Who gets in, what ordinary client code can do, and what the guard does when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import requests
from mlflow.exceptions import RestException

from airlock.adapters import ed25519_keys
from airlock.domain import access_token
from airlock.domain.grant import PAYLOAD_TYPE, pae
from tests.attack.guard_kit import Site, guarded
from tests.attack.guard_server import SECRET, WORKER, command, environment, free_port
from tests.attack.test_alias_attacks import API, Line
from tests.support import short_folder

ON_SQLITE = pytest.mark.parametrize("site", ["sqlite-files"], indirect=True, scope="session")
SEARCH = f"{API}/registered-models/search"


def status(site: Site, **headers: str) -> int:
    return requests.get(f"{site.url}{SEARCH}", headers=headers, timeout=30).status_code


def basic(name: str, secret: str) -> str:
    return "Basic " + b64encode(f"{name}:{secret}".encode()).decode()


@ON_SQLITE
def test_nobody_gets_in_without_a_login(site: Site) -> None:
    for path in (SEARCH, "/", "/graphql", "/version", "/airlock/state", "/static-files/x", "//"):
        answer = requests.get(f"{site.url}{path}", timeout=30)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
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
    ed25519_keys.create(site.folder / "other.pem", site.folder / "other-keys")
    other = ed25519_keys.FileSigner(site.folder / "other.pem")
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


def test_refusals_say_who_what_and_from_where_and_only_auditors_read_them(site: Site) -> None:
    line = Line(site)
    body = {"name": line.model, "alias": "champion", "version": line.evil}
    assert site.ask("POST", f"{API}/registered-models/alias", body, "mallory").status == 403
    answer = requests.get(
        f"{site.url}/airlock/refusals?limit=1000",
        headers={"Authorization": f"Bearer {site.token('sam', 'audit:read')}"},
        timeout=30,
    )
    (found,) = [one for one in answer.json() if line.model in one["thing"]]
    assert (found["who"], found["source"]) == ("mallory", "127.0.0.1")
    assert (found["what"], found["thing"]) == ("set alias", f"{line.model}@champion")
    assert found["request"] == f"POST {API}/registered-models/alias"
    assert "no unspent grant" in found["why"]
    for person in ("mallory", "admin", WORKER):
        assert site.ask("GET", "/airlock/refusals", None, person).status == 403


# -- ordinary client code --------------------------------------------------------------------------


def test_ordinary_client_code_works_unchanged(site: Site, tmp_path: Path) -> None:
    name = f"plain-{uuid.uuid4().hex[:8]}"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"w" * 1000)
    with site.as_("ana") as client:
        experiment = client.create_experiment(name)
        run = client.create_run(experiment)
        client.log_param(run.info.run_id, "depth", 3)
        client.log_metric(run.info.run_id, "auc", 0.9)
        client.log_artifacts(run.info.run_id, str(tmp_path / "model"), "model")
        client.set_tag(run.info.run_id, "team", "risk")
        logged = client.create_logged_model(experiment, source_run_id=run.info.run_id)
        client.log_model_artifacts(logged.model_id, str(tmp_path / "model"))
        client.finalize_logged_model(logged.model_id, "READY")
        client.create_registered_model(name, tags={"team": "risk"}, description="x")
        uri = f"{run.info.artifact_uri}/model"
        one = client.create_model_version(name, uri, run_id=run.info.run_id)
        two = client.create_model_version(
            name, f"models:/{logged.model_id}", model_id=logged.model_id, tags={"a": "b"}
        )
        three = client.create_model_version(
            name, f"runs:/{run.info.run_id}/model", run_id=run.info.run_id
        )
        client.set_model_version_tag(name, one.version, "checked", "yes")
        client.delete_model_version_tag(name, one.version, "checked")
        client.set_registered_model_tag(name, "owner", "ana")
        client.delete_registered_model_tag(name, "owner")
        client.update_registered_model(name, "another")
        client.update_model_version(name, one.version, "first")
        for alias in ("challenger", "staging", "Candidate_2", "first"):
            client.set_registered_model_alias(name, alias, two.version)
        client.delete_registered_model_alias(name, "staging")
        assert client.get_model_version_by_alias(name, "challenger").version == two.version
        assert set(client.get_registered_model(name).aliases) == {
            "challenger",
            "Candidate_2",
            "first",
        }
        assert len(client.search_model_versions(f"name = '{name}'")) == 3
        assert client.search_registered_models(f"name = '{name}'")[0].name == name
        assert client.get_latest_versions(name)[0].version == three.version
        into = tmp_path / "back"
        into.mkdir()
        client.download_artifacts(run.info.run_id, "model", str(into))
        assert (into / "model" / "weights").read_bytes() == b"w" * 1000
        client.delete_model_version(name, one.version)
        client.rename_registered_model(name, f"{name}-b")
        client.delete_registered_model(f"{name}-b")
        client.delete_run(run.info.run_id)
        with pytest.raises(RestException, match="RESOURCE_DOES_NOT_EXIST"):
            client.get_registered_model(name)


def test_prompts_work_and_their_protected_aliases_are_protected_too(site: Site) -> None:
    name = f"prompt-{uuid.uuid4().hex[:8]}"
    with site.as_("ana") as client:
        made = client.register_prompt(name, "Hello {{name}}")
        client.set_prompt_alias(name, "draft", made.version)
        assert client.get_prompt_version_by_alias(name, "draft").template == "Hello {{name}}"
        with pytest.raises(RestException, match="PERMISSION_DENIED"):
            client.set_prompt_alias(name, "production", made.version)


# -- a guard that is broken is closed --------------------------------------------------------------


@pytest.fixture(scope="module")
def fragile() -> Iterator[Site]:
    """A guarded server of one's own, to be broken."""
    folder = short_folder("fragile")
    try:
        with guarded(Path(folder)) as site:
            yield site
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.chaos
def test_without_readable_keys_nothing_passes_and_it_says_so_and_recovers(fragile: Site) -> None:
    line = Line(fragile)
    grant = fragile.grant(line.model, line.evil)
    keys, away = fragile.folder / "keys", fragile.folder / "away"
    keys.rename(away)
    try:
        assert fragile.ask("GET", SEARCH).status == 503  # a person's token cannot be checked
        answer = fragile.hand_in(grant)
        assert answer.status == 503
        assert "keys cannot be read" in answer.text
        found = fragile.ask("GET", "/airlock/health", None, "")
        assert (found.status, "keys cannot be read" in found.text) == (503, True)
        path = f"{API}/registered-models/alias?name={line.model}&alias=champion"
        assert fragile.ask("GET", path, None, WORKER).status == 503
    finally:
        away.rename(keys)
    assert fragile.ask("GET", "/airlock/health", None, "").status == 200
    assert fragile.hand_in(grant).status == 201
    assert line.untouched()


@pytest.mark.chaos
@pytest.mark.parametrize("site", ["postgres-s3"], indirect=True, scope="session")
def test_without_its_database_nothing_passes_and_it_says_so_and_recovers(site: Site) -> None:
    line = Line(site)
    grant = site.grant(line.model, line.evil)
    with site.as_(WORKER) as client:
        location = client.get_model_version_download_uri(line.model, line.good)
    folder = location.removeprefix("mlflow-artifacts:/")
    alias = {"name": line.model, "alias": "champion", "version": line.evil}
    assert site.hand_in(grant).status == 201
    admin = psycopg.connect(site.environment["HOME_DSN"], autocommit=True)
    admin.execute("ALTER DATABASE mlflow ALLOW_CONNECTIONS false")
    try:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", ["mlflow"]
        )
        path = f"/api/2.0/mlflow-artifacts/artifacts/{folder}/model.skops"
        for method in ("PUT", "DELETE"):
            closed = site.ask(method, path, b"evil")
            assert closed.status == 503, closed.text
            assert "database does not answer" in closed.text
        for answer in (
            site.ask("GET", "/airlock/health", None, ""),
            site.ask("POST", f"{API}/registered-models/alias", alias, WORKER),
            site.ask("POST", "/airlock/freeze", {"model": line.model, "version": "1"}),
        ):
            assert answer.status == 503, answer.text
    finally:
        admin.execute("ALTER DATABASE mlflow ALLOW_CONNECTIONS true")
        admin.close()
    assert site.ask("GET", "/airlock/health", None, "").status == 200
    assert line.untouched()
    assert site.ask("POST", f"{API}/registered-models/alias", alias, WORKER).status == 200
    site.moved(grant)
    assert site.alias(line.model) == line.evil


# -- it does not start half-guarded ----------------------------------------------------------------

BREAK = {
    "no registry store": ({}, ["--registry-store-uri", "airlock://backend"], []),
    "stock store for files": ({"MLFLOW_ARTIFACTS_DESTINATION": "/x"}, [], []),
    "direct files": ({}, [], ["--default-artifact-root", "/x"]),
    "no keys": ({"AIRLOCK_TRUSTED_KEYS": ""}, [], []),
    "jobs on": ({"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true"}, [], []),
    "gateway on": ({"MLFLOW_ENABLE_AI_GATEWAY": "true"}, [], []),
    "proxies whose addresses can be forged": ({"AIRLOCK_MLFLOW_PROXIES": "10.0.0.1"}, [], []),
    "a bad account": ({"AIRLOCK_MLFLOW_ACCOUNTS": "x:short"}, [], []),
    "no security middleware": ({"MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true"}, [], []),
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
}


@pytest.mark.parametrize("name", BREAK)
def test_it_does_not_start_half_guarded(name: str, tmp_path: Path) -> None:
    """The check itself, as the server's worker runs it; a whole server is started once below."""
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
    script = "from airlock_mlflow.app import create_app; create_app()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=told, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert SAID[name] in done.stderr, done.stderr[-2000:]


def test_a_server_without_the_guards_tables_does_not_start(tmp_path: Path) -> None:
    told = environment(tmp_path, f"sqlite:///{tmp_path}/x.db", f"airlock+file://{tmp_path}/a")
    ed25519_keys.create(tmp_path / "signing.pem", tmp_path / "keys")
    done = subprocess.run(
        command(free_port()), env=told, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert "python -m airlock_mlflow.schema" in done.stderr


def test_a_method_nobody_has_classified_stops_the_start() -> None:
    from airlock_mlflow import boot

    found = [*boot._registry_methods(), "promote_model_version"]
    (problem,) = boot.unclassified(found, boot.REGISTRY, "registry operations")
    assert "promote_model_version" in problem
    assert boot.unclassified(boot._registry_methods(), boot.REGISTRY, "x") == []
    assert boot.unclassified(boot._file_methods(), boot.FILES, "x") == []
