"""The folder is the architecture: what imports what, held by tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.gates import GATES
from tests.support import ROOT

INCLUDE = ROOT / "include"


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
    return modules


@pytest.mark.parametrize("path", sorted((INCLUDE / "airlock/domain").glob("*.py")), ids=str)
def test_the_domain_imports_the_standard_library_alone(path: Path) -> None:
    assert imports(path) - {"airlock"} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((INCLUDE / "airlock_evidence").glob("*.py")), ids=str)
def test_what_travels_in_a_bundle_needs_python_3_9_and_nothing_else(path: Path) -> None:
    assert ast.parse(path.read_text(), feature_version=(3, 9))
    allowed = {"airlock_evidence"} | ({"airlock"} if path.name == "gates.py" else set())
    assert imports(path) - allowed <= sys.stdlib_module_names
    assert len(path.read_text().splitlines()) <= 500


def test_the_import_contracts_are_kept() -> None:
    completed = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{INCLUDE}:{ROOT / 'plugins'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_files_stay_short() -> None:
    ours = [
        *INCLUDE.glob("airlock/**/*.py"),
        *ROOT.glob("plugins/**/*.py"),
        *ROOT.glob("dags/*.py"),
    ]
    assert ours
    assert [str(path) for path in ours if len(path.read_text().splitlines()) > 500] == []


def test_every_kind_of_collected_evidence_is_needed_and_by_one_gate_alone() -> None:
    needed = [kind for gate in GATES for kind in gate.needs]
    read_from_bytes = {"artifact-format": 2}  # two gates that collect it read the same
    expected = dict.fromkeys(COLLECTORS, 1) | read_from_bytes
    assert {kind: needed.count(kind) for kind in COLLECTORS} == expected


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_every_gate_has_a_heading_and_a_test_file(gate: type) -> None:
    name = gate.name  # type: ignore[attr-defined]
    reference = (ROOT / "docs/reference/gates.md").read_text()
    assert f"## {name}\n" in reference
    assert (ROOT / f"tests/unit/gates/test_{name.replace('-', '_')}.py").is_file()


CLOCKS = {"time", "monotonic", "perf_counter", "process_time"}


def durations(path: Path) -> list[int]:
    """Return the lines of the asserts that subtract from what a clock says now."""
    return [
        checked.lineno
        for checked in ast.walk(ast.parse(path.read_text()))
        if isinstance(checked, ast.Assert)
        for node in ast.walk(checked.test)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and isinstance(node.left, ast.Call)
        and isinstance(node.left.func, ast.Attribute)
        and node.left.func.attr in CLOCKS
    ]


def test_no_test_is_decided_by_how_fast_the_machine_is() -> None:
    """A figure of speed belongs to tests/bench; what hangs is ended by pytest's own timeout."""
    tests = [path for path in ROOT.glob("tests/**/*.py") if "bench" not in path.parts]
    assert len(tests) > 100
    assert {str(path): lines for path in tests if (lines := durations(path))} == {}


def test_an_assert_on_a_duration_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_slow.py").write_text("assert time.monotonic() - begun < 3\n")
    assert durations(tmp_path / "test_slow.py") == [1]
