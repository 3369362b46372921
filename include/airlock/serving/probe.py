"""Child of the serving check: load one model as a serving host does, and ask it what it will be.

It does what `load_released` does with files (a private copy, its digest, the allow-list, our
loader), then sends recorded requests one by one, and then wrong ones. It judges nothing.

The lab starts it by name, in a process of its own; nothing of the lab knows this code. A model
that kills the process is for the lab to see.
"""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import EvaluationFailed
from airlock.adapters.jobs.programs import sample
from airlock.adapters.jobs.shared import job
from airlock.domain.errors import AirlockError, Invalid
from airlock.serving.loading import Loaded, load_files
from airlock.serving.schema import type_of
from airlock.serving.wrong_inputs import outcomes

if TYPE_CHECKING:
    import pandas

_MOST_SHOWN = 5
_ROWS = 3


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Load, compare the schema, send everything, and report."""
    import pandas

    drawn = sample.main(request)
    folder = Path(request["work"]) / "model"
    shutil.copytree(request["model"], folder, symlinks=True)
    try:
        loaded = load_files(folder, request["artifactDigest"], request["name"], "to be served")
    except Invalid as error:
        raise EvaluationFailed(error.message, next_step=error.next_step) from error
    except AirlockError as error:
        return drawn | {"loaded": False, "why": error.message}
    table = pandas.read_parquet(folder.with_name(sample.FILE))
    expected = pandas.read_parquet(request["predictions"]).set_index("row")["candidate"]
    good = table[_columns(loaded, table)].iloc[:_ROWS]
    return drawn | {
        "loaded": True,
        "flavor": loaded.flavor,
        "method": loaded.method,
        "schema": _schema(loaded, table),
        "wrongInputs": list(outcomes(loaded, good)),
        **_sent(loaded, table, expected),
    }


def _columns(loaded: Loaded, table: pandas.DataFrame) -> list[str]:
    """Return the declared columns that are there; all columns if none are declared."""
    names = loaded.schema.names if loaded.schema else list(table.columns)
    return [name for name in names if name in table.columns]


def _schema(loaded: Loaded, table: pandas.DataFrame) -> dict[str, Any]:
    """Hold the declared columns against the recorded rows, and against the model's own record."""
    if loaded.schema is None:
        differences = ["MLmodel declares no signature of columns"]
        return {"declared": [], "equal": False, "differences": differences}
    names, differences = loaded.schema.names, []
    fitted = getattr(loaded.model, "feature_names_in_", None)
    if fitted is not None and [str(name) for name in fitted] != names:
        differences.append(f"the model was fitted on {', '.join(map(str, fitted))}")
    for column in loaded.schema.columns:
        if column.name not in table.columns:
            differences.append(f"the rows have no column {column.name!r}")
        elif (kind := type_of(table[column.name])) not in ("", column.type):
            differences.append(f"{column.name!r} is {column.type} there, {kind} in the rows")
    declared = [
        {"name": column.name, "type": column.type, "required": column.required}
        for column in loaded.schema.columns
    ]
    return {"declared": declared, "equal": not differences, "differences": differences}


def _sent(loaded: Loaded, table: pandas.DataFrame, expected: Any) -> dict[str, Any]:
    """Send each row as a request of its own and compare the answer with the evaluation's."""
    columns, apart, unanswered = _columns(loaded, table), [], []
    for number in range(len(table)):
        row = table.iloc[[number]]
        try:
            answer = _value(loaded.predict(row[columns]))
            if not math.isfinite(answer):
                raise ValueError(f"the answer is {answer}")
            apart.append(abs(answer - float(expected.loc[row.index[0]])))
        except Exception as error:  # whatever it is, the request was not answered
            unanswered.append(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
    return {
        "answered": len(table) - len(unanswered),
        "unanswered": sorted(set(unanswered))[:_MOST_SHOWN],
        "differing": sum(difference > 0 for difference in apart),
        "maxDifference": max(apart, default=None),
        "scale": max(1.0, float(abs(expected).max())),
    }


def _value(answer: Any) -> float:
    """Return the number an answer for one row stands for: of two classes the second's."""
    import numpy

    values = numpy.asarray(answer, dtype=float)
    return float(values[0, 1] if values.ndim == 2 else values[0])


if __name__ == "__main__":
    sys.exit(job.run(main))
