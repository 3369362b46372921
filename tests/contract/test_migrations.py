"""The migrations build exactly the tables the code uses, there and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect, text

from airlock.adapters.sql_migrations import _config, check, upgrade
from airlock.domain.errors import Refused
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


def test_a_database_newer_code_has_migrated_is_refused_in_one_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/newer.db"
    upgrade(url)
    with create_engine(url).begin() as work:
        work.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match="9999") as refused:
        upgrade(url)
    assert "back-up" in refused.value.next_step
