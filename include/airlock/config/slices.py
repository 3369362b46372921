"""Groups of rows a pipeline declares: a column, or numbers between edges.

`[SEX, {column: AGEP, edges: [18, 65]}]`: a name alone is short for a column without edges.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from airlock.config.problems import show
from airlock.config.schemas import Items, Line, Strict, Trouble, refuse, settle


class Slice(Strict):
    """A column whose values are groups; with edges, its numbers between them."""

    column: Line
    edges: Items[float] = ()

    @field_validator("column")
    @classmethod
    def _named(cls, column: str) -> str:
        if not column.strip():
            refuse(Trouble((), "the name of a column", show(column)))
        return column

    @field_validator("edges")
    @classmethod
    def _rising(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        pairs = enumerate(itertools.pairwise(edges), 1)
        settle(
            Trouble((index,), f"a number above {low:g}", show(high))
            for index, (low, high) in pairs
            if high <= low
        )
        return edges


def _spelled_out(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


#: A YAML list of columns, each by name or with its edges.
Slices = Items[Annotated[Slice, BeforeValidator(_spelled_out, json_schema_input_type=str | Slice)]]


def check_columns(slices: tuple[Slice, ...], *reserved: str | None) -> None:
    """Refuse a column named twice, the target and the time column."""
    reasons = {column: "the target and the time column" for column in reserved if column}
    for index, group in enumerate(slices):
        if group.column in reasons:
            expected = f"another column than {reasons[group.column]}"
            refuse(Trouble((index,), expected, show(group.column)))
        reasons[group.column] = "those before it"
