"""An alias changed behind the guard is set back by anybody, but only to what was released last."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from mlflow.exceptions import RestException

from tests.attack.guard_kit import Site
from tests.attack.test_alias_attacks import Line
from tests.attack.test_database_attacks import run

ON_POSTGRES = pytest.mark.parametrize("site", ["postgres-s3"], indirect=True, scope="session")
ON_SQLITE = pytest.mark.parametrize("site", ["sqlite-files"], indirect=True, scope="session")

MOVE = "UPDATE registered_model_aliases SET version = {} WHERE name = '{}'"
DROP = "DELETE FROM registered_model_aliases WHERE name = '{1}'"


@pytest.fixture
def own(site: Site) -> Line:
    """A line of the test's own, to be spoiled."""
    return Line(site)


def behind_the_guard(site: Site, statement: str) -> None:
    """Change the database as only its administrator can: on PostgreSQL with the triggers off."""
    if site.database.startswith("sqlite"):
        run(site, statement)
        return
    with psycopg.connect(site.environment["ADMIN_DSN"]) as connection:
        for word in ("DISABLE", "ENABLE ALWAYS"):
            for name in ("check_alias", "no_truncate"):
                connection.execute(  # the names are ours
                    f"ALTER TABLE registered_model_aliases {word} TRIGGER airlock_guards_{name}"
                )
            if word == "DISABLE":
                connection.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [MOVE, DROP], ids=["moved", "deleted"])
def test_anybody_sets_it_back_to_what_was_released(own: Line, change: str) -> None:
    behind_the_guard(own.site, change.format(own.evil, own.model))
    assert own.site.alias(own.model) is None
    with own.site.as_("ana") as client:
        with pytest.raises(RestException, match="no unspent grant"):
            client.set_registered_model_alias(own.model, "champion", own.evil)
        client.set_registered_model_alias(own.model, "champion", own.good)
    assert own.untouched()


def test_what_is_right_already_is_not_set_back_again(own: Line) -> None:
    with own.site.as_("ana") as client, pytest.raises(RestException, match="no unspent grant"):
        client.set_registered_model_alias(own.model, "champion", own.good)
    assert own.untouched()


def test_nothing_was_released_so_nothing_is_set_back(site: Site) -> None:
    model = f"never-{uuid.uuid4().hex[:8]}"
    version = site.candidate(model)
    insert = "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES"
    behind_the_guard(site, f"{insert} ('default', '{model}', 'champion', {version})")
    with site.as_("ana") as client, pytest.raises(RestException, match="no unspent grant"):
        client.set_registered_model_alias(model, "champion", version)
    assert site.alias(model) is None


@ON_SQLITE
def test_changed_files_are_not_set_back_to(own: Line) -> None:
    behind_the_guard(own.site, MOVE.format(own.evil, own.model))
    spoil(own.site, own.model, own.good)
    with own.site.as_("ana") as client, pytest.raises(RestException, match="somebody changed them"):
        client.set_registered_model_alias(own.model, "champion", own.good)
    assert own.site.alias(own.model) is None


def spoil(site: Site, model: str, version: str) -> None:
    """Overwrite the released file on the disk."""
    with site.as_("ana") as client:
        location = client.get_model_version_download_uri(model, version)
    place = Path(site.place) / location.removeprefix("mlflow-artifacts:/")
    (file,) = place.rglob("model.skops")
    file.write_bytes(b"spoiled")


@ON_POSTGRES
def test_the_servers_own_password_sets_back_to_the_spent_permit_alone(own: Line) -> None:
    """A release row can be written with that password, a permit cannot."""
    site = own.site
    forged = {"m": own.model, "v": int(own.evil), "g": f"grant-forged-{own.model}"}
    run(
        site,
        "INSERT INTO airlock_releases VALUES (:m, 'champion', 99, :g, :v, 0, 'evil')",
        **forged,
    )
    values: dict[str, Any] = {"m": own.model, "v": int(own.evil)}
    update = "UPDATE registered_model_aliases SET version = :v WHERE name = :m"
    with pytest.raises(sa.exc.DBAPIError, match="no permit"):
        run(site, update, **values)
    behind_the_guard(site, MOVE.format(own.evil, own.model))
    run(site, update, m=own.model, v=int(own.good))
    with psycopg.connect(site.environment["ADMIN_DSN"]) as connection:
        query = "SELECT version FROM registered_model_aliases WHERE name = %s"
        assert connection.execute(query, (own.model,)).fetchall() == [(int(own.good),)]
