"""`make bench`: every benchmark against its peer in the same run, a table and build/bench.json.

Each module has `run() -> list of rows`; a row says what was measured, ours and the peer's figure,
their ratio, the goal and whether it was met. A module that fails costs its own rows: the others
are measured, and written as each module ends. Ends with 1 if a goal was missed or a module failed,
which is named. Names given on the
command line choose modules: `python -m tests.bench parse_dags`.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
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
OUT = ROOT / "build/bench.json"
COLUMNS = ("name", "unit", "ours", "peer", "ratio", "goal", "met", "n")


def main(chosen: list[str]) -> int:
    """Run, print, write; return the exit code."""
    unknown = sorted(set(chosen) - set(MODULES))
    if unknown:
        sys.stderr.write(f"no benchmark {', '.join(unknown)}; there are {', '.join(MODULES)}\n")
        return 2
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    for name in chosen or MODULES:
        try:
            rows += importlib.import_module(f"tests.bench.{name}").run()
        except Exception:  # one module's failure costs its own rows
            traceback.print_exc()
            failed.append(name)
        keep(rows)
    show(rows)
    if failed:
        sys.stderr.write(f"these benchmarks failed and have no rows: {', '.join(failed)}\n")
    return 0 if rows and not failed and all(row["met"] for row in rows) else 1


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table(box=None, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("yes" if row[c] is True else str(row[c]) for c in COLUMNS))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def keep(rows: list[dict[str, Any]]) -> None:
    """Write what was measured so far, whole or not at all."""
    OUT.parent.mkdir(exist_ok=True)
    fresh = OUT.with_suffix(".new")
    fresh.write_text(json.dumps(rows, indent=2))
    fresh.replace(OUT)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
