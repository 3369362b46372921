"""Alembic's environment: one connection, one transaction per migration, as the owner."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from airlock.adapters.sql_store.tables import metadata

engine = create_engine(context.config.attributes["url"])
with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
engine.dispose()
