"""Brings Airlock's own database to the newest schema. Run as its owner, never by the app."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from airlock.domain.errors import Refused, Unreachable

#: Where the Alembic scripts live: `include/migrations`.
SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at *url* up to *revision*.

    Raises:
        Unreachable: if the database does not answer.
        Refused: if newer code has migrated it further than this code knows.
    """
    config = _config(url)
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        head = ScriptDirectory.from_config(config).get_current_head()
        raise Refused(
            f"Airlock's database is not one this code can migrate, whose newest is {head}: {error}",
            next_step="Use the newer version again, or put the back-up from before it back "
            "(docs/howto/upgrade.md).",
        ) from error
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
