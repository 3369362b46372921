"""Child: time single-row predictions, as a caller with one row at hand would see them.

Each call gets its own one-row frame of a real held-out row. Building the frame is not timed; the
model's own preparation is. Threads are limited by the environment the parent gives.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from airlock.adapters.lab.children import job, predict, rows
from airlock.adapters.lab.trust import load_model


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Return the percentiles of n calls after the warm-up, in milliseconds."""
    import numpy

    data, n, warmup = request["data"], request["n"], request["warmup"]
    model = load_model(Path(request["model"]), request["name"])
    test = rows.split(request, rows.load(request)).test
    features = rows.features_of(model, test, data["target"], request["name"])
    predict.predict(model, features.iloc[:1], data["task"], f"the model {request['name']}")
    ones = [features.iloc[[number % len(features)]] for number in range(warmup + n)]
    times = []
    for one in ones:
        started = time.perf_counter_ns()
        predict.score(model, one, data["task"])
        times.append(time.perf_counter_ns() - started)
    p50, p95, p99 = numpy.percentile(times[warmup:], [50, 95, 99]) / 1e6
    return {
        "p50Ms": round(float(p50), 4),
        "p95Ms": round(float(p95), 4),
        "p99Ms": round(float(p99), 4),
        "n": n,
        "warmup": warmup,
        "rowsPerCall": 1,
    }


if __name__ == "__main__":
    sys.exit(job.run(main))
