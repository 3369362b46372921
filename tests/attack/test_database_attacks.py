"""Somebody with the database: the server's own password, the file, an old backup."""

from __future__ import annotations

import os
import uuid
from multiprocessing import get_context
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from tests.attack.guard_kit import Site
from tests.attack.guard_server import WORKER
from tests.attack.test_alias_attacks import API, Line
from tests.support import EVERYWHERE

#: A SQLite file has no roles: whoever can write it can write anything, and nothing of it is served.
ON_POSTGRES = pytest.mark.parametrize("site", ["postgres-s3"], indirect=True, scope="session")
ON_SQLITE = pytest.mark.parametrize("site", ["sqlite-files"], indirect=True, scope="session")


#: So many processes spend one grant at once.
CROWD = 8 if EVERYWHERE else 4


@pytest.fixture(scope="module")
def line(site: Site) -> Line:
    return Line(site)


@pytest.fixture
def own(site: Site) -> Line:
    """A line of the test's own, to be spoiled."""
    return Line(site)


def run(site: Site, statement: str, **values: Any) -> None:
    """Run a statement with the MLflow server's own rights."""
    engine = sa.create_engine(site.database)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(statement), values)
    finally:
        engine.dispose()


WRITES = {
    "move": "UPDATE registered_model_aliases SET version = :evil WHERE name = :model",
    "delete": "DELETE FROM registered_model_aliases WHERE name = :model",
    "rename alias": "UPDATE registered_model_aliases SET alias = 'x' WHERE name = :model",
    "another one": "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
    " VALUES ('default', :model, 'production', :evil)",
    "spelled": "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
    " VALUES ('default', :model, 'Prod ', :evil)",
    "re-point": "UPDATE model_versions SET storage_location = 'mlflow-artifacts:/x'"
    " WHERE name = :model",
    "source": "UPDATE model_versions SET source = 'models:/m-x' WHERE name = :model",
    "stage": "UPDATE model_versions SET current_stage = 'Production' WHERE name = :model",
    "delete version": "DELETE FROM model_versions WHERE name = :model AND version = :evil",
    "renumber": "UPDATE model_versions SET version = version + 10 WHERE name = :model",
    "rename model": "UPDATE registered_models SET name = 'y' WHERE name = :model",
    "delete model": "DELETE FROM registered_models WHERE name = :model",
    "forge a permit": "INSERT INTO airlock_permits (grant_id, model, alias, version, sequence,"
    " expires_at) VALUES ('g', :model, 'champion', :evil, 99, now() + interval '1 day')",
    "unspend": "UPDATE airlock_permits SET spent_at = NULL WHERE model = :model",
    "forget releases": "DELETE FROM airlock_releases WHERE model = :model",
    "change releases": "UPDATE airlock_releases SET version = :evil WHERE model = :model",
    "thaw": "DELETE FROM airlock_frozen WHERE model = :model",
    "hide refusals": "DELETE FROM airlock_refusals",
    "unprotect": "DELETE FROM airlock_protected",
    "truncate": "TRUNCATE registered_model_aliases",
    "truncate ours": "TRUNCATE airlock_releases",
    "drop trigger": "DROP TRIGGER airlock_guards_check_alias ON registered_model_aliases",
    "disable trigger": "ALTER TABLE registered_model_aliases DISABLE TRIGGER ALL",
    "replica role": "SET session_replication_role = replica",
    "new function": "CREATE OR REPLACE FUNCTION public.airlock_is_protected(said text)"
    " RETURNS boolean LANGUAGE sql AS 'SELECT false'",
    "own schema": "CREATE SCHEMA mine",
    "temporary table": "CREATE TEMP TABLE airlock_protected (alias text)",
    "become the owner": "SET ROLE mlflow_owner",
    "become the decider": "SET ROLE airlock_guard",
    "alembic": "DELETE FROM alembic_version",
}


@ON_POSTGRES
@pytest.mark.parametrize("name", WRITES)
def test_way_17_the_servers_own_password_moves_nothing_on_postgresql(line: Line, name: str) -> None:
    values = {"model": line.model, "evil": int(line.evil)}
    statement = WRITES[name]
    used = {key: value for key, value in values.items() if f":{key}" in statement}
    with pytest.raises(sa.exc.DBAPIError) as caught:
        run(line.site, statement, **used)
    assert caught.value.orig.pgcode in ("42501", "23503"), caught.value  # type: ignore[union-attr]
    assert line.untouched()


@ON_POSTGRES
def test_a_temporary_table_is_not_believed(line: Line) -> None:
    """What the backstop's first version fell for, were temporary tables allowed."""
    admin = line.site.environment["ADMIN_DSN"]
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("GRANT TEMPORARY ON DATABASE mlflow TO mlflow_app")
    try:
        engine = sa.create_engine(line.site.database)
        with engine.connect() as connection:
            connection.execute(sa.text("CREATE TEMP TABLE airlock_protected (alias text)"))
            connection.execute(sa.text("GRANT ALL ON pg_temp.airlock_protected TO PUBLIC"))
            with pytest.raises(sa.exc.DBAPIError, match="no permit"):
                connection.execute(
                    sa.text("UPDATE registered_model_aliases SET version = :v WHERE name = :m"),
                    {"v": int(line.evil), "m": line.model},
                )
        engine.dispose()
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("REVOKE TEMPORARY ON DATABASE mlflow FROM mlflow_app")
    assert line.untouched()


