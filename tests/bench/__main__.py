"""`make bench`: every benchmark against its peer in the same run, a table and build/bench.json.

Each module has `run() -> list of rows`; a row says what was measured, ours and the peer's figure,
their ratio, the goal and whether it was met. Ends with 1 if a goal was missed. Names given on the
command line choose modules: `python -m tests.bench parse_dags`.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.support import ROOT

MODULES = (
    "audit_log",
    "code_gates",
    "data_gates",
    "decisions",
    "digest",
    "error_rates",
    "gate_cost",
    "guard",
    "latency_rates",
    "native_race",
    "parse_dags",
    "proposals",
    "release_ratio",
    "slack",
    "sweep",
    "through_http",
)
COLUMNS = ("name", "unit", "ours", "peer", "ratio", "goal", "met", "n")


def main(chosen: list[str]) -> int:
    """Run, print, write; return the exit code."""
    unknown = sorted(set(chosen) - set(MODULES))
    if unknown:
        sys.stderr.write(f"no benchmark {', '.join(unknown)}; there are {', '.join(MODULES)}\n")
        return 2
    rows: list[dict[str, Any]] = []
    for name in chosen or MODULES:
        rows += importlib.import_module(f"tests.bench.{name}").run()
    table = Table(box=None, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("yes" if row[c] is True else str(row[c]) for c in COLUMNS))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    out = ROOT / "build/bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(rows, indent=2))
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
