"""How far two distributions lie apart, from counts alone, and when that is too far.

Rules:
* Effect sizes decide, never p-values: with a million rows every difference is significant, and
  none of that says whether it matters.
* All of it can be computed again from the counts in the evidence; only the Kolmogorov-Smirnov
  distance of a column of numbers needs the rows and is taken as it was measured.

PSI is the population stability index (Siddiqi 2006), which is Jeffreys' divergence over bins; half
a row is added to each bin, so that an empty one gives a large number instead of an infinite one.
Cramer's V is taken as if both sides had equally many rows, so that it means the same whatever the
sizes are: 0 for equal shares, 1 for no value in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airlock.domain.strict_zip import together

#: How many columns a message names.
_NAMED = 5


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Return the population stability index of two lists of counts over the same bins."""
    bins = _checked(reference, current)
    expected, actual = sum(reference) + bins / 2, sum(current) + bins / 2
    shares = [
        ((old + 0.5) / expected, (new + 0.5) / actual) for old, new in together(reference, current)
    ]
    return float(sum((q - p) * math.log(q / p) for p, q in shares))


def cramers_v(reference: Sequence[int], current: Sequence[int]) -> float:
    """Return the association of the values with the side they are on, both sides weighed alike."""
    _checked(reference, current)
    expected, actual = sum(reference), sum(current)
    pairs = [(a / expected, b / actual) for a, b in together(reference, current)]
    total = sum((p - q) ** 2 / (p + q) for p, q in pairs if p + q > 0)
    return min(1.0, math.sqrt(total / 2))


def _checked(reference: Sequence[int], current: Sequence[int]) -> int:
    counts = [*reference, *current]
    if len(reference) != len(current) or any(count < 0 or count != int(count) for count in counts):
        raise ValueError(f"counts that do not belong together: {reference} and {current}")
    if not sum(reference) or not sum(current):
        raise ValueError("no rows to count")
    return len(reference)


@dataclass(frozen=True)
class Shift:
    """How far one column lies apart. `measure` is `D` for numbers, `V` for values."""

    column: str
    psi: float
    effect: float
    measure: str

    def sentence(self) -> str:
        """Say it in a few words."""
        return f"{self.column} (PSI {self.psi:.2f}, {self.measure} {self.effect:.2f})"


def shift(facts: Mapping[str, Any]) -> Shift:
    """Return how far one column lies apart, from its facts.

    Raises:
        ValueError: if the facts are not those of a column that was compared.
    """
    reference, current = facts["reference"], facts["current"]
    name, index = str(facts["column"]), psi(reference, current)
    if facts["kind"] == "values":
        return Shift(name, index, cramers_v(reference, current), "V")
    distance = float(facts["ks"])
    if not 0 <= distance <= 1:
        raise ValueError(f"the distance of {name} is {distance}")
    return Shift(name, index, distance, "D")


@dataclass(frozen=True)
class Tolerance:
    """How far a column may lie apart."""

    psi: float
    ks: float
    cramers_v: float

    def __post_init__(self) -> None:
        for name in ("ks", "cramers_v"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} must be above 0 and at most 1, found {getattr(self, name)}"
                )
        if not 0 < self.psi < math.inf:
            raise ValueError(f"psi must be above 0, found {self.psi}")

    def passed_by(self, column: Shift) -> bool:
        """Return whether a column moved further than this allows."""
        return column.psi > self.psi or column.effect > (
            self.ks if column.measure == "D" else self.cramers_v
        )

    def sentence(self) -> str:
        """Say the limits in a few words."""
        return f"limits: PSI {self.psi:g}, D {self.ks:g}, V {self.cramers_v:g}"


@dataclass(frozen=True)
class Compared:
    """All columns of two tables, compared: the furthest apart first."""

    shifts: tuple[Shift, ...]
    beyond: tuple[Shift, ...]

    @property
    def worst(self) -> Shift:
        """The column that lies furthest apart."""
        return self.shifts[0]

    def sentence(self) -> str:
        """Name the columns that moved too far, or the one that moved most."""
        if not self.beyond:
            return f"{len(self.shifts)} columns, furthest apart {self.worst.sentence()}"
        more = f" and {len(self.beyond) - _NAMED} more" if len(self.beyond) > _NAMED else ""
        named = ", ".join(column.sentence() for column in self.beyond[:_NAMED])
        return f"{len(self.beyond)} of {len(self.shifts)} columns moved: {named}{more}"

    def table(self) -> list[dict[str, Any]]:
        """Return all columns for people to read."""
        return [
            {
                "column": column.column,
                "psi": round(column.psi, 4),
                "measure": column.measure,
                "effect": round(column.effect, 4),
                "moved": column in self.beyond,
            }
            for column in self.shifts
        ]


def compare(facts: Mapping[str, Any], tolerance: Tolerance, ignore: Sequence[str] = ()) -> Compared:
    """Compare all columns both tables have, with one type, but the ignored ones.

    Raises:
        ValueError: if none is left: nothing compared is no agreement; or if a column's counts are
            not those of the rows: then some were not looked at.
    """
    rows = facts["rows"]
    for column in facts["columns"]:
        if column["column"] in ignore or column["kind"] == "incomparable":
            continue
        for side in ("reference", "current"):
            if sum(column[side]) != rows[side]:
                raise ValueError(
                    f"{column['column']}: {sum(column[side])} of {rows[side]} rows counted"
                )
    shifts = [
        shift(column)
        for column in facts["columns"]
        if column["column"] not in ignore and column["kind"] != "incomparable"
    ]
    if not shifts:
        raise ValueError("no column was compared")
    ranked = tuple(sorted(shifts, key=lambda column: (-column.psi, column.column)))
    return Compared(ranked, tuple(column for column in ranked if tolerance.passed_by(column)))


def broken_schema(facts: Mapping[str, Any], ignore: Sequence[str] = ()) -> list[str]:
    """Report the columns of the reference that are missing, or have another type."""
    gone = [f"{name} is missing" for name in facts["missing"] if name not in ignore]
    other = [
        f"{column['column']} was {column['types'][0]} and is {column['types'][1]}"
        for column in facts["columns"]
        if column["types"][0] != column["types"][1] and column["column"] not in ignore
    ]
    return gone + other


def not_compared(facts: Mapping[str, Any], ignore: Sequence[str] = ()) -> str:
    """Name the columns whose type cannot be compared, or return an empty text."""
    odd = [
        f"{column['column']} ({column['types'][0]})"
        for column in facts["columns"]
        if column["kind"] == "incomparable"
        and column["types"][0] == column["types"][1]
        and column["column"] not in ignore
    ]
    return f"; not compared: {', '.join(odd[:_NAMED])}" if odd else ""
