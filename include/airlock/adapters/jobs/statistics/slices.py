"""Which slice each held-out row belongs to, by the columns the pipeline declares.

Rules:
* Every row is in exactly one slice of each column; a missing value is a slice of its own.
* With `edges` a number is placed between them: `AGEP<18`, `18<=AGEP<65`, `AGEP>=65`.
* Without, each value is a slice; a column of more than 20 numbers is cut at its quartiles.
* A column of more than 50 other values is refused: an identifier is no slice.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import DataInvalid

if TYPE_CHECKING:
    import pandas

MOST_NUMBERS = 20
MOST_VALUES = 50
#: How the columns with the labels begin, in predictions.parquet.
SLICE = "slice:"


def labels(
    test: pandas.DataFrame, requested: list[dict[str, Any]], name: str
) -> dict[str, pandas.Series[Any]]:
    """Return the label of each row by column."""
    by_column = {}
    for entry in requested:
        column = entry["column"]
        if column not in test.columns:
            raise DataInvalid(
                f"data of {name} has no column {column!r} to slice by; it has "
                f"{', '.join(test.columns)}",
                next_step="mend spec.data of the pipeline, or the source",
            )
        by_column[column] = _labels(test[column], list(entry["edges"]), name)
    return by_column


def _labels(values: pandas.Series[Any], edges: list[float], name: str) -> pandas.Series[Any]:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    column = values.name
    number = is_numeric_dtype(values) and not is_bool_dtype(values)
    if edges and not number:
        raise DataInvalid(
            f"data of {name}: {column!r} has edges to slice by but holds {values.dtype}",
            next_step="leave the edges out, or name a column of numbers",
        )
    distinct = values.nunique()
    if number and (edges or distinct > MOST_NUMBERS):
        return _cut(values, edges or _quartiles(values))
    if distinct > MOST_VALUES:
        raise DataInvalid(
            f"data of {name}: {column!r} has {distinct} values; {MOST_VALUES} can be slices",
            next_step="name a column of fewer values in spec.data, or group them in the source",
        )
    named = values.astype(object).map(lambda value: f"{column}={_plain(value)}")
    return named.where(values.notna(), _none(column))


def _quartiles(values: pandas.Series[Any]) -> list[float]:
    return sorted(set(values.quantile([0.25, 0.5, 0.75]).tolist()))


def _cut(values: pandas.Series[Any], edges: list[float]) -> pandas.Series[Any]:
    import numpy
    import pandas

    column, texts = values.name, [_plain(edge) for edge in edges]
    between = [f"{a}<={column}<{b}" for a, b in itertools.pairwise(texts)]
    names = numpy.array([f"{column}<{texts[0]}", *between, f"{column}>={texts[-1]}"], dtype=object)
    place = numpy.searchsorted(edges, values.to_numpy(dtype=float), side="right")
    present = values.notna().to_numpy()
    chosen = numpy.where(present, names[numpy.where(present, place, 0)], _none(column))
    return pandas.Series(chosen, index=values.index)


def _none(column: Any) -> str:
    return f"{column} is missing"


def _plain(value: Any) -> str:
    """Return a value as people write it: 1.0 is 1."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
