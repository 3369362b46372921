"""Create the guard's tables: `python -m airlock_mlflow.schema`, as the database's owner.

It also creates or upgrades MLflow's own tables, because the server itself runs in a role that owns
nothing. Safe to repeat. The database is named by MLFLOW_BACKEND_STORE_URI, here in the owner's
role; on PostgreSQL `--app-role` and `--guard-role` name who runs the server and who writes permits.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import sqlalchemy as sa

from airlock.domain.errors import AirlockError, Invalid
from airlock.domain.promotion.grant import PROTECTED
from airlock_mlflow import backstop
from airlock_mlflow.settings import ALIASES
from airlock_mlflow.tables import METADATA


def create(
    database: str, protected: Sequence[str] = (), app_role: str = "", guard_role: str = ""
) -> None:
    """Create or upgrade MLflow's tables and the guard's; on PostgreSQL the backstop as well.

    Raises:
        Invalid: if only one of the two roles is named.
    """
    from mlflow.store.db.utils import _all_tables_exist, _initialize_tables, _upgrade_db

    engine = sa.create_engine(database)
    try:
        if _all_tables_exist(engine):
            _upgrade_db(engine)
        else:
            _initialize_tables(engine)
        METADATA.create_all(engine)
        if bool(app_role) != bool(guard_role):
            raise Invalid("the backstop needs both roles: --app-role and --guard-role")
        if app_role and engine.dialect.name == "postgresql":
            with engine.begin() as connection:
                chosen = sorted(protected or PROTECTED)
                backstop.install(connection, chosen, app_role, guard_role)
    finally:
        engine.dispose()


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; report an error in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m airlock_mlflow.schema", description=__doc__)
    parser.add_argument("--app-role", default="")
    parser.add_argument("--guard-role", default="")
    chosen = parser.parse_args(arguments)
    database = os.environ.get("MLFLOW_BACKEND_STORE_URI", "")
    aliases = [alias.strip() for alias in os.environ.get(ALIASES, "").split(",") if alias.strip()]
    try:
        if not database:
            raise Invalid("MLFLOW_BACKEND_STORE_URI is not set: which database is it?")
        create(database, aliases, chosen.app_role, chosen.guard_role)
    except (AirlockError, sa.exc.SQLAlchemyError) as error:
        sys.stderr.write(f"{str(error).strip().splitlines()[0]}\n")
        return getattr(error, "exit_code", 3)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
