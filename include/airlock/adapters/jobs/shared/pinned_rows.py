"""Read pinned rows, refuse what no model can be made of, and split them.

The split is a pure function of the rows and of the request, so that training, evaluation and
latency, each in its own process, see the same two parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock import tables
from airlock.adapters.jobs.errors import DataInvalid
from airlock.domain.digest import file_digest

if TYPE_CHECKING:
    import numpy
    import pandas
    import pyarrow


@dataclass(frozen=True, slots=True)
class Parts:
    """Training and held-out rows; the time column is gone, the index is the row's number."""

    train: pandas.DataFrame
    test: pandas.DataFrame


def load(request: dict[str, Any]) -> pandas.DataFrame:
    """Read the pinned file, whose digest must be the one in the request."""
    data = request["data"]
    path = Path(data["path"])
    digest = file_digest(path)
    if digest != data["digest"]:
        raise DataInvalid(
            f"data of {request['name']}: expected {data['digest']}, found {digest} in {path.name}",
            next_step="something changed the pinned file; start a new run, which pins it again",
        )
    table = tables.open_rows(path)
    if odd := tables.irregular(table.schema):
        raise DataInvalid(
            f"data of {request['name']}: nobody pins the columns {', '.join(odd[:5])} as they are",
            next_step="start a new run, which pins the data again",
        )
    _check(request["name"], table, data)
    return tables.frame(table)


def _check(name: str, table: pyarrow.Table, data: dict[str, Any]) -> None:
    """Refuse data no model can be made of."""
    if not table.num_rows:
        raise DataInvalid(f"data of {name} has no rows", next_step="widen the data window")
    needed = [data["target"], *filter(None, [data["timeColumn"]])]
    for column in needed:
        if column not in table.column_names:
            raise DataInvalid(
                f"data of {name} has no column {column!r}; it has {', '.join(table.column_names)}",
                next_step="mend spec.data of the pipeline, or the source",
            )
    _check_target(name, table[data["target"]], data, "the data")


def _check_target(name: str, values: Any, data: dict[str, Any], where: str) -> None:
    """Refuse a target that is no number, or not the classes 0 and 1."""
    problem = tables.target_problem(values, data["target"], data["task"], where)
    if problem is not None:
        raise DataInvalid(f"data of {name}: {problem.text}", next_step=problem.way_out)


def split(request: dict[str, Any], rows: pandas.DataFrame) -> Parts:
    """Split by time, or by a seeded draw per row, and check both parts."""
    import pyarrow

    data = request["data"]
    mask = held_out(rows, data)
    for part, chosen in (("train on", ~mask), ("hold out", mask)):
        if not chosen.any():
            raise DataInvalid(f"data of {request['name']}: {len(rows)} rows leave none to {part}")
    bare = rows.drop(columns=[data["timeColumn"]] if data["timeColumn"] else [])
    parts = Parts(bare[~mask], bare[mask])
    if data["task"] == "classification":
        for side, where in ((parts.train, "the training part"), (parts.test, "the held-out part")):
            values = pyarrow.array(side[data["target"]])
            _check_target(request["name"], values, data, where)
    return parts


def held_out(rows: pandas.DataFrame, data: dict[str, Any]) -> numpy.ndarray[Any, Any]:
    """Return a mask of the held-out rows."""
    import numpy

    if not data["timeColumn"]:
        # One draw per row number, not a permutation: when rows are appended, every earlier row
        # stays on its side, so a champion is never measured on rows it was trained on.
        draws = numpy.random.default_rng(data["seed"]).random(len(rows))
        return numpy.asarray(draws < data["holdout"])
    order = rows[data["timeColumn"]].reset_index(drop=True).sort_values(kind="stable").index
    mask = numpy.zeros(len(rows), dtype=bool)
    mask[order[len(rows) - round(len(rows) * data["holdout"]) :]] = True
    return mask


def features_of(model: Any, rows: pandas.DataFrame, target: str, name: str) -> pandas.DataFrame:
    """Return the columns *model* was fitted on; without a record, everything but the target."""
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is None:
        return rows.drop(columns=[target])
    lacking = [column for column in fitted if column not in rows.columns]
    if lacking:
        raise DataInvalid(f"data of {name} lacks the columns {lacking} the model was fitted on")
    return rows[list(fitted)]
