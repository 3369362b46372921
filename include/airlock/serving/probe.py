"""Child of the serving check: load one model as a serving host does, and ask it what it will be.

It does what `load_released` does with files (a private copy, its digest, the allow-list, our
loader), then sends recorded requests one by one, and then wrong ones, those in a process that may
die (`wrong_inputs`). It judges nothing.

The lab starts it by name, in a process of its own; nothing of the lab knows this code.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.lab.children import job, sample
from airlock.adapters.lab.errors import EvaluationFailed
from airlock.domain.errors import AirlockError, Invalid
from airlock.serving.loading import Loaded, load_files
from airlock.serving.schema import type_of
from airlock.serving.wrong_inputs import WRONG

if TYPE_CHECKING:
    import pandas

_SHOWN = 5


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
    return {
        "loaded": True,
        "flavor": loaded.flavor,
        "method": loaded.method,
        "schema": _schema(loaded, table),
        "wrongInputs": _wrong(request),
        **drawn,
        **_sent(loaded, table, expected),
    }


def _schema(loaded: Loaded, table: pandas.DataFrame) -> dict[str, Any]:
    """Hold the declared columns against the recorded rows, and against the model's own record."""
    if loaded.schema is None:
        said = ["MLmodel declares no signature of columns"]
        return {"declared": [], "equal": False, "differences": said}
    names, found = loaded.schema.names, []
    fitted = getattr(loaded.model, "feature_names_in_", None)
    if fitted is not None and [str(name) for name in fitted] != names:
        found.append(f"the model was fitted on {', '.join(map(str, fitted))}")
    for column in loaded.schema.columns:
        if column.name not in table.columns:
            found.append(f"the rows have no column {column.name!r}")
        elif (kind := type_of(table[column.name])) not in ("", column.type):
            found.append(f"{column.name!r} is {column.type} there, {kind} in the rows")
    declared = [
        {"name": one.name, "type": one.type, "required": one.required}
        for one in loaded.schema.columns
    ]
    return {"declared": declared, "equal": not found, "differences": found}


def _sent(loaded: Loaded, table: pandas.DataFrame, expected: Any) -> dict[str, Any]:
    """Send each row as a request of its own and compare the answer with the evaluation's."""
    names = loaded.schema.names if loaded.schema else list(table.columns)
    apart, unanswered = [], []
    for number in range(len(table)):
        row = table.iloc[[number]]
        try:
            answer = _value(loaded.predict(row[[n for n in names if n in row.columns]]))
            if not math.isfinite(answer):
                raise ValueError(f"the answer is {answer}")
            apart.append(abs(answer - float(expected.loc[row.index[0]])))
        except Exception as error:  # whatever it is, the request was not answered
            unanswered.append(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
    scale = max(1.0, float(abs(expected).max()))
    return {
        "answered": len(table) - len(unanswered),
        "unanswered": sorted(set(unanswered))[:_SHOWN],
        "differing": sum(one > 0 for one in apart),
        "maxDifference": max(apart, default=None),
        "scale": scale,
    }


def _value(answer: Any) -> float:
    """Return the number an answer for one row stands for: of two classes the second's."""
    import numpy

    values = numpy.asarray(answer, dtype=float)
    return float(values[0, 1] if values.ndim == 2 else values[0])


def _wrong(request: dict[str, Any]) -> list[dict[str, str]]:
    """Send the wrong inputs; after one that killed its process, go on behind it."""
    found: list[dict[str, str]] = []
    while len(found) < len(WRONG):
        lines, code = _send_from(request, len(found))
        ended = [line for line in lines if line["outcome"] != "sent"]
        found += ended
        if len(found) == len(WRONG):
            break
        if not lines or lines[-1]["outcome"] != "sent":
            raise EvaluationFailed(f"the wrong inputs of {request['name']} could not be sent")
        said = f"the process ended with {code}"
        found.append({"name": lines[-1]["name"], "outcome": "crashed", "said": said})
    return found


def _send_from(request: dict[str, Any], first: int) -> tuple[list[dict[str, str]], int]:
    file = Path(request["work"]) / "request.json"
    done = subprocess.run(
        [sys.executable, "-m", "airlock.serving.wrong_inputs", str(file), str(first)],
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stderr.write(done.stderr[-10_000:])
    return [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"], (
        done.returncode
    )


if __name__ == "__main__":
    sys.exit(job.run(main))
