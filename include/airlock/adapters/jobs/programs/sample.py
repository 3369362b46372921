"""Child: write some held-out rows to a file, evenly spread, as requests for other children.

A process whose own memory or time is measured cannot read all rows first. The rows keep their
numbers, by which their predictions are found.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from airlock.adapters.jobs.shared import job, pinned_rows

FILE = "requests.parquet"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Write the rows and say how many rows there are to choose from."""
    import numpy

    data = request["data"]
    table = pinned_rows.split(request, pinned_rows.load(request)).test
    count = min(request["requests"], len(table))
    where = numpy.unique(numpy.linspace(0, len(table) - 1, count).astype(int))
    chosen = table.iloc[where].drop(columns=[data["target"]])
    chosen.to_parquet(Path(request["work"]) / FILE, compression="zstd")
    return {"requests": len(chosen), "heldOut": len(table)}


if __name__ == "__main__":
    sys.exit(job.run(main))
