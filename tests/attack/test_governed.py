"""Airlock's own way through the guard: promote, resume after a crash, roll back, permits."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from airlock.adapters.mlflow import MlflowRegistry
from airlock.adapters.mlflow.guard_client import NoGuard
from airlock.adapters.mlflow.guard_database import GuardDatabase
from airlock.domain.errors import Refused, Unreachable
from airlock_mlflow.guard import Guard
from airlock_mlflow.settings import GuardSettings
from airlock_platform.components import MLFLOW_WORKER, components
from airlock_platform.databases.server import Server
from airlock_platform.guard import migrate
from airlock_platform.paths import Site as PlatformSite
from airlock_platform.processes.supervisor import base_environment
from tests.attack.guard_kit import ON_ALL_PAIRS, Site
from tests.attack.guard_server import WORKER
from tests.support import rounds

ON_POSTGRES = pytest.mark.parametrize("site", ["postgres-s3"], indirect=True, scope="session")


def two(site: Site) -> tuple[str, str, str]:
    model = f"line-{uuid.uuid4().hex[:8]}"
    return model, site.candidate(model), site.candidate(model, b"second")


def promote(site: Site, model: str, version: str) -> str:
    grant = site.grant(model, version)
    if site.permits:
        site.permits(grant)
    envelope = site.envelope(grant)
    with site.as_(WORKER):
        MlflowRegistry(site.url).set_alias(model, "champion", version, envelope)
    site.moved(grant)
    return envelope


@ON_ALL_PAIRS
def test_promoting_and_going_back_through_the_adapter(site: Site) -> None:
    model, one, other = two(site)
    for version in (one, other, one):
        promote(site, model, version)
        assert site.alias(model) == version


@pytest.mark.race
def test_whoever_reads_while_a_release_comes_is_never_refused(site: Site) -> None:
    model, one, other = two(site)
    promote(site, model, one)
    path = f"/api/2.0/mlflow/registered-models/alias?name={model}&alias=champion"
    done = threading.Event()

    def reads() -> set[int]:
        found = set()
        while not done.is_set():
            found.add(site.ask("GET", path, None, WORKER).status)
        return found

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(reads) for _ in range(3)]
        try:
            for version in (other, one) * rounds(1, 3):
                promote(site, model, version)
        finally:
            done.set()
        assert [one.result() for one in readers] == [{200}] * 3


@ON_ALL_PAIRS
def test_the_same_attempt_may_be_repeated_after_a_crash(site: Site) -> None:
    model, one, _ = two(site)
    envelope = promote(site, model, one)
    with site.as_(WORKER):
        registry = MlflowRegistry(site.url)
        registry.set_alias(model, "champion", one, envelope)
        registry.set_alias(model, "champion", one, envelope)
    assert site.alias(model) == one


@ON_ALL_PAIRS
def test_a_grant_that_was_overtaken_is_refused(site: Site) -> None:
    model, one, other = two(site)
    envelope = promote(site, model, one)
    promote(site, model, other)
    with site.as_(WORKER), pytest.raises(Refused, match="no unspent grant"):
        MlflowRegistry(site.url).set_alias(model, "champion", one, envelope)
    assert site.alias(model) == other


def test_a_forged_grant_is_refused_by_the_adapters_way_too(site: Site) -> None:
    model, one, _ = two(site)
    envelope = site.envelope(site.grant(model, one)).replace("keyid", "keyid", 1)
    broken = envelope[:-10] + ("A" if envelope[-10] != "A" else "B") + envelope[-9:]
    with site.as_(WORKER), pytest.raises(Refused):
        MlflowRegistry(site.url).set_alias(model, "champion", one, broken)
    assert site.alias(model) is None


@ON_POSTGRES
def test_the_decider_writes_permits_and_can_do_nothing_else(site: Site, postgres: Server) -> None:
    import sqlalchemy as sa

    model, one, _ = two(site)
    permits = GuardDatabase(postgres.url("airlock_guard"))
    grant = site.grant(model, one)
    permits.write(grant)
    permits.write(grant)
    (there,) = [one for one in permits.all() if one.grant == grant.id]
    assert (there.model, there.version, there.ended) == (model, one, False)
    with pytest.raises(Refused, match="no number"):
        permits.write(replace(grant, version="x"))
    engine = sa.create_engine(postgres.url("airlock_guard"))
    for statement in (
        "UPDATE airlock_permits SET version = 9",
        "DELETE FROM airlock_permits",
        "INSERT INTO airlock_permits (grant_id, model, alias, version, sequence, expires_at,"
        " spent_at) VALUES ('x', 'm', 'champion', 1, 1, now(), now())",
        "UPDATE registered_model_aliases SET version = 9",
        "SELECT * FROM airlock_grants",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="denied"), engine.begin() as work:
            work.execute(sa.text(statement))
    engine.dispose()
    with pytest.raises(Unreachable, match="could not be written"):
        GuardDatabase("postgresql+psycopg://airlock_guard:x@127.0.0.1:9/mlflow").write(grant)


def test_an_mlflow_without_a_guard_is_not_trusted_with_a_promotion(
    site: Site, unguarded: str
) -> None:
    model, one, _ = two(site)
    envelope = site.envelope(site.grant(model, one))
    with pytest.raises(NoGuard, match="has no guard"):
        MlflowRegistry(unguarded).set_alias(model, "champion", one, envelope)


@ON_POSTGRES
def test_the_platforms_own_mlflow_is_guarded(site: Site, postgres: Server, tmp_path: Path) -> None:
    """The process `airlock up` runs, from the same description, against the same roles."""
    import os
    import subprocess
    import sys

    import requests

    from airlock.adapters.keys import ed25519
    from tests.attack.guard_server import free_port, wait_healthy
    from tests.support import ROOT

    programs = Path(sys.executable).parent
    migrate(postgres, programs / "python", ROOT / "include", "", base_environment(programs))
    ed25519.create(tmp_path / "signing.pem", tmp_path / "keys")
    secrets = dict.fromkeys(("fernet_key", "jwt_secret", "api_secret_key"), "x")
    port = free_port()
    described = PlatformSite(
        root=str(ROOT),
        home=str(tmp_path),
        config_dir="",
        data_dir="",
        urls=postgres.urls(),
        secrets=secrets | {"mlflow_worker": "w" * 20},
        mlflow_port=port,
    )
    part = next(one for one in components(described) if one.name == "mlflow")
    told = base_environment(programs) | part.environment
    told["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / part.command[0], *part.command[1:]],
            env=told,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
        try:
            wait_healthy(part.probe.target, server, tmp_path / "log")
            search = f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/search"
            login = (MLFLOW_WORKER, "w" * 20)
            assert requests.get(search, timeout=30).status_code == 401
            assert requests.get(search, timeout=30, auth=login).status_code == 200
        finally:
            server.terminate()
            server.wait(30)


@ON_POSTGRES
def test_what_the_database_protects_the_guard_protects_too(site: Site) -> None:
    settings = GuardSettings(database=site.database, destination="x", keys=site.folder / "keys")
    with psycopg.connect(site.environment["ADMIN_DSN"], autocommit=True) as owner:
        owner.execute("INSERT INTO airlock_protected VALUES ('blessed')")
        try:
            guard = Guard(settings)
            assert guard.aliases.protected == {"blessed", "champion", "prod", "production"}
            guard.engine.dispose()
        finally:
            owner.execute("DELETE FROM airlock_protected WHERE alias = 'blessed'")
