"""Requests no model may answer, and what the serving code does with each.

Outcomes: `refused` with the words (the only good one), `answered` (a silent answer), `broke` (an
error nobody foresaw), `not applicable` (the model allows it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from airlock.domain.errors import AirlockError
from airlock.serving.loading import Loaded

if TYPE_CHECKING:
    import pandas

_WORDS = 300


def _missing_column(rows: pandas.DataFrame, _loaded: Loaded) -> pandas.DataFrame | None:
    return rows.drop(columns=[rows.columns[0]])


def _wrong_type(rows: pandas.DataFrame, _loaded: Loaded) -> pandas.DataFrame | None:
    import pandas

    first = rows.columns[0]
    number = pandas.api.types.is_numeric_dtype(rows[first])
    return rows.assign(**{str(first): "not a number" if number else 0.5})


def _no_rows(rows: pandas.DataFrame, _loaded: Loaded) -> pandas.DataFrame | None:
    return rows.iloc[:0]


def _unknown_column(rows: pandas.DataFrame, _loaded: Loaded) -> pandas.DataFrame | None:
    return rows.assign(no_such_column=1.0)


def _nulls(rows: pandas.DataFrame, loaded: Loaded) -> pandas.DataFrame | None:
    """Empty the first column that may not be empty; a model may allow gaps everywhere."""
    columns = loaded.schema.columns if loaded.schema else ()
    required = [column.name for column in columns if column.required]
    if columns and not required:
        return None
    return rows.assign(**{required[0] if required else str(rows.columns[0]): None})


#: Every wrong input, by name.
WRONG: dict[str, Callable[[Any, Loaded], Any]] = {
    "missing column": _missing_column,
    "wrong type": _wrong_type,
    "no rows": _no_rows,
    "unknown column": _unknown_column,
    "nulls": _nulls,
}


def outcomes(loaded: Loaded, rows: pandas.DataFrame) -> Iterator[dict[str, str]]:
    """Yield the outcome of each wrong input; *rows* are good ones."""
    for name, change in WRONG.items():
        changed = change(rows.copy(), loaded)
        if changed is None:
            reason = "every column may be empty, as it was in training"
            yield {"name": name, "outcome": "not applicable", "said": reason}
        else:
            yield {"name": name} | _outcome(loaded, changed)


def _outcome(loaded: Loaded, rows: pandas.DataFrame) -> dict[str, str]:
    try:
        answer = loaded.predict(rows)
    except AirlockError as error:
        return {"outcome": "refused", "said": error.message[:_WORDS]}
    except Exception as error:
        reason = " ".join(str(error).split())
        return {"outcome": "broke", "said": f"{type(error).__name__}: {reason}"[:_WORDS]}
    return {"outcome": "answered", "said": " ".join(str(answer).split())[:_WORDS]}
