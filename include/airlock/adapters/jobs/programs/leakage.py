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

from airlock.adapters.jobs.errors import DataInvalid
from airlock.adapters.jobs.shared import job
from airlock.adapters.jobs.statistics import columns, metrics
from airlock.adapters.jobs.statistics.columns import Columns

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
    held_out = columns.held_out(table, data)
    if held_out.all() or not held_out.any():
        raise DataInvalid(
            f"data of {name}: {len(held_out)} rows leave none on one side of the split"
        )
    aside = (data["target"], data["timeColumn"])
    features = [column for column in table.names if column not in aside]
    truth = numpy.asarray(numbers(table, data["target"]), dtype=float)
    return {
        "task": data["task"],
        "target": data["target"],
        "timeColumn": data["timeColumn"],
        "scoreName": _SCORES[data["task"]],
        "rows": table.length,
        "heldOut": int(held_out.sum()),
        "features": [_feature(table, column, truth, held_out, data["task"]) for column in features],
        "times": _times(table, features, data["timeColumn"], request["availableAt"], name),
        "duplicates": _duplicates(table, [*features, data["target"]], held_out),
        "entity": _entity(table, request["entityColumn"], held_out, name),
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


def _feature(table: Columns, name: str, truth: Array, held_out: Array, task: str) -> dict[str, Any]:
    """Return how well one column alone predicts the answer of rows it was not learned on."""
    import numpy

    kind = table.type_of(name)
    if kind not in ("boolean", "number", "text", "time"):
        return {"column": name, "type": kind, "score": None, "equal": 0}
    codes = _codes(table, name, kind, held_out)
    trained, answers = codes[~held_out], truth[~held_out]
    mean, size = float(answers.mean()), int(codes.max()) + 1
    counts = numpy.bincount(trained, minlength=size)
    means = (numpy.bincount(trained, answers, minlength=size) + mean) / (counts + 1)
    score = metrics.prepare(_SCORES[task], truth[held_out], means[codes[held_out]])
    equal = 0 if kind in ("text", "time") else int((numbers(table, name) == truth).sum())
    return {
        "column": name,
        "type": kind,
        "score": round(score(numpy.ones(int(held_out.sum()))), 6),
        "equal": equal,
    }


def _codes(table: Columns, name: str, kind: str, held_out: Array) -> Array:
    """Return a small number per row: its value, or its bin among those of the training part."""
    import numpy
    import pyarrow.compute as compute

    array = table.read(name)
    if kind in ("text", "boolean") or compute.count_distinct(array).as_py() <= BINS:
        coded = array.combine_chunks().dictionary_encode(null_encoding="encode")
        return numpy.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=int)
    values = numbers(table, name)
    training = values[~held_out]
    training = training[~numpy.isnan(training)]
    if not len(training):
        return numpy.zeros(len(values), dtype=int)
    steps = numpy.quantile(training, numpy.arange(1, BINS) / BINS, method="lower")
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
    checked = [c for c in features if table.type_of(c) == "time" or c in declared.values()]
    results = []
    row_times = numbers(table, own) if own and checked else None
    by_day = bool(own) and str(table.schema.field(own).type).startswith("date")
    for column in checked:
        facts: dict[str, Any] = {
            "column": column,
            "of": sorted(key for key, value in declared.items() if value == column),
            "later": None,
            "worstDays": None,
        }
        if row_times is not None:
            if table.type_of(column) != "time":
                raise DataInvalid(f"data of {name}: data.availableAt names {column}, no times")
            values = numbers(table, column)
            late = (numpy.floor(values) if by_day else values) - row_times
            late = late[~numpy.isnan(late)]
            worst = float(late.max()) if len(late) else 0.0
            facts |= {"later": int((late > 0).sum()), "worstDays": round(max(0.0, worst), 3)}
        results.append(facts)
    return results


def _duplicates(table: Columns, names: list[str], held_out: Array) -> dict[str, Any]:
    """Count equal rows, by one 64-bit number per row."""
    import numpy

    marks = numpy.zeros(table.length, dtype=numpy.uint64)
    for name in names:
        marks = marks * numpy.uint64(0x9E3779B97F4A7C15) + _hashes(table, name)
        marks ^= marks >> numpy.uint64(29)
    kinds, inverse, counts = numpy.unique(marks, return_inverse=True, return_counts=True)
    trained = numpy.bincount(inverse[~held_out], minlength=len(kinds))
    return {
        "training": int((~held_out).sum()),
        "heldOut": int(held_out.sum()),
        "trainingTwins": int(trained[trained > 1].sum()),
        "heldOutTwins": int((trained[inverse[held_out]] > 0).sum()),
        "spectrum": [int((counts == times).sum()) for times in range(1, 7)],
    }


def _hashes(table: Columns, name: str) -> Array:
    """Return a 64-bit number per row, the same for the same value."""
    import pandas

    values = table.read(name).to_pandas()
    if values.dtype == object:
        values = values.astype(str)
    hashes: Array = pandas.util.hash_array(values.to_numpy())
    return hashes


def _entity(
    table: Columns, column: str | None, held_out: Array, name: str
) -> dict[str, Any] | None:
    """Count the held-out rows about an entity that training rows are about too."""
    import numpy

    if column is None:
        return None
    if column not in table.names:
        raise DataInvalid(
            f"data of {name} has no column {column!r}; data.entityColumn names it",
            next_step="mend spec.data of the pipeline, or the source",
        )
    marks = _hashes(table, column)
    shared = numpy.isin(marks[held_out], marks[~held_out])
    return {
        "column": column,
        "entities": len(numpy.unique(marks)),
        "shared": len(numpy.unique(marks[held_out][shared])),
        "rows": int(shared.sum()),
    }


if __name__ == "__main__":
    sys.exit(job.run(main))
