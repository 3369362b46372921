"""Child: what the features know that they should not. No user code runs here.

* A feature alone: the mean answer per value, or per one of 255 bins of equally many rows, is
  learned on the training part and scored on the held-out part. A copy of the answer, rescaled,
  shuffled in its codes or a little noisy, scores as high as no honest feature does.
* Times: a column that holds times must not be later than the row's own.
* Equal rows: how many, and on which side of the split. All columns count but the row's own time.
* Whom the rows are about: in how many held-out rows somebody training has seen.

One column is in memory at a time, besides the answers and one number per row.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airlock.adapters.lab.children import columns, job, metrics
from airlock.adapters.lab.children.columns import Columns
from airlock.adapters.lab.errors import DataInvalid

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

#: More different numbers than this are put into as many bins.
BINS = 255
_SCORES = {"classification": "roc_auc", "regression": "r2"}


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Look for all four kinds of leaks."""
    import numpy

    data, name = request["data"], request["name"]
    table = columns.pinned(name, data)
    held = columns.held_out(table, data)
    if held.all() or not held.any():
        raise DataInvalid(f"data of {name}: {len(held)} rows leave none on one side of the split")
    aside = (data["target"], data["timeColumn"])
    features = [one for one in table.names if one not in aside]
    truth = numpy.asarray(numbers(table, data["target"]), dtype=float)
    return {
        "task": data["task"],
        "target": data["target"],
        "timeColumn": data["timeColumn"],
        "scoreName": _SCORES[data["task"]],
        "rows": table.length,
        "heldOut": int(held.sum()),
        "features": [_feature(table, one, truth, held, data["task"]) for one in features],
        "times": _times(table, features, data["timeColumn"], request["availableAt"], name),
        "duplicates": _duplicates(table, [*features, data["target"]], held),
        "entity": _entity(table, request["entityColumn"], held, name),
    }


def numbers(table: Columns, column: str) -> Array:
    """Return a column as numbers, times as days since 1970; what is missing is not-a-number.

    Integers beyond 2^53 are rounded to a double, and times to a microsecond: both are measured here
    and go nowhere else. Equal entities are counted by all their digits (`_hashes`).
    """
    import numpy
    import pyarrow

    array = table.read(column)
    if table.type_of(column) == "time":
        days = (
            array.cast(pyarrow.timestamp("us"), safe=False)
            .to_pandas()
            .to_numpy(dtype="datetime64[us]")
        )
        since = days.astype("int64").astype(float) / 86_400e6
        return numpy.where(numpy.isnat(days), numpy.nan, since)
    return numpy.asarray(array.cast(pyarrow.float64(), safe=False).to_pandas(), dtype=float)


def _feature(table: Columns, name: str, truth: Array, held: Array, task: str) -> dict[str, Any]:
    """Return how well one column alone predicts the answer of rows it was not learned on."""
    import numpy

    kind = table.type_of(name)
    if kind not in ("boolean", "number", "text", "time"):
        return {"column": name, "type": kind, "score": None, "equal": 0}
    codes = _codes(table, name, kind, held)
    seen, answers = codes[~held], truth[~held]
    mean, size = float(answers.mean()), int(codes.max()) + 1
    counts = numpy.bincount(seen, minlength=size)
    means = (numpy.bincount(seen, answers, minlength=size) + mean) / (counts + 1)
    score = metrics.prepare(_SCORES[task], truth[held], means[codes[held]])
    equal = 0 if kind in ("text", "time") else int((numbers(table, name) == truth).sum())
    return {
        "column": name,
        "type": kind,
        "score": round(score(numpy.ones(int(held.sum()))), 6),
        "equal": equal,
    }


