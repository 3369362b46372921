"""A database of the MLflow before this one is upgraded, and serves what it served."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config

from airlock_platform.databases.server import Server
from tests.attack.guard_kit import Site, guarded
from tests.attack.guard_server import free_port, migrate, serving
from tests.attack.guard_sites import on_postgres
from tests.support import sample

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


@pytest.mark.parametrize("kind", sample(["postgres", "sqlite"], 2))
def test_an_old_database_serves_what_it_served(kind: str, tmp_path: Path, postgres: Server) -> None:
    options: dict[str, Any] = {}
    if kind == "postgres":
        options = on_postgres(postgres, f"old_{uuid.uuid4().hex[:8]}")
    with guarded(tmp_path, **options) as before:
        good, evil = (before.candidate("fraud", text) for text in (b"good", b"evil"))
        before.release("fraud", good)
    owner = options.get("owner") or before.database
    to_the_old_tables(owner)
    migrate(dict(before.environment) | {"MLFLOW_BACKEND_STORE_URI": owner}, *_roles(options))
    port = free_port()
    with serving(before.environment, port, before.log):
        site = Site(f"http://127.0.0.1:{port}", *_rest(before))
        assert site.alias("fraud") == good
        with site.as_("ana") as client:
            version = client.get_model_version_by_alias("fraud", "champion")
            place = client.get_model_version_download_uri("fraud", version.version)
            with pytest.raises(MlflowException, match="no unspent grant"):
                client.set_registered_model_alias("fraud", "champion", evil)
        files = f"/api/2.0/mlflow-artifacts/artifacts/{place.removeprefix('mlflow-artifacts:/')}"
        assert site.ask("GET", f"{files}/model.skops").text == "good"
        assert site.ask("PUT", f"{files}/model.skops", b"evil").status == 403
        site.release("fraud", evil)
        assert site.alias("fraud") == evil


def _roles(options: dict[str, Any]) -> tuple[str, ...]:
    return tuple(options.get("roles", ()))


def _rest(site: Site) -> tuple[Any, ...]:
    return (
        *(site.folder, site.environment, site.place, site.database, site.signer, site.log),
        *(site.permits, site.sequences, site.serving),
    )
