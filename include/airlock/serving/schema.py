"""What a model may be asked: its columns, in order, with their types, as its signature says.

Rules:
* A table has every column of the signature and no other one; the order of columns is mended.
* A value has the column's type, or one that loses nothing in it (an integer for a double).
* A column that was never empty in training may not be empty; at least one row is asked for.
* Whatever is refused is named, with what was expected and what was found.

Libraries are more patient than that: they skip columns they do not know and take an empty cell for
a number, and answer. A wrong answer that looks right is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.artifacts.plain_text import read_json, read_yaml
from airlock.domain.errors import Invalid

if TYPE_CHECKING:
    import pandas

#: MLflow's column types, each with the types of values that lose nothing in it.
_ACCEPTS: dict[str, frozenset[str]] = {
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"integer"}),
    "long": frozenset({"integer", "long"}),
    "float": frozenset({"integer", "float"}),
    "double": frozenset({"integer", "long", "float", "double"}),
    "string": frozenset({"string"}),
    "datetime": frozenset({"datetime"}),
}
_MOST_SHOWN = 5


class InputRefused(Invalid):
    """The model may not be asked this."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a signature."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns a model takes, in order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return [column.name for column in self.columns]

    def check(self, table: pandas.DataFrame) -> pandas.DataFrame:
        """Return the rows with the columns in order.

        Raises:
            InputRefused: naming everything that is wrong with them.
        """
        import pandas

        if not isinstance(table, pandas.DataFrame):
            raise InputRefused(f"expected a table with columns, found {type(table).__name__}")
        if not len(table):
            raise InputRefused("expected at least one row, found none")
        columns = [str(column) for column in table.columns]
        wrong = [f"the column {name!r} is missing" for name in self.names if name not in columns]
        wrong += [
            f"{name!r} is no column of the model" for name in columns if name not in self.names
        ]
        wrong += [f"the column {name!r} is there twice" for name in _twice(columns)]
        if not wrong:
            wrong = [
                complaint
                for column in self.columns
                if (complaint := _odd(column, table[column.name]))
            ]
        if wrong:
            more = f"; {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
            raise InputRefused(
                f"{'; '.join(wrong[:_MOST_SHOWN])}{more}",
                next_step=f"Send the columns {', '.join(self.names)}.",
            )
        return table[self.names]


def read_schema(folder: Path) -> Schema | None:
    """Return the columns that a folder's MLmodel file declares; None if there are none."""
    signature = read_yaml((folder / "MLmodel").read_text("utf-8")).get("signature") or {}
    inputs = read_json(signature["inputs"]) if signature.get("inputs") else []
    if not inputs or any(
        field.get("type") not in _ACCEPTS or "name" not in field for field in inputs
    ):
        return None
    return Schema(
        tuple(
            Column(str(field["name"]), str(field["type"]), field.get("required", True) is True)
            for field in inputs
        )
    )


def type_of(values: pandas.Series[Any]) -> str:
    """Return MLflow's name for the type of a column's values; empty if it has none for it."""
    import pandas

    kind: Any = values.dtype
    if isinstance(kind, pandas.CategoricalDtype):
        return type_of(pandas.Series(kind.categories))
    if pandas.api.types.is_bool_dtype(kind):
        return "boolean"
    if pandas.api.types.is_integer_dtype(kind):
        return "integer" if kind.itemsize < 4 or kind in ("int32", "Int32") else "long"
    if pandas.api.types.is_float_dtype(kind):
        return "float" if kind.itemsize <= 4 else "double"
    if pandas.api.types.is_datetime64_any_dtype(kind):
        return "datetime"
    present = values.dropna()
    return "string" if len(present) and all(isinstance(value, str) for value in present) else ""


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _odd(column: Column, values: pandas.Series[Any]) -> str:
    """Return the problem of one column, or nothing."""
    empty = values.isna()
    if column.required and bool(empty.any()):
        return f"{int(empty.sum())} values of {column.name!r} are missing"
    if bool(empty.all()):
        return ""
    actual = type_of(values)
    if actual not in _ACCEPTS[column.type]:
        return f"{column.name!r} holds {actual or values.dtype}, expected {column.type}"
    return ""
