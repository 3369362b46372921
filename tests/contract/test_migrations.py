"""The migrations build exactly the tables the code uses, there and back again."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from sqlalchemy import create_engine, inspect

from airlock.adapters.sql_migrations import _config, check, upgrade
from tests.contract.conftest import Database


def test_the_migrations_and_the_tables_in_code_agree(database: Database) -> None:
    check(database.urls.get("airlock_owner", database.urls["airlock_decider"]))


def test_upgrading_twice_is_harmless(database: Database) -> None:
    upgrade(database.urls.get("airlock_owner", database.urls["airlock_decider"]))


def test_down_and_up_again(database: Database, tmp_path: Path) -> None:
    url = database.urls.get("airlock_owner", database.urls["airlock_decider"])
    command.downgrade(_config(url), "base")
    assert set(inspect(create_engine(url)).get_table_names()) == {"alembic_version"}
    upgrade(url)
    check(url)
