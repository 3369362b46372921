"""Brings Airlock's own database to the newest schema. Run as its owner, never by the app."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from airlock.domain.errors import Unreachable

#: Where the Alembic scripts live: `include/migrations`.
SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at *url* up to *revision*.

    Raises:
        Unreachable: if the database does not answer.
    """
    try:
        command.upgrade(_config(url), revision)
    except OperationalError as error:
        raise Unreachable(
            f"Airlock's database did not answer: {error.orig}",
            next_step="Start it, or check AIRLOCK_POSTGRES_URL.",
        ) from error


def check(url: str) -> None:
    """Raise alembic's error if the tables in code and the migrations differ."""
    command.check(_config(url))


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["url"] = url
    return config
