"""A table as it was read, turned into columns of the types in `schema`, or refused by name.

A table that has them already is returned as it is, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airlock.tables.errors import Problem, refusal
from airlock.tables.schema import INDEX_LEVEL, NO_NAME, kind_of, twice

if TYPE_CHECKING:
    import pyarrow

#: The largest integer of which a double keeps every digit.
EXACT = 2**53
_INDEX = "write it with index=False, or give the index a name"
_NESTED = "write one column per value, or leave it out"


class Unfit(Exception):
    """A column that cannot be carried: why, and the way out."""

    def __init__(self, why: str, way_out: str) -> None:
        super().__init__(why)
        self.why, self.way_out = why, way_out


def normal(table: pyarrow.Table, name: str) -> pyarrow.Table:
    """Return *table* with every column in a type that all readers share.

    Raises:
        DataUnusable: naming each column that cannot be carried, and the way out.
    """
    categories = _categories(table)
    table, problems = _named(table)
    changed: dict[int, Any] = {}
    for place, field in enumerate(table.schema):
        column = table.column(place)
        try:
            result = _normal(column)
            if field.name in categories and kind_of(field.type) != "text":
                raise Unfit(*_numbered(field.type))
        except Unfit as error:
            text = f"the column {field.name!r} {error.why}"
            problems.append(Problem(text, f"{field.name}: {error.way_out}"))
            continue
        if result is not column:
            changed[place] = result
    if problems:
        raise refusal(name, problems)
    for place, column in changed.items():
        table = table.set_column(place, table.schema.names[place], column)
    # What pandas wrote beside the columns would be read by pandas alone.
    return table.replace_schema_metadata(None) if changed else table


def _named(table: pyarrow.Table) -> tuple[pyarrow.Table, list[Problem]]:
    """Drop row numbers pandas wrote as an index; name columns without a name, or with one twice."""
    problems = [
        Problem(f"there are two columns {name!r}", "give every column a name of its own")
        for name in twice(table.schema.names)
        if name
    ]
    dropped: list[int] = []
    for place, field in enumerate(table.schema):
        is_level = bool(INDEX_LEVEL.fullmatch(field.name)) or field.name in _levels(table)
        if not (is_level or NO_NAME.fullmatch(field.name)):
            continue
        if _is_row_number(table.column(place), strictly=not is_level):
            dropped.append(place)
        elif is_level:
            text = f"its index holds {kind_of(field.type)} and has no name"
            problems.append(Problem(text, _INDEX))
        else:
            text = f"column {place + 1} ({field.name or 'empty'}) has no name"
            problems.append(Problem(text, "give it one; an index is left out with index=False"))
    for place in reversed(dropped):
        table = table.remove_column(place)
    return (table.replace_schema_metadata(None) if dropped else table), problems


def _noted(table: pyarrow.Table, predicate: Callable[[Any, list[Any]], bool]) -> list[str]:
    """Return the columns whose own pandas notes in a Parquet file fulfil *predicate*."""
    try:
        about = json.loads((table.schema.metadata or {})[b"pandas"])
        index = list(about["index_columns"])
        return [str(note["field_name"]) for note in about["columns"] if predicate(note, index)]
    except (KeyError, TypeError, ValueError):
        return []


def _levels(table: pyarrow.Table) -> list[str]:
    """Return the columns that are a level of the index without a name."""
    return _noted(table, lambda note, index: note["field_name"] in index and note["name"] is None)


def _categories(table: pyarrow.Table) -> list[str]:
    """Return the columns that are categories to pandas; of numbers, Arrow reads them as numbers."""
    return _noted(table, lambda note, _: note["pandas_type"] == "categorical")


def _numbered(type_: Any) -> tuple[str, str]:
    return (
        f"holds categories of {kind_of(type_)}, which are numbers to some readers",
        "write the categories as text, or the column as plain values",
    )


def _is_row_number(column: Any, *, strictly: bool) -> bool:
    """Say whether a column without a name only counts rows, or holds nothing at all."""
    import pyarrow.compute as compute
    import pyarrow.types as types

    if column.null_count == len(column):
        return True
    if not types.is_integer(column.type) or column.null_count:
        return False
    if not strictly or len(column) < 2:
        return True
    rising = compute.less(column.combine_chunks()[:-1], column.combine_chunks()[1:])
    return bool(compute.all(rising).as_py())


def _normal(column: Any) -> Any:
    """Return one column in a carried type: the very same one if it has that already."""
    import pyarrow
    import pyarrow.types as types

    rules: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
        (types.is_null, lambda empty: empty.cast(pyarrow.float64())),
        (types.is_boolean, _boolean),
        (types.is_integer, _integer),
        (types.is_floating, _float),
        (types.is_decimal, _decimal),
        (types.is_dictionary, _category),
        (types.is_date64, lambda days: days.cast(pyarrow.date32(), safe=False)),
        (types.is_date32, lambda days: days),
        (types.is_timestamp, _timestamp),
        (lambda type_: str(type_).endswith(("string", "string_view")), _text),
    )
    for matches, rule in rules:
        if matches(column.type):
            return rule(column)
    raise Unfit(*_uncarried(column.type))


def _boolean(column: Any) -> Any:
    if column.null_count:
        raise Unfit(
            f"holds truth values, and {column.null_count} are missing, which is read in two ways",
            "write 0 and 1 as numbers (.astype('float64')), where a value may be missing",
        )
    return column


def _integer(column: Any) -> Any:
    """Integers keep every digit; with gaps they are doubles, as pandas reads them."""
    import pyarrow
    import pyarrow.compute as compute

    bounds = compute.min_max(column).as_py()
    low, high = bounds["min"] or 0, bounds["max"] or 0
    if column.null_count:
        if max(-low, high) > EXACT:
            raise Unfit(
                f"holds integers beyond 2^53 and {column.null_count} are missing: "
                "a double would change them",
                "write them as text, or without gaps",
            )
        return column.cast(pyarrow.float64())
    if str(column.type) == "uint64":
        if high >= 2**63:
            raise Unfit("holds integers of 2^63 and more", "write them as text")
        return column.cast(pyarrow.int64())
    return column


def _float(column: Any) -> Any:
    """A missing number is a null: NaN is the same to pandas and a number to Arrow."""
    import pyarrow
    import pyarrow.compute as compute

    if str(column.type) == "halffloat":
        column = column.cast(pyarrow.float32())
    nan = compute.is_nan(column)
    if compute.any(nan).as_py():
        return compute.if_else(nan, pyarrow.scalar(None, column.type), column)
    return column


def _decimal(column: Any) -> Any:
    """A decimal is the double that stands for it, if the double tells it from its neighbours."""
    import pyarrow

    # 15 significant digits are what a double keeps of any decimal number.
    digits = column.cast(pyarrow.string()).to_pylist()
    longest = max((len(_digits(text)) for text in digits if text is not None), default=0)
    if longest > 15:
        raise Unfit(
            f"holds {column.type} with {longest} digits: a double keeps 15",
            "round it, or write it as text",
        )
    return column.cast(pyarrow.float64())


def _digits(text: str) -> str:
    """Return the significant digits of a decimal number."""
    mantissa = text.lower().partition("e")[0].lstrip("+-")
    whole, _, part = mantissa.partition(".")
    return (whole + part.rstrip("0")).lstrip("0")


def _category(column: Any) -> Any:
    import pyarrow.types as types

    value = column.type.value_type
    if types.is_null(value):
        return _normal(column.cast(value))
    if not (types.is_string(value) or types.is_large_string(value)):
        raise Unfit(*_numbered(value))
    if any(chunk.dictionary.null_count for chunk in column.chunks):
        return _text(column.cast(value))
    _check_utf8(column)
    return column


def _timestamp(column: Any) -> Any:
    import pyarrow
    import pyarrow.compute as compute

    if column.type.tz:
        try:
            compute.cast(column, pyarrow.date32(), safe=False)
        except pyarrow.ArrowException as error:
            raise Unfit(
                f"is in the zone {column.type.tz}, which is not known here",
                "write it in UTC, or in a zone of the IANA database",
            ) from error
    return column


def _text(column: Any) -> Any:
    import pyarrow

    if str(column.type).endswith("view"):
        column = column.cast(pyarrow.string())
    _check_utf8(column)
    return column


def _check_utf8(column: Any) -> None:
    import pyarrow

    try:
        column.validate(full=True)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise Unfit("holds text that is not UTF-8", "write it as UTF-8") from error


def _uncarried(type_: Any) -> tuple[str, str]:
    """Return why a type is not carried, and the way out."""
    import pyarrow.types as types

    if types.is_binary(type_) or types.is_large_binary(type_) or "binary" in str(type_):
        return "holds bytes", "write them as text in UTF-8, or leave the column out"
    if types.is_duration(type_):
        return "holds durations", "write them as a number of seconds"
    if types.is_time(type_):
        return "holds times of day without a day", "write them as text, or as a number of seconds"
    return f"holds {str(type_)[:60]}", _NESTED
