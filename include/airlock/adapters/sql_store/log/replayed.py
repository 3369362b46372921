"""Tables read row by row as they are stored, to be compared with what the log tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, LargeBinary, Select, Table, cast, exists, select

from airlock.adapters.sql_store.bulk import among
from airlock.adapters.sql_store.log.entries import BATCH
from airlock.adapters.sql_store.log.tree import LogTree
from airlock.adapters.sql_store.tables import evidence, metadata, run_evidence

#: Rows of a page; what is told of as many releases is held at a time.
PAGE = 200
Row = Mapping[str, Any]


class Replayed(LogTree):
    """Reading rows; nothing is made of them, so that a damaged one can be named."""

    def every(self, table: str) -> Iterator[Row]:
        """Return every row of a table in order of its key."""
        return self._raw(_ordered(metadata.tables[table]))

    def pages(self, table: str) -> Iterator[tuple[Row, ...]]:
        """Return every row of a table whose key is one column, some hundreds at a time."""
        of = metadata.tables[table]
        (key,) = of.primary_key
        query, last = _ordered(of).limit(PAGE), None
        while page := tuple(self._raw(query if last is None else query.where(key > last))):
            yield page
            last = page[-1][key.name]

    def rows(self, table: str, column: str, values: Sequence[str]) -> Iterator[Row]:
        """Return the rows of a table with some values in a column, in order of its key."""
        of = metadata.tables[table]
        return self._raw(_ordered(of).where(among(self._connection, of.c[column], values)))

    def strays(self, table: str, column: str, of: str = "release") -> Iterator[Row]:
        """Return the rows of a table whose *column* names no row of the table *of*."""
        source = metadata.tables[table]
        (key,) = metadata.tables[of].primary_key
        return self._raw(_ordered(source).where(~exists().where(key == source.c[column])))

    def measured(self) -> Iterator[tuple[str, bytes, str | None, str | None]]:
        """Return all evidence: digest and bytes, with each run and kind it was kept for."""
        keys = (run_evidence.c.origin, run_evidence.c.kind)
        query = select(evidence.c.digest, _plain(evidence.c.body), *keys)
        query = query.outerjoin_from(
            evidence, run_evidence, run_evidence.c.digest == evidence.c.digest
        )
        for digest, body, origin, kind in self._rows(query.order_by(evidence.c.digest)):
            yield digest, bytes(body), origin, kind

    def _raw(self, query: Select[Any]) -> Iterator[Row]:
        result = self._connection.execute(query, execution_options={"yield_per": BATCH})
        return (dict(row) for row in result.mappings())


def _ordered(of: Table) -> Select[Any]:
    return select(*map(_plain, of.columns)).order_by(*of.primary_key)


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column so that a value of another type, which SQLite keeps, stops no read."""
    if isinstance(column.type, LargeBinary):
        return cast(column, LargeBinary).label(column.name)
    return column
