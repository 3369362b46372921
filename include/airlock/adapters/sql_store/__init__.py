"""Airlock's own database: PostgreSQL, or SQLite for tests and libraries."""

from __future__ import annotations

from airlock.adapters.sql_store.store import SqlStore

__all__ = ["SqlStore"]
