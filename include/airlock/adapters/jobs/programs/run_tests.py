"""Child: run the model's own tests under coverage.py and count how each of them ended.

It is started by its path, in the exported commit, with none of Airlock's modules and no setting of
the repository: what is measured, and how, is said here. It reports what it saw, line by line: from
where to where the program went in each file. What that covers is counted by others.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import coverage
import pytest

_NAMED = 20


class Endings:
    """How every test ended; a failure in any phase counts, and is never taken back."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        self._broken: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that cannot be imported."""
        if report.failed:
            self._broken.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test."""
        if report.failed:
            self._of[report.nodeid] = "failed"
        elif report.skipped:
            self._of.setdefault(report.nodeid, "skipped")
        elif report.when == "call":
            self._of.setdefault(report.nodeid, "passed")

    def document(self, code: int) -> dict[str, Any]:
        """Return the counts and the first names of what failed."""
        ends = list(self._of.values())
        failed = [name for name, end in self._of.items() if end == "failed"]
        return {
            "exit": code,
            "passed": ends.count("passed"),
            "failed": len(failed),
            "skipped": ends.count("skipped"),
            "errors": len(self._broken),
            "failures": [name[:300] for name in (self._broken + failed)[:_NAMED]],
        }


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Measure the code while its tests run."""
    measured = coverage.Coverage(
        data_file=request["data"],
        branch=True,
        source=request["folders"],
        config_file=False,
        messages=False,
    )
    endings = Endings()
    arguments = ["-q", "--tb=short", "-p", "no:cacheprovider", "--import-mode=importlib"]
    arguments += ["-c", request["settings"], f"--rootdir={request['root']}"]
    arguments += [f"--confcutdir={request['confcutdir']}", *request["tests"]]
    measured.start()
    try:
        code = int(pytest.main(arguments, plugins=[endings]))
    finally:
        measured.stop()
        measured.save()
    return endings.document(code) | {"pytest": pytest.__version__, "arcs": _arcs(measured, request)}


def _arcs(measured: coverage.Coverage, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the steps from line to line in each source, by its path from the root; None: none."""
    data = measured.get_data()
    if not data.has_arcs():
        return None
    files = {path: str(Path(request["root"], path)) for path in request["sources"]}
    measured_files = data.measured_files()
    return {
        path: sorted(map(list, data.arcs(name) or ()))
        for path, name in files.items()
        if name in measured_files
    }


if __name__ == "__main__":
    result = main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(result), "utf-8")
