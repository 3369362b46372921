"""A database of the MLflow before this one is upgraded, and serves what it served."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config

from airlock_platform.databases.server import Server
from tests.attack.guard_kit import Site
from tests.attack.guard_server import free_port, migrate, serving
from tests.attack.guard_sites import cut_off, on_postgres

#: The newest migration of MLflow 3.17.2, from which an upgrade to the pinned version starts.
OLD = "dc11669786a5"


def to_the_old_tables(url: str) -> None:
    config = _get_alembic_config(url)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, OLD)
    assert "skills" not in sa.inspect(engine).get_table_names()
    engine.dispose()


def test_an_old_database_serves_what_it_served(
    site: Site, tmp_path: Path, postgres: Server
) -> None:
    model = f"fraud-{uuid.uuid4().hex[:8]}"
    good, evil = (site.candidate(model, text) for text in (b"good", b"evil"))
    site.release(model, good)
    options = copied(site, tmp_path, postgres)
    owner = options.get("owner") or options["database"]
    to_the_old_tables(owner)
    environment = {**site.environment, "MLFLOW_BACKEND_STORE_URI": options["database"]}
    migrate(environment | {"MLFLOW_BACKEND_STORE_URI": owner}, *options.get("roles", ()))
    port, log = free_port(), tmp_path / "mlflow.log"
    with serving(environment, port, log):
        permits = options.get("permits")
        site = replace(site, url=f"http://127.0.0.1:{port}", log=log, permits=permits)
        assert site.alias(model) == good
        with site.as_("ana") as client:
            version = client.get_model_version_by_alias(model, "champion")
            place = client.get_model_version_download_uri(model, version.version)
            with pytest.raises(MlflowException, match="no unspent grant"):
                client.set_registered_model_alias(model, "champion", evil)
        files = f"/api/2.0/mlflow-artifacts/artifacts/{place.removeprefix('mlflow-artifacts:/')}"
        assert site.ask("GET", f"{files}/model.skops").text == "good"
        assert site.ask("PUT", f"{files}/model.skops", b"evil").status == 403
        site.release(model, evil)
        assert site.alias(model) == evil


def copied(site: Site, folder: Path, postgres: Server) -> dict[str, Any]:
    """Copy the database of a site; return how a server uses the copy."""
    if not site.database.startswith("sqlite"):
        with cut_off(site.environment["HOME_DSN"]):
            return on_postgres(postgres, f"old_{uuid.uuid4().hex[:8]}", template="mlflow")
    copy = folder / "mlflow.db"
    with sa.create_engine(site.database).connect() as source:
        source.execute(sa.text("VACUUM INTO :path"), {"path": str(copy)})
    return {"database": f"sqlite:///{copy}"}
