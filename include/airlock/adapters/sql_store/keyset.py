"""Lists a page at a time, by keyset: a page begins after the last row of the page before it.

So the ten-thousandth row costs what the first does, and a row that comes or goes meanwhile shifts
no other. A place in a list is the two columns it is in order of: a text, and an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, literal, tuple_

from airlock.domain.errors import Invalid

#: Between the two halves of a cursor.
_BETWEEN = "/"
_PLACE = "place"


def rows_of(
    connection: Connection,
    query: Select[Any],
    order: tuple[ColumnElement[Any], ColumnElement[Any]],
    *,
    after: str,
    limit: int,
    descending: bool = False,
) -> tuple[Sequence[RowMapping], list[str], str]:
    """Return a page of rows, the place of each, and where the next page begins, empty at the end.

    *order*: a text and the row's id.

    Raises:
        Invalid: if *after* is no place where a page ended.
    """
    first, name = order
    columns = tuple_(first, name)
    if after:
        query = query.where(columns < _read(after) if descending else columns > _read(after))
    ordered = (first.desc(), name.desc()) if descending else (first, name)
    query = query.add_columns(first.label(_PLACE)).order_by(*ordered).limit(limit + 1)
    rows = connection.execute(query).mappings().all()
    places = [f"{row[_PLACE]}{_BETWEEN}{row['id']}" for row in rows[:limit]]
    return rows[:limit], places, places[-1] if len(rows) > limit else ""


def fields(table: Table, row: RowMapping) -> dict[str, Any]:
    """Return the columns of a table in a row, without what the list has added to them."""
    return {column.name: row[column.name] for column in table.c}


def number_of(after: str) -> int:
    """Return the place in a list that is in order of a number.

    Raises:
        Invalid: if *after* is no place where a page ended.
    """
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise no_place(after)
    return int(after)


def no_place(after: str) -> Invalid:
    """Return the refusal of a place that is none."""
    return Invalid(
        f"{after!r} is no place where a page ended",
        next_step="Take it as the page before gave it, or leave it out to begin anew.",
    )


def _read(after: str) -> ColumnElement[Any]:
    place, between, name = after.partition(_BETWEEN)
    if not (place and between and name):
        raise no_place(after)
    return tuple_(literal(place), literal(name))
