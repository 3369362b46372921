"""What a table holds, column by column: enough to write a first draft of a model's files from it.

It keeps no row and judges nothing: a draft says what the data is, and a person says what the data
has to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.domain.errors import Invalid

if TYPE_CHECKING:
    import pyarrow

#: A column of at most so many different values is described by them.
FEW = 30
_KINDS = {
    "boolean": ("bool",),
    "number": ("int", "uint", "float", "double", "halffloat", "decimal"),
    "text": ("string", "large_string", "dictionary<values=string"),
    "time": ("date", "timestamp"),
}


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
        for one in self.columns:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.columns)
        raise Invalid(f"the data has no column {name!r}; it has {known}")


def profile(path: Path) -> Profile:
    """Describe a Parquet or CSV file.

    Raises:
        Invalid: if it is missing, empty or cannot be read.
    """
    table = _read(path)
    if not table.num_rows:
        raise Invalid(f"{path} has no rows", next_step="give a file with data in it")
    return Profile(table.num_rows, tuple(_column(table, name) for name in table.column_names))


def _read(path: Path) -> pyarrow.Table:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    if not path.is_file():
        raise Invalid(f"there is no file {path}", next_step="give a Parquet or CSV file")
    try:
        if path.suffix == ".csv":
            return pyarrow.csv.read_csv(path)
        return pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        text = " ".join(str(error).split())[:300]
        raise Invalid(
            f"{path} cannot be read: {text}", next_step="give a Parquet or CSV file"
        ) from error


def _column(table: pyarrow.Table, name: str) -> Column:
    """Describe one column."""
    import pyarrow
    import pyarrow.compute as compute

    array = table[name]
    if pyarrow.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    said = str(array.type)
    kind = next((k for k, starts in _KINDS.items() if said.startswith(starts)), "other")
    facts: dict[str, Any] = {"name": name, "kind": kind, "rows": table.num_rows}
    if kind == "other":
        return Column(**facts, missing=array.null_count, distinct=0)
    if pyarrow.types.is_floating(array.type):
        array = compute.if_else(compute.is_nan(array), pyarrow.scalar(None, array.type), array)
    facts |= {
        "missing": int(array.null_count),
        "distinct": int(compute.count_distinct(array).as_py()),
    }
    if facts["distinct"] <= FEW and kind != "time":
        found = [_plain(one) for one in array.unique().to_pylist() if one is not None]
        if all(math.isfinite(one) for one in found if not isinstance(one, str)):
            facts["values"] = tuple(sorted(found))
    if kind == "number" and facts["distinct"]:
        facts |= _range(array)
    return Column(**facts)


def _range(array: Any) -> dict[str, float | None]:
    """Return bounds, mean and spread; none of them where a value is infinite."""
    import pyarrow
    import pyarrow.compute as compute

    found = compute.min_max(array).as_py()
    numbers = array.cast(pyarrow.float64())
    facts = {
        "low": _plain(found["min"]),
        "high": _plain(found["max"]),
        "mean": compute.mean(numbers).as_py(),
        "spread": compute.stddev(numbers).as_py(),
    }
    return facts if all(math.isfinite(one) for one in facts.values()) else {}


def _plain(value: Any) -> Any:
    """Return a decimal as a number; anything else as it is."""
    return float(value) if isinstance(value, Decimal) else value