def _codes(table: Columns, name: str, kind: str, held: Array) -> Array:
    """Return a small number per row: its value, or its bin among those of the training part."""
    import numpy
    import pyarrow.compute as compute

    array = table.read(name)
    if kind in ("text", "boolean") or compute.count_distinct(array).as_py() <= BINS:
        coded = array.combine_chunks().dictionary_encode(null_encoding="encode")
        return numpy.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=int)
    values = numbers(table, name)
    known = values[~held]
    known = known[~numpy.isnan(known)]
    if not len(known):
        return numpy.zeros(len(values), dtype=int)
    steps = numpy.quantile(known, numpy.arange(1, BINS) / BINS, method="lower")
    edges = numpy.unique(steps)
    places = numpy.searchsorted(edges, values, side="right")
    return numpy.where(numpy.isnan(values), len(edges) + 1, places)


def _times(
    table: Columns, features: list[str], own: str | None, declared: dict[str, str], name: str
) -> list[dict[str, Any]]:
    """Return for each column of times how many rows hold one later than the row's own."""
    import numpy

    absent = sorted({*declared, *declared.values()} - set(table.names))
    if absent:
        raise DataInvalid(
            f"data of {name} has no column {', '.join(absent)}; data.availableAt names it",
            next_step="mend spec.data of the pipeline, or the source",
        )
    wanted = [c for c in features if table.type_of(c) == "time" or c in declared.values()]
    found = []
    mine = numbers(table, own) if own and wanted else None
    by_day = bool(own) and str(table.schema.field(own).type).startswith("date")
    for column in wanted:
        facts: dict[str, Any] = {
            "column": column,
            "of": sorted(key for key, value in declared.items() if value == column),
            "later": None,
            "worstDays": None,
        }
        if mine is not None:
            if table.type_of(column) != "time":
                raise DataInvalid(f"data of {name}: data.availableAt names {column}, no times")
            values = numbers(table, column)
            late = (numpy.floor(values) if by_day else values) - mine
            late = late[~numpy.isnan(late)]
            worst = float(late.max()) if len(late) else 0.0
            facts |= {"later": int((late > 0).sum()), "worstDays": round(max(0.0, worst), 3)}
        found.append(facts)
    return found


def _duplicates(table: Columns, names: list[str], held: Array) -> dict[str, Any]:
    """Count equal rows, by one 64-bit number per row."""
    import numpy

    marks = numpy.zeros(table.length, dtype=numpy.uint64)
    for name in names:
        marks = marks * numpy.uint64(0x9E3779B97F4A7C15) + _hashes(table, name)
        marks ^= marks >> numpy.uint64(29)
    kinds, which, counts = numpy.unique(marks, return_inverse=True, return_counts=True)
    trained = numpy.bincount(which[~held], minlength=len(kinds))
    return {
        "training": int((~held).sum()),
        "heldOut": int(held.sum()),
        "trainingTwins": int(trained[trained > 1].sum()),
        "heldOutTwins": int((trained[which[held]] > 0).sum()),
        "spectrum": [int((counts == times).sum()) for times in range(1, 7)],
    }


def _hashes(table: Columns, name: str) -> Array:
    """Return a 64-bit number per row, the same for the same value."""
    import pandas

    values = table.read(name).to_pandas()
    if values.dtype == object:
        values = values.astype(str)
    found: Array = pandas.util.hash_array(values.to_numpy())
    return found


def _entity(table: Columns, column: str | None, held: Array, name: str) -> dict[str, Any] | None:
    """Count the held-out rows about somebody the training part knows."""
    import numpy

    if column is None:
        return None
    if column not in table.names:
        raise DataInvalid(
            f"data of {name} has no column {column!r}; data.entityColumn names it",
            next_step="mend spec.data of the pipeline, or the source",
        )
    marks = _hashes(table, column)
    known = numpy.isin(marks[held], marks[~held])
    return {
        "column": column,
        "entities": len(numpy.unique(marks)),
        "shared": len(numpy.unique(marks[held][known])),
        "rows": int(known.sum()),
    }


if __name__ == "__main__":
    sys.exit(job.run(main))
