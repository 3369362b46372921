"""What a table holds, column by column: enough to write a first draft of a model's files from it.

It keeps no row and judges nothing: a draft says what the data is, and a person says what the data
has to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.domain.errors import Invalid
from airlock.tables import kind_of

if TYPE_CHECKING:
    import pyarrow

#: A column of at most so many different values is described by them.
FEW = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `low` and `high` are those of numbers, `values` is empty where there are many."""

    name: str
    kind: str
    rows: int
    missing: int
    distinct: int
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """All columns of a table."""

    rows: int
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """Return one column. Raises Invalid."""
        for column in self.columns:
            if column.name == name:
                return column
        names = ", ".join(column.name for column in self.columns)
        raise Invalid(f"the data has no column {name!r}; it has {names}")


def profile(table: pyarrow.Table) -> Profile:
    """Describe rows that can be pinned (`airlock.tables`)."""
    return Profile(table.num_rows, tuple(_column(table, name) for name in table.column_names))


def _column(table: pyarrow.Table, name: str) -> Column:
    """Describe one column."""
    import pyarrow
    import pyarrow.compute as compute

    array = table[name]
    if pyarrow.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind = kind_of(array.type)
    facts: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "rows": table.num_rows,
        "missing": int(array.null_count),
        "distinct": int(compute.count_distinct(array).as_py()),
    }
    if facts["distinct"] <= FEW and kind != "time":
        values = [value for value in array.unique().to_pylist() if value is not None]
        if all(math.isfinite(value) for value in values if not isinstance(value, str)):
            facts["values"] = tuple(sorted(values))
    if kind == "number" and facts["distinct"]:
        facts |= _range(array)
    return Column(**facts)


def _range(array: Any) -> dict[str, float | None]:
    """Return bounds, mean and spread; none of them where a value is infinite."""
    import pyarrow
    import pyarrow.compute as compute

    extremes = compute.min_max(array).as_py()
    numbers = array.cast(pyarrow.float64(), safe=False)
    facts = {
        "low": extremes["min"],
        "high": extremes["max"],
        "mean": compute.mean(numbers).as_py(),
        "spread": compute.stddev(numbers).as_py(),
    }
    return facts if all(math.isfinite(value) for value in facts.values()) else {}
