"""The column that orders the rows: days or timestamps, or text that is written as such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.tables.errors import DataUnusable
from airlock.tables.schema import kind_of

if TYPE_CHECKING:
    import pyarrow


def with_times(table: pyarrow.Table, column: str, name: str) -> pyarrow.Table:
    """Return *table* with *column* as times: text in ISO 8601 becomes them, nothing else does.

    A number is no time, however it looks: a year as an integer would be days since 1970.

    Raises:
        DataUnusable: if it holds no times.
    """
    values = table.column(column)
    if kind_of(values.type) == "time":
        return table
    times = as_times(values) if kind_of(values.type) == "text" else None
    if times is None:
        raise DataUnusable(
            f"data {name}: the time column {column!r} holds {values.type}, not dates",
            next_step="write it as dates (2024-05-31) or timestamps (2024-05-31T08:00:00Z)",
        )
    place = table.schema.names.index(column)
    return table.set_column(place, column, times).replace_schema_metadata(None)


def as_times(values: Any) -> Any:
    """Return text in ISO 8601 as days, or else as timestamps; None if some of it is neither."""
    import pyarrow
    import pyarrow.compute as compute

    if pyarrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kinds = (pyarrow.date32(), pyarrow.timestamp("us"), pyarrow.timestamp("us", "UTC"))
    for kind in kinds:
        try:
            return compute.cast(values, kind)
        except pyarrow.ArrowException:
            continue
    return None
