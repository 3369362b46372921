"""Which slices a gate may judge: those large enough; the others are named, and never green."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from airlock.domain.hypothesis_tests import FEWEST_OF_A_CLASS

#: Metrics that rank: they need rows of both classes.
_RANKING = ("roc_auc", "average_precision")
_NAMED = 5
#: The share of the rows that may lie in groups or slices too small to judge, unless told.
MAX_UNASSESSED = 0.01

Rows = Sequence[Mapping[str, Any]]


def assessable(
    slices: Rows, metric: str, minimum: int, value: str
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the slices that can be judged, and the names of those that cannot.

    Raises:
        ValueError: if there is none to judge.
    """
    good = [row for row in slices if _is_enough(row, metric, minimum, value)]
    if not good:
        raise ValueError(
            f"none of the {len(slices)} slices of spec.data.slices has {minimum} rows to judge by"
        )
    return good, [str(row["slice"]) for row in slices if row not in good]


def _is_enough(row: Mapping[str, Any], metric: str, minimum: int, value: str) -> bool:
    if row["n"] < minimum or row[value] is None or row["se"] is None:
        return False
    if not (math.isfinite(row[value]) and 0 <= row["se"] < math.inf):
        raise ValueError(f"{row['slice']} was measured as {row[value]}, give or take {row['se']}")
    if metric not in _RANKING:
        return True
    positive = row["positives"]
    return bool(min(positive, row["n"] - positive) >= FEWEST_OF_A_CLASS)


def not_assessable(names: Sequence[str]) -> str:
    """Return what a message says of slices too small to judge."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"; not assessable, too few rows: {', '.join(names[:_NAMED])}{more}"


def check_share(share: float) -> None:
    """Refuse a limit that is no share.

    Raises:
        ValueError: naming it.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"maxUnassessed must be from 0 to 1, found {share}")


def unassessed(slices: Rows, small: Sequence[str], rows: int) -> float:
    """Return the share of the rows that lie in slices too small to judge."""
    return sum(float(row["n"]) for row in slices if row["slice"] in small) / rows


def too_much(share: float, limit: float) -> str:
    """Return what a message says where too many rows were not assessed."""
    return f"; {share:.1%} of the rows are in slices nobody can assess, limit {limit:.1%}"
