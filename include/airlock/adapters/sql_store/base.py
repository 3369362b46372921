"""What every part of a transaction shares: the connection and the database's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, select, text
from sqlalchemy.dialects import postgresql, sqlite

from airlock.domain.clock import stamp


class Base:
    """A connection with an open transaction."""

    def __init__(self, connection: Connection) -> None:
        """Take over *connection*; the unit closes it."""
        self._connection = connection

    @property
    def _is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"

    def now(self) -> datetime:
        """Return the database's clock now, not the transaction's start."""
        if self._is_sqlite:  # the same machine: its clock is ours
            return datetime.now(UTC)
        found: datetime = self._connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return found.astimezone(UTC)

    def _stamp(self) -> str:
        return stamp(self.now())

    def _insert_once(self, table: Table, values: Mapping[str, Any], on: tuple[str, ...]) -> bool:
        """Insert a row unless one with the same unique columns *on* is there; say if it was."""
        insert = sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)
        statement = insert.values(**values).on_conflict_do_nothing(index_elements=on)
        kept = statement.execution_options(preserve_rowcount=True)  # not counted for INSERT else
        return self._connection.execute(kept).rowcount > 0

    def _upsert(self, table: Table, values: Mapping[str, Any]) -> None:
        """Insert a row, or update the one with the same primary key."""
        insert = sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)
        keys = [column.name for column in table.primary_key]
        changed = {name: value for name, value in values.items() if name not in keys}
        statement = insert.values(**values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))

    def _row(self, table: Table, **where: Any) -> RowMapping | None:
        query = select(table).where(*(table.c[name] == value for name, value in where.items()))
        return self._connection.execute(query).mappings().one_or_none()
