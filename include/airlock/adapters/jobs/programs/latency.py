"""Child: time predictions, as a caller with one row (or one batch) at hand would see them.

Each call gets its own frame of real held-out rows. Building the frame is not timed; the model's
own preparation is. A champion is timed in turns with the candidate, on the same rows, so that
whatever else the machine does slows both alike. Every single time is written down, so that an
auditor can compute the percentiles and the bounds again. Threads are limited by the environment
the parent gives.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.shared import job, pinned_rows, predict
from airlock.adapters.jobs.shared.model_loading import load_model
from airlock.adapters.jobs.statistics import block_bootstrap

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

_WARM_BATCHES = 5


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Time single rows and batches, write the times, return what they amount to."""
    table = pinned_rows.split(request, pinned_rows.load(request)).test
    arms = [_Arm("candidate", request["model"], request, table)]
    if request["champion"]:
        arms.append(_Arm("champion", request["champion"], request, table))
    single = _timed(arms, 1, request["n"], request["warmup"])
    batch = _timed(arms, request["batchRows"], request["batches"], _WARM_BATCHES)
    _write(Path(request["work"]) / "times.parquet", single, batch)
    return summary(single, batch, request["data"]["seed"]) | {
        "warmup": request["warmup"],
        "rowsPerCall": 1,
        "batchRows": request["batchRows"],
    }


def summary(single: Mapping[str, Array], batch: Mapping[str, Array], seed: int) -> dict[str, Any]:
    """Return the facts that follow from the times alone, in nanoseconds by arm."""
    facts: dict[str, Any] = _percentiles(single["candidate"])
    facts |= {"batch": _percentiles(batch["candidate"]), "champion": None, "ratio": None}
    if "champion" in single:
        facts["champion"] = _percentiles(single["champion"])
        facts["champion"]["batch"] = _percentiles(batch["champion"])
        facts["ratio"] = block_bootstrap.compare(single["candidate"], single["champion"], seed)
    return facts


class _Arm:
    """A model, ready to be asked for the held-out rows."""

    def __init__(
        self, name: str, folder: str, request: dict[str, Any], table: pandas.DataFrame
    ) -> None:
        label = f"the {name} of {request['name']}"
        self.name, self._task = name, request["data"]["task"]
        self._model = load_model(Path(folder), label)
        self._rows = pinned_rows.features_of(self._model, table, request["data"]["target"], label)
        predict.predict(self._model, self._rows.iloc[:1], self._task, label)

    def frame(self, number: int, size: int) -> pandas.DataFrame:
        """Return the rows of one call; the last ones are followed by the first."""
        where = [(number * size + step) % len(self._rows) for step in range(size)]
        return self._rows.iloc[where]

    def ask(self, frame: pandas.DataFrame) -> int:
        """Return how many nanoseconds one prediction takes."""
        started = time.perf_counter_ns()
        predict.score(self._model, frame, self._task)
        return time.perf_counter_ns() - started


def _timed(arms: list[_Arm], size: int, n: int, warmup: int) -> dict[str, Array]:
    """Ask all arms in turns, n times each after the warm-up."""
    import numpy

    times = numpy.empty((warmup + n, len(arms)), dtype=numpy.int64)
    for number in range(warmup + n):
        frames = [arm.frame(number, size) for arm in arms]
        times[number] = [arm.ask(frame) for arm, frame in zip(arms, frames, strict=True)]
    return {arm.name: times[warmup:, column] for column, arm in enumerate(arms)}


def _percentiles(times: Array) -> dict[str, Any]:
    import numpy

    p50, p95, p99 = numpy.percentile(times, [50, 95, 99]) / 1e6
    percentiles = {"p50Ms": p50, "p95Ms": p95, "p99Ms": p99}
    return {name: round(float(value), 4) for name, value in percentiles.items()} | {"n": len(times)}


def _write(out: Path, single: Mapping[str, Array], batch: Mapping[str, Array]) -> None:
    import pandas

    parts = [
        pandas.DataFrame({"arm": arm, "kind": kind, "nanoseconds": values})
        for kind, arms in (("single", single), ("batch", batch))
        for arm, values in arms.items()
    ]
    pandas.concat(parts, ignore_index=True).to_parquet(out, index=False, compression="zstd")


if __name__ == "__main__":
    sys.exit(job.run(main))
