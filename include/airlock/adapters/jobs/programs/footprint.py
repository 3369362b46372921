"""Child: load one model in this fresh process, predict some rows, and say what that took.

The clock starts before anything heavy is imported: a host that starts waits for the libraries too.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from airlock.adapters.jobs.shared import job, predict
from airlock.adapters.jobs.shared.model_loading import load_model

_MEGABYTE = 1 << 20


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Return milliseconds until the model was ready, and the most memory held until the end."""
    before = _peak()
    started = time.perf_counter()
    model = load_model(Path(request["model"]), request["name"])
    ready = time.perf_counter()
    loaded = _peak()
    import pandas

    table = pandas.read_parquet(request["requests"])
    features = table[list(getattr(model, "feature_names_in_", table.columns))]
    predict.predict(model, features, request["data"]["task"], f"the model {request['name']}")
    return {
        "loadMs": round((ready - started) * 1000, 3),
        "memoryMb": _peak(),
        "loadedMb": loaded,
        "bareMb": before,
        "rows": len(features),
    }


def _peak() -> float:
    """Return the most memory this process has held.

    Not `getrusage`: what it says begins with the size of the process that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / _MEGABYTE, 2)
    raise OSError("this system does not say how much memory a process has held")


if __name__ == "__main__":
    sys.exit(job.run(main))
