"""Small rows, scripts and requests for the tests of the lab."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy
import pandas

from airlock.adapters.datasets.files import FileData
from airlock.adapters.jobs import Lab, LabData, Limits, TrainRequest, TrainResult

#: Generous in time: other tests may keep the machine busy.
LIMITS = Limits(seconds=400, memory_mb=2048, threads=1)

GOOD = """
    from sklearn.linear_model import LogisticRegression

    def train(rows, target, seed):
        return LogisticRegression().fit(rows.drop(columns=[target]), rows[target])
"""


def rows(n: int = 400, seed: int = 1) -> pandas.DataFrame:
    """A learnable two-class table with a time order."""
    draw = numpy.random.default_rng(seed)
    one, two = draw.normal(size=n), draw.normal(size=n)
    chance = 1 / (1 + numpy.exp(-2 * one))
    days = pandas.date_range("2020-01-01", periods=n, freq="D").date
    return pandas.DataFrame(
        {"one": one, "two": two, "label": (draw.random(n) < chance).astype(int), "day": days}
    )


def pinned(folder: Path, table: pandas.DataFrame, **changes: Any) -> LabData:
    """Pin *table* and describe it for the lab."""
    source = folder / "rows.parquet"
    table.to_parquet(source, index=False)
    data = FileData(folder / "data")
    time_column = "day" if "day" in table.columns else None
    facts = data.pin(source, time_column)
    given = {"target": "label", "task": "classification", "time_column": time_column} | changes
    return LabData(path=data.path(facts["digest"]), digest=facts["digest"], **given)


def script(folder: Path, text: str, name: str = "train.py") -> Path:
    """Write a user's script."""
    path = folder / "code" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def trained(folder: Path, data: LabData, text: str = GOOD, limits: Limits = LIMITS) -> TrainResult:
    """Train with a script."""
    request = TrainRequest(name="demo", data=data, script=script(folder, text), limits=limits)
    return Lab(folder / "lab").train(request)
