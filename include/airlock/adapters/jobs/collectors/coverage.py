"""Evidence test-coverage: what the model's own tests run of its code, and of what is new in it.

The code is the package and every file of the repository that it uses.

The tests are those of the candidate's commit: `tests/models/test_<package>.py`, the folder
`tests/models/<package>/`, and a folder `tests` in the package; whichever of them exist.

The team's own code (`run`) says how its tests ended and which lines they ran, and no more. Which
lines and branches there are, and which are new, is found by `collect` from the commit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock.adapters.jobs import checkout, errors, handover, tool_versions
from airlock.adapters.jobs.checkout import Code
from airlock.adapters.jobs.collection_context import Collected, Scene, TeamCode
from airlock.adapters.jobs.collectors import coverage_report
from airlock.adapters.jobs.collectors.coverage_report import Measured
from airlock.domain.digest import file_digest

GATE = "test-coverage"
_NAMED = 200
_PRAGMA = re.compile(r"#\s*pragma:\s*no\s+(cover|branch)", re.IGNORECASE)
_OUTCOME = "tests.json"
_COUNTS = ("exit", "passed", "failed", "skipped", "errors")


@dataclass(frozen=True, slots=True)
class Ended:
    """How the tests ended, and which steps from line to line they took in each source."""

    exit: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    failures: Sequence[str] = ()
    arcs: Mapping[str, Sequence[tuple[int, int]]] | None = None
    pytest: str = ""

    def facts(self) -> dict[str, Any]:
        """Return the facts for the evidence: without the steps and the longest words."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        facts["failures"] = [name[:300] for name in self.failures[:20]]
        return facts | ({"pytest": self.pytest[:40]} if self.pytest else {})


def run(team: TeamCode, out: Path) -> None:
    """Run the tests on the team's commit; leave how they ended and what they ran in *out*."""
    team.lab.check_team_code(f"the tests of {team.recipe.name}")
    work = team.lab.workspace(f"{GATE}-run", team.recipe.name)
    with checkout.exported(team.root, team.recipe.folder, team.code.code_commit, work) as code:
        outcome = _tested(team, code, work)
    handover.write(out / _OUTCOME, outcome)


def collect(scene: Scene) -> Collected:
    """Have the tests run on the candidate's commit and read what they covered."""
    work = scene.lab.workspace(GATE, scene.recipe.name)
    commit = scene.case.candidate.code_commit
    with checkout.exported(scene.root, scene.recipe.folder, commit, work) as code:
        base = checkout.base_of(scene)
        outcome = handover.read(scene.outcome(GATE, run) / _OUTCOME, Ended)
        ended = outcome.facts()
        facts: dict[str, Any] = {
            "candidateCommit": commit,
            "commit": code.commit,
            "championCommit": scene.champion.code_commit if scene.champion else None,
            "base": base.commit,
            "everyLineIsNew": base.why,
            "package": code.folder,
            "outside": list(code.outside),
            "unclear": list(code.unclear),
            "lookedFor": list(_looked_for(code)),
            "tests": ended,
            "notMeasured": list(code.others[:_NAMED]),
            "pragmas": _pragmas(code),
        }
        if ended["failed"] or ended["errors"] or not ended["passed"]:
            # Half of the tests measure nothing that could be compared.
            return Collected(facts | {"sources": [], "changed": None, "reportDigest": None})
        report = work / "coverage.json"
        by_path = coverage_report.read(outcome.arcs, code.tree, code.sources, report)
        new = checkout.added_lines(scene.root, base.commit, code) if base.commit else None
    facts |= {
        "sources": [_file(path, coverage) for path, coverage in by_path.items()],
        "changed": _changed(by_path, new),
        "reportDigest": file_digest(report),
    }
    return Collected(facts, {"coverage.json": report})


def _looked_for(code: Code) -> tuple[str, ...]:
    package = Path(code.folder).name
    return (
        f"tests/models/test_{package}.py",
        f"tests/models/{package}",
        f"{code.folder}/tests",
    )


