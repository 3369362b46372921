"""What every part of a transaction shares: the connection and the database's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, bindparam, select, text
from sqlalchemy.dialects import postgresql, sqlite

from airlock.domain.clock import stamp

_NOW = text("SELECT clock_timestamp()")


class Base:
    """A connection with an open transaction."""

    def __init__(
        self,
        connection: Connection,
        clock: Callable[[], datetime] | None = None,
        documents: dict[tuple[str, str], Any] | None = None,
    ) -> None:
        """Take over *connection*; the unit closes it. Only tests bring a *clock* of their own.

        *documents*: registered documents read before, which never change.
        """
        self._documents = {} if documents is None else documents
        self._connection, self._clock = connection, clock
        self._seen_at: datetime | None = None

    @property
    def _is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"

    def now(self) -> datetime:
        """Return the database's clock now, not the transaction's start."""
        asks = self._clock is None and not self._is_sqlite
        return self._see(self._connection.execute(_NOW).scalar_one() if asks else None)

    def _see(self, clock: datetime | None) -> datetime:
        """Take *clock*, the database's own, or what stands for it where there is none."""
        if self._clock is not None:
            self._seen_at = self._clock()
        elif clock is None:  # SQLite is on the same machine: its clock is ours
            self._seen_at = datetime.now(UTC)
        else:
            self._seen_at = clock.astimezone(UTC)
        return self._seen_at

    def _stamp(self) -> str:
        return stamp(self.now())

    def _noted(self) -> str:
        """Return the time last read in this transaction: for notes that decide nothing."""
        return stamp(self._seen_at or self.now())

    def _insert_once(self, table: Table, values: Mapping[str, Any], on: tuple[str, ...]) -> bool:
        """Insert a row unless one with the same unique columns *on* is there; say if it was."""
        insert = sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)
        statement = insert.values(**values).on_conflict_do_nothing(index_elements=on)
        counted = statement.execution_options(preserve_rowcount=True)  # not counted for INSERT else
        return self._connection.execute(counted).rowcount > 0

    def _upsert(self, table: Table, values: Mapping[str, Any]) -> None:
        """Insert a row, or update the one with the same primary key."""
        insert = sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)
        keys = [column.name for column in table.primary_key]
        changed = {name: value for name, value in values.items() if name not in keys}
        statement = insert.values(**values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))

    def _row(self, table: Table, **where: Any) -> RowMapping | None:
        return self._connection.execute(_by(table, tuple(where)), where).mappings().one_or_none()


@cache  # building a statement costs as much as running it
def _by(table: Table, names: tuple[str, ...]) -> Select[Any]:
    return select(table).where(*(table.c[name] == bindparam(name) for name in names))
