"""Writing many rows in one statement.

PostgreSQL takes a batch as one array per column, which is several times faster than one statement
per row; SQLite, in the same process, takes the rows one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Table,
    bindparam,
    cast,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.selectable import TableValuedAlias

Rows = Sequence[Mapping[str, Any]]


#: So many rows are as fast one by one, in one round trip.
FEW = 8


@cache
def _one_by_one(table: Table, on: tuple[str, ...], dialect: str) -> Insert:
    statement = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    return statement.on_conflict_do_nothing(index_elements=on) if on else insert(table)


def insert_new(connection: Connection, table: Table, rows: Rows, on: tuple[str, ...] = ()) -> None:
    """Insert rows; one that is there already, by its unique columns *on*, is left as it is."""
    if not rows:
        return
    if len(rows) <= FEW or connection.dialect.name == "sqlite":
        connection.execute(_one_by_one(table, on, connection.dialect.name), list(rows))
        return
    names = list(rows[0])
    source = _arrays(table, rows, {name: name for name in names})
    filling = postgresql.insert(table).from_select(names, select(*source.c))
    connection.execute(filling.on_conflict_do_nothing(index_elements=on) if on else filling)


def among(connection: Connection, column: ColumnElement[Any], values: Sequence[str]) -> Any:
    """Return the condition that *column* is one of *values*, with one parameter, not many."""
    if connection.dialect.name == "sqlite":
        return column.in_(values)
    return column == func.any(bindparam(None, list(values), type_=postgresql.ARRAY(column.type)))


def update_by(connection: Connection, table: Table, key: str, rows: Rows) -> None:
    """Update the row of each *key* with the other columns given."""
    if not rows:
        return
    names = [name for name in rows[0] if name != key]
    if connection.dialect.name == "sqlite":
        changing = update(table).where(table.c[key] == bindparam("by_key"))
        changing = changing.values({name: bindparam(f"new_{name}") for name in names})
        changes = [{f"new_{name}": row[name] for name in names} for row in rows]
        keyed = [{**new, "by_key": row[key]} for new, row in zip(changes, rows, strict=True)]
        connection.execute(changing, keyed)
        return
    source = _arrays(table, rows, {name: f"new_{name}" for name in rows[0]})
    values = {name: source.c[f"new_{name}"] for name in names}
    connection.execute(update(table).where(table.c[key] == source.c[f"new_{key}"]).values(values))


def _arrays(table: Table, rows: Rows, names: Mapping[str, str]) -> TableValuedAlias:
    """Return the rows as a table of their own, its columns called as *names* says."""
    columns = (
        cast(
            bindparam(f"all_{name}", [row[name] for row in rows], type_=_many(table, name)),
            _many(table, name),
        )
        for name in names
    )
    return func.unnest(*columns).table_valued(*names.values()).render_derived()


def _many(table: Table, name: str) -> postgresql.ARRAY[Any]:
    return postgresql.ARRAY(table.c[name].type)