def _tested(team: TeamCode, code: Code, work: Path) -> Ended:
    """Run what tests there are and return how they ended.

    Raises:
        LabFailure: if they change the package: else a test could shorten what there is to cover.
    """
    tests = tuple(path for path in _looked_for(code) if (code.tree / path).exists())
    before = checkout.digests(code)
    ended = _run(team, code, tests, work) if tests else Ended()
    if checkout.digests(code) != before:
        raise errors.LabFailure(
            f"the tests of {team.recipe.name} change the package they test",
            next_step="Let them write to a temporary folder (tmp_path).",
        )
    return ended


def _run(team: TeamCode, code: Code, tests: tuple[str, ...], work: Path) -> Ended:
    """Run the tests in a child and return its result."""
    settings, request, result = work / "pytest.ini", work / "request.json", work / "result.json"
    # The same two places a checkout's own tests import from.
    settings.write_text(f"[pytest]\npythonpath = '{code.tree}/include' '{code.tree}'\n")
    first = code.tree / tests[0]
    parameters = {
        "root": str(code.tree),
        "folders": sorted({str(code.tree / code.folder), *map(str, _around(code))}),
        "sources": code.sources,
        "data": str(work / "coverage.data"),
        "settings": str(settings),
        "confcutdir": str(first if first.is_dir() else first.parent),
        "tests": [str(code.tree / path) for path in tests],
    }
    request.write_text(json.dumps(parameters), "utf-8")
    script = Path(__file__).parents[1] / "programs" / "run_tests.py"
    code_of_exit = tool_versions.run(
        f"the tests of {team.recipe.name}",
        [team.lab.python, str(script), str(request), str(result)],
        work,
        team.limits(GATE),
        seed=team.recipe.seed,
        cwd=code.tree,
        extra={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    if code_of_exit or not result.is_file():
        raise errors.LabFailure(
            f"the tests of {team.recipe.name} ended with exit code {code_of_exit} and no result: "
            f"{tool_versions.last_words(work)}",
            next_step=f"see {work / 'log.txt'}",
        )
    return handover.read(result, Ended)


def _around(code: Code) -> set[Path]:
    """Return the folders of the files outside the package."""
    return {(code.tree / path).parent for path in code.outside if path.endswith(".py")}


def _pragmas(code: Code) -> list[str]:
    """Return the lines where the code asks not to be counted. It is counted all the same."""
    return [
        f"{path}:{number}"
        for path in code.sources
        for number, line in enumerate((code.tree / path).read_text("utf-8").splitlines(), 1)
        if _PRAGMA.search(line)
    ][:_NAMED]


def _file(path: str, coverage: Measured) -> dict[str, Any]:
    return {
        "path": path,
        "statements": len(coverage.statements),
        "covered": len(coverage.statements) - len(coverage.missing),
        "branches": coverage.branches,
        "coveredBranches": coverage.covered_branches,
    }


def _changed(by_path: dict[str, Measured], new: dict[str, list[int]] | None) -> dict[str, Any]:
    """Return the new statements, and those that did not run; *new* None: all are new."""
    files: list[dict[str, Any]] = []
    lines = 0
    uncovered: list[str] = []
    partial: list[str] = []
    for path, coverage in by_path.items():
        if new is not None and path not in new:
            continue
        touched = coverage.statements if new is None else coverage.touched(new[path])
        lines += len(touched if new is None else new[path])
        files.append({"path": path, "statements": len(touched)})
        uncovered += [f"{path}:{line}" for line in sorted(touched & coverage.missing)]
        partial += [f"{path}:{line}" for line in sorted(touched & coverage.partial)]
    return {
        "files": files,
        "lines": lines,
        "statements": sum(file["statements"] for file in files),
        "uncovered": len(uncovered),
        "partial": len(partial),
        "uncoveredLines": uncovered[:_NAMED],
        "partialLines": partial[:_NAMED],
    }
