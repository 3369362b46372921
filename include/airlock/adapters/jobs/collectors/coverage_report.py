"""Read what coverage.py measured, with our own idea of which lines there are to cover.

Rules:
* The statements and branches are counted here, from the source as git keeps it; the child only
  says from which line to which its program went. A file it does not name was not run at all.
* No pragma and no setting of the repository excludes a line. The one thing left out is a block
  `if TYPE_CHECKING:` of nothing but imports, which no program ever runs.
* Data without branches, or no data, is refused: half a measurement is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock.domain.errors import Refused

_ONLY_FOR_TYPES = (
    r"^if TYPE_CHECKING:"
    r"(?:\n    (?:from [\w.]+ )?import [\w., ]+(?=\n|\Z))+"
    r"(?=(?:\n(?:#[^\n]*)?)*\n[^\s#]|\s*\Z)"  # and the next line of code is not part of it
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One source: its statements by their first line, those that never ran, and its branches."""

    statements: frozenset[int]
    missing: frozenset[int]
    partial: frozenset[int]
    branches: int
    covered_branches: int
    first_lines: dict[int, int]

    def touched(self, lines: list[int]) -> frozenset[int]:
        """Return the statements that *lines* are a part of."""
        return self.statements & {self.first_lines.get(line, line) for line in lines}


#: By the path of a file: from which line to which its program went.
Arcs = Mapping[str, Sequence[tuple[int, int]]]


def read(
    arcs: Arcs | None, tree: Path, sources: tuple[str, ...], report: Path
) -> dict[str, Measured]:
    """Return the coverage of each source, and write coverage's own JSON report.

    Raises:
        Refused: if nothing was measured, or a source is no Python.
    """
    import coverage
    from coverage.exceptions import CoverageException

    if not arcs:
        raise Refused(
            "nothing of the package was run: the coverage data holds no branches",
            next_step="The tests must import the model's package.",
        )
    measurement = coverage.Coverage(
        data_file=str(report.with_suffix(".data")), branch=True, config_file=False, messages=False
    )
    measurement.set_option("report:exclude_lines", [_ONLY_FOR_TYPES])
    measurement.set_option("report:partial_branches", [])
    try:
        went = {str(tree / path): set(arcs[path]) for path in sources if path in arcs}
        measurement.get_data().add_arcs(went)
        morfs = [str(tree / path) for path in sources]
        measurement.json_report(morfs, outfile=str(report))
    except CoverageException as error:
        raise Refused(f"the coverage cannot be read: {error}") from error
    return _by_path(report, tree, sources)


def _by_path(report: Path, tree: Path, sources: tuple[str, ...]) -> dict[str, Measured]:
    document = json.loads(report.read_text("utf-8"))
    # coverage names files from the current folder where it can, else absolutely.
    files = {str(Path.cwd() / name): file for name, file in document["files"].items()}
    ours = {path: files.get(str(tree / path)) for path in sources}
    lost = [path for path, file in ours.items() if file is None]
    if lost:
        raise Refused(f"the coverage report lacks {', '.join(lost[:5])}")
    reduced = {path: _lines_only(file) for path, file in ours.items() if file is not None}
    about = {"coverage": document["meta"]["version"], "files": reduced}
    report.write_text(json.dumps(about, sort_keys=True), "utf-8")
    return {path: _measured(file, tree / path) for path, file in reduced.items()}


def _lines_only(file: dict[str, Any]) -> dict[str, Any]:
    names = ("executed_lines", "missing_lines", "executed_branches", "missing_branches", "summary")
    return {name: file[name] for name in names}


def _measured(file: dict[str, Any], source: Path) -> Measured:
    missing = frozenset(file["missing_lines"])
    ran = frozenset(file["executed_lines"])
    return Measured(
        statements=ran | missing,
        missing=missing,
        partial=frozenset(line for line, _ in file["missing_branches"]) & ran,
        branches=file["summary"]["num_branches"],
        covered_branches=file["summary"]["covered_branches"],
        first_lines=_first_lines(source),
    )


def _first_lines(source: Path) -> dict[int, int]:
    """Map the lines of statements that span several to the line coverage knows them by."""
    from coverage.parser import PythonParser

    parser = PythonParser(filename=str(source))
    parser.parse_source()
    return dict(parser.multiline_map)