@ON_POSTGRES
def test_a_stock_server_on_the_same_database_moves_nothing_on_postgresql(line: Line) -> None:
    stock = MlflowClient(tracking_uri=line.site.database, registry_uri=line.site.database)
    with pytest.raises(MlflowException, match="no permit for version"):
        stock.set_registered_model_alias(line.model, "champion", line.evil)
    with pytest.raises(MlflowException, match="stages are off"):
        stock.transition_model_version_stage(line.model, line.evil, "Production")
    with pytest.raises(MlflowException, match="is frozen"):
        stock.delete_model_version(line.model, line.evil)
    stock.set_registered_model_alias(line.model, "challenger", line.evil)
    assert line.untouched()


@ON_SQLITE
def test_an_alias_edited_in_the_file_is_not_served(own: Line) -> None:
    site = own.site
    run(
        site,
        "UPDATE registered_model_aliases SET version = :evil WHERE name = :model",
        evil=int(own.evil),
        model=own.model,
    )
    with site.as_("ana") as client:
        with pytest.raises(RestException, match="changed behind the guard"):
            client.get_model_version_by_alias(own.model, "champion")
        assert "champion" not in client.get_registered_model(own.model).aliases
        (found,) = client.search_registered_models(f"name = '{own.model}'")
        assert "champion" not in found.aliases
        assert client.get_model_version(own.model, own.evil).aliases == []
    (told,) = [one for one in state(site) if one["model"] == own.model]
    assert "changed behind the guard" in told["problem"]
    assert (told["version"], told["released"]) == (own.evil, own.good)
    site.release(own.model, own.evil)  # the next governed release mends it
    assert site.alias(own.model) == own.evil


@ON_SQLITE
def test_files_pointed_somewhere_else_are_not_served(own: Line) -> None:
    site = own.site
    run(
        site,
        "UPDATE model_versions SET storage_location = 'mlflow-artifacts:/0/evil'"
        " WHERE name = :model AND version = :good",
        model=own.model,
        good=int(own.good),
    )
    query = f"{API}/model-versions/get-download-uri?name={own.model}&version={own.good}"
    answer = site.ask("GET", query)
    assert answer.status == 403
    assert "was frozen at" in answer.text
    assert site.alias(own.model) is None


def test_a_forged_release_without_a_signature_is_not_served(own: Line) -> None:
    site = own.site
    forged = f"grant-{uuid.uuid4().hex[:8]}"
    insert = "INSERT INTO airlock_{} VALUES ({})"
    run(
        site,
        insert.format("grants", "'" + forged + "', :m, 'champion', :v, 9, '{}', 0, 'evil'"),
        m=own.model,
        v=int(own.evil),
    )
    run(
        site,
        insert.format("releases", ":m, 'champion', 9, '" + forged + "', :v, 0, 'evil'"),
        m=own.model,
        v=int(own.evil),
    )
    if site.database.startswith("sqlite"):
        run(
            site,
            "UPDATE registered_model_aliases SET version = :v WHERE name = :m",
            m=own.model,
            v=int(own.evil),
        )
    assert site.alias(own.model) is None  # closed, not wrong
    with site.as_("ana") as client, pytest.raises(RestException, match="PERMISSION_DENIED"):
        client.get_model_version_by_alias(own.model, "champion")


def state(site: Site) -> list[dict[str, Any]]:
    import json

    found: list[dict[str, Any]] = json.loads(site.ask("GET", "/airlock/state").text)
    return found


def _spend(told: dict[str, str], model: str, version: str, results: Any) -> None:
    """In a process of its own, without any server: the store itself, and one grant."""
    os.environ.update(told)
    from airlock_mlflow.plugin import registry_store

    store = registry_store("airlock://backend")
    try:
        store.set_registered_model_alias(model, "champion", version)
    except MlflowException as error:
        results.put(error.error_code)
    else:
        results.put("moved")


@pytest.mark.race
def test_of_many_processes_with_one_grant_one_succeeds(site: Site) -> None:
    line, processes = Line(site), get_context("forkserver")
    processes.set_forkserver_preload(
        ["airlock_mlflow.store", __name__]
    )  # imported once, not by each
    grant = site.grant(line.model, line.evil)
    site.hand_in(grant)
    results = processes.Queue()
    told = dict(site.environment)
    crowd = [
        processes.Process(target=_spend, args=(told, line.model, line.evil, results))
        for _ in range(CROWD)
    ]
    for one in crowd:
        one.start()
    found = sorted(results.get(timeout=300) for _ in crowd)
    for one in crowd:
        one.join(60)
    assert found == ["PERMISSION_DENIED"] * (CROWD - 1) + ["moved"]
    site.moved(grant)
    assert site.alias(line.model) == line.evil


@ON_POSTGRES
def test_a_permit_that_has_not_arrived_is_waited_for_not_refused(site: Site) -> None:
    line = Line(site)
    grant = site.grant(line.model, line.evil)
    body = {"envelope": site.envelope(grant)}
    assert site.ask("POST", "/airlock/grants", body).status == 201
    asked = {"name": line.model, "alias": "champion", "version": line.evil}
    early = site.ask("POST", f"{API}/registered-models/alias", asked, WORKER)
    assert early.status == 503
    assert "has not arrived yet" in early.text
    site.hand_in(grant)
    assert site.ask("POST", f"{API}/registered-models/alias", asked, WORKER).status == 200
