"""Child: how the values of each column are spread, here and there. No user code runs here.

The bins of numbers are the tenths of the reference and the values its own, frozen before the other
side is looked at. A column of at most 30 different values, and any column of texts, is counted
value by value. One column is in memory at a time. A missing value is a value of its own.

Texts of which there are many could name a person: in the facts such a text is a short digest.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from airlock.adapters.jobs.errors import DataInvalid
from airlock.adapters.jobs.shared import job
from airlock.adapters.jobs.statistics import columns
from airlock.adapters.jobs.statistics.columns import Columns

#: At most so many different values are counted one by one.
VALUES = 30
BINS = 10
_LISTED = 10
_LONGEST = 60
MISSING, OTHER, NEW = "(missing)", "(other)", "(new)"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Compare all columns asked for; without a reference, count what there is."""
    current, reference = _sides(request)
    requested = request["columns"]
    aside = (request["data"]["target"], request["data"]["timeColumn"], *request["aside"])
    compared = requested or [
        column for column in (reference or current).names if column not in aside
    ]
    lacking = [column for column in compared if column not in current.names]
    there = [column for column in compared if column in current.names]
    if reference is not None:
        there = [column for column in there if column in reference.names]
    return {
        "rows": {"reference": reference.rows if reference else 0, "current": current.rows},
        "missing": lacking,
        "extra": [
            column for column in current.names if column not in compared and column not in aside
        ],
        "columns": [_column(column, reference, current) for column in there],
    }


def _sides(request: dict[str, Any]) -> tuple[Columns, Columns | None]:
    """Return the two tables: the pinned rows are the current ones, unless there is a log."""
    name = request["name"]
    pinned = columns.training(name, request["data"])
    if request.get("log"):
        log = columns.requests_log(name, Path(request["log"]), pinned)
        if not log.rows:
            raise DataInvalid(f"the serving log of {name} has no requests")
        return log, pinned
    other = request.get("reference")
    return pinned, columns.training(name, other) if other else None


def _column(name: str, reference: Columns | None, current: Columns) -> dict[str, Any]:
    """Return the facts of one column."""
    import pyarrow.compute as compute

    base = reference or current
    types = [base.type_of(name), current.type_of(name)]
    facts: dict[str, Any] = {"column": name, "types": types, "kind": "incomparable"}
    if types[0] != types[1] or types[0] not in ("boolean", "number", "text", "time"):
        return facts
    current_values = current.read(name)
    reference_values = reference.read(name) if reference else None
    source = current_values if reference_values is None else reference_values
    few = compute.count_distinct(source).as_py() <= VALUES
    if few or types[0] in ("text", "boolean"):
        return facts | _values(source, reference_values is not None, current_values, types[0], few)
    return facts | _numbers(source, reference_values is not None, current_values, types[0])


def _values(source: Any, compared: bool, current: Any, kind: str, few: bool) -> dict[str, Any]:
    """Count value by value."""
    base_counts, current_counts = _counts(source), _counts(current)
    # One more than VALUES: where there are few, a missing value may be among them.
    top = sorted(base_counts, key=lambda value: (-base_counts[value], str(value)))[: VALUES + 1]
    new = {
        value: n
        for value, n in current_counts.items()
        if value not in base_counts and value is not None
    }

    def cells(counts: dict[Any, int]) -> list[int]:
        listed = [counts.get(value, 0) for value in top]
        fresh = sum(n for value, n in counts.items() if value not in base_counts)
        return [*listed, sum(counts.values()) - sum(listed) - fresh, fresh]

    return {
        "kind": "values",
        "labels": [*(_label(value, kind, few) for value in top), OTHER, NEW],
        "reference": cells(base_counts) if compared else None,
        "current": cells(current_counts),
        "unseen": {
            "rows": sum(new.values()),
            "values": [_label(value, kind, few) for value in sorted(new, key=str)[:_LISTED]],
        },
        **(_chi_square(cells(base_counts), cells(current_counts)) if compared else {}),
    }


def _counts(array: Any) -> dict[Any, int]:
    """Return how often each value occurs; not-a-number is missing, and 1.0 is 1."""
    import pyarrow.compute as compute

    counts: dict[Any, int] = {}
    for entry in compute.value_counts(array).to_pylist():
        value = entry["values"]
        key = None if value is None or value != value else value
        counts[key] = counts.get(key, 0) + int(entry["counts"])
    return counts


def _label(value: Any, kind: str, few: bool) -> str:
    if value is None:
        return MISSING
    if kind == "number":
        # Whole numbers in full: ids and days such as 20240501 differ in their last digits.
        return str(int(value)) if float(value).is_integer() else f"{float(value):.6g}"
    text = str(value)
    if kind == "text" and not few:
        return f"#{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return text[:_LONGEST]


def _numbers(source: Any, compared: bool, current: Any, kind: str) -> dict[str, Any]:
    """Count by the tenths of the reference."""
    import numpy

    base, current_values = _floats(source, kind), _floats(current, kind)
    present = base[~numpy.isnan(base)]
    steps = numpy.quantile(present, numpy.arange(1, BINS) / BINS, method="lower")
    edges = numpy.unique(steps[numpy.isfinite(steps)])

    def cells(values: Any) -> list[int]:
        present = values[~numpy.isnan(values)]
        places = numpy.searchsorted(edges, present, side="right")
        counts = numpy.bincount(places, minlength=len(edges) + 1).tolist()
        return [*counts, len(values) - len(present)]

    facts: dict[str, Any] = {
        "kind": "numbers",
        "edges": [float(f"{edge:.9g}") for edge in edges.tolist()],
        "labels": [f"bin {number + 1}" for number in range(len(edges) + 1)] + [MISSING],
        "reference": cells(base) if compared else None,
        "current": cells(current_values),
        "unseen": {"rows": 0, "values": []},
    }
    return facts | (_distance(base, current_values) if compared else {})


def _floats(array: Any, kind: str) -> Any:
    """Return numbers, or days since 1970; what is missing is not-a-number."""
    import numpy
    import pyarrow

    if kind == "time":
        days = (
            array.cast(pyarrow.timestamp("us"), safe=False)
            .to_pandas()
            .to_numpy(dtype="datetime64[us]")
        )
        since = days.astype("int64").astype(float) / 86_400e6
        return numpy.where(numpy.isnat(days), numpy.nan, since)
    return numpy.asarray(array.cast(pyarrow.float64(), safe=False).to_pandas(), dtype=float)


def _distance(base: Any, current: Any) -> dict[str, Any]:
    """Return the Kolmogorov-Smirnov distance; its p-value is shown and never judged."""
    import numpy
    import scipy.stats

    sides = [side[~numpy.isnan(side)] for side in (base, current)]
    if not all(map(len, sides)):
        return {"ks": 1.0, "p": 0.0, "test": "Kolmogorov-Smirnov"}
    result = scipy.stats.ks_2samp(*sides, method="asymp")
    return {
        "ks": float(result.statistic),
        "p": float(result.pvalue),
        "test": "Kolmogorov-Smirnov",
    }


def _chi_square(base: list[int], current: list[int]) -> dict[str, Any]:
    """Return the p-value of Pearson's test, which is shown and never judged."""
    import scipy.stats

    table = [[a, b] for a, b in zip(base, current, strict=True) if a + b]
    p = float(scipy.stats.chi2_contingency(table).pvalue) if len(table) > 1 else 1.0
    return {"p": p, "test": "chi-square"}


if __name__ == "__main__":
    sys.exit(job.run(main))
