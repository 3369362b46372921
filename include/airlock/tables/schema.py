"""The types a pinned column may have, and what they are called.

Rules:
* Numbers are 8 to 64-bit integers without gaps, and floats; an unsigned 64-bit integer is none of
  them, because no model signature knows it. A missing number is a null, never NaN.
* Texts are UTF-8, plain or as categories (an Arrow dictionary of texts). Truth values have no gaps.
* Times are days or timestamps, in any unit, with or without a zone.
* No two columns have one name, and none has the name of an index pandas wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

#: What Arrow's types are called in facts; a type in none of the groups is not carried.
_KINDS = {
    "boolean": ("bool",),
    "number": ("int", "uint", "float", "double", "halffloat", "decimal"),
    "text": ("string", "large_string", "dictionary<values=string", "dictionary<values=large"),
    "time": ("date", "timestamp"),
}
#: How pandas names an index level without a name, in Parquet.
INDEX_LEVEL = re.compile(r"__index_level_\d+__")
#: How a column without a name is called in CSV, and by pandas when it reads one.
NO_NAME = re.compile(r"|Unnamed: \d+")


def kind_of(type_: Any) -> str:
    """Return what a column of this Arrow type holds; the type itself if it is not carried."""
    text = str(type_)
    return next((kind for kind, starts in _KINDS.items() if text.startswith(starts)), text[:60])


def is_carried(type_: pyarrow.DataType) -> bool:
    """Say whether every reader takes a column of this type for the same values."""
    import pyarrow.types as types

    if types.is_dictionary(type_):
        return bool(types.is_string(type_.value_type) or types.is_large_string(type_.value_type))
    return bool(
        types.is_boolean(type_)
        or (types.is_integer(type_) and not types.is_uint64(type_))
        or types.is_float32(type_)
        or types.is_float64(type_)
        or types.is_string(type_)
        or types.is_large_string(type_)
        or types.is_timestamp(type_)
        or types.is_date32(type_)
    )


def twice(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once."""
    every = list(names)
    return sorted({name for name in every if every.count(name) > 1})


def irregular(schema: pyarrow.Schema) -> list[str]:
    """Return the columns that no pin leaves behind: by their type, or by their name."""
    doubled = twice(schema.names)
    return [
        field.name
        for field in schema
        if not is_carried(field.type)
        or field.name in doubled
        or not field.name
        or INDEX_LEVEL.fullmatch(field.name)
    ]


def describe(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Return the schema as facts: each column's name, Arrow type, kind and missing values."""
    return [
        {
            "name": field.name,
            "type": str(field.type)[:80],
            "kind": kind_of(field.type),
            "missing": int(table.column(place).null_count),
        }
        for place, field in enumerate(table.schema)
    ]
