"""What footprint, test-coverage and dependency-audit cost, beside the bare tool each of them wraps.

Ours is the collector as a gate's task calls it: the commit exported, children with limits, results
written down. The peer is the tool by its own command, or the bare calls in as many fresh processes.
Both are timed from start to end, in turns, and the shortest of the rounds counts.

    python -m tests.bench code_gates
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock.adapters.jobs.collection_context import Scene
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.domain.gates import Evidence, Gate, run_gate
from airlock.gates import DependencyAudit, Footprint, TestCoverage
from tests.integration import code_kit, runtime_kit
from tests.integration.test_dependency_evidence import UNREADABLE
from tests.support import ROOT, short_folder

ROUNDS, RUNS = 3, 5

LOAD = """
    import sys, pandas, skops.io
    model, rows = sys.argv[1:]
    loaded = skops.io.load(model)
    table = pandas.read_parquet(rows).head(300)
    loaded.predict_proba(table[list(loaded.feature_names_in_)])
"""


@dataclass(frozen=True)
class Step:
    """One row: the gate, the bare commands, and the ratio that is still accepted."""

    gate: Gate
    scene: Scene
    tool: str
    bare: Callable[[], None]
    goal: float
    n: int


def run() -> list[dict[str, Any]]:
    """Measure each collector in turns with its bare tool."""
    folder = short_folder("code-gates")
    try:
        return [_row(step) for step in (*_code(folder), _footprint(folder))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _code(folder: Path) -> list[Step]:
    """The real employment package, its own tests and this machine's lock, in a repository."""
    repository = code_kit.repository(folder)
    shutil.copytree(ROOT / "include/advisories", repository.root / "include/advisories")
    # The candidate's code is the same: what its tests cover is no matter.
    champion = repository.commit()
    scene = repository.scene(repository.commit(), champion)

    def bare_coverage() -> None:
        measured = ("run", "--branch", f"--source={code_kit.PACKAGE}", "-m")
        pytest = ("pytest", "-q", "-o", "pythonpath=include", "--rootdir=.", code_kit.TESTS)
        _bare("-m", "coverage", *measured, *pytest, cwd=repository.root)
        _bare("-m", "coverage", "json", "-q", cwd=repository.root)

    def bare_audit() -> None:
        _bare("-m", "pip", "inspect", "--local", cwd=repository.root)

    coverage = TestCoverage(total=70)
    audit = DependencyAudit(license_exceptions=UNREADABLE, max_age_days=36_500)
    return [
        Step(coverage, scene, "coverage run and json", bare_coverage, 2.0, 1),
        Step(audit, scene, "pip inspect", bare_audit, 4.0, 1),
    ]


def _footprint(folder: Path) -> Step:
    """A model of real rows, loaded in fresh processes."""
    place = folder / "site"
    place.mkdir()
    site = runtime_kit.Site.made(place)
    model = site.trained(runtime_kit.GOOD)
    scene = site.scene(model, ({"gate": "footprint", "sizeMb": 1, "runs": RUNS},))

    def bare() -> None:
        for _ in range(RUNS):
            arguments = (str(model / "model.skops"), str(site.data.path))
            _bare("-c", textwrap.dedent(LOAD), *arguments, cwd=place)

    return Step(Footprint(size_mb=1, runs=RUNS), scene, "load and predict", bare, 2.5, RUNS)


def _bare(*arguments: str, cwd: Path) -> None:
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True)


def _row(step: Step) -> dict[str, Any]:
    ours, peers = [], []
    verdicts = set()
    for _ in range(ROUNDS):
        started = time.perf_counter()
        (kind,) = step.gate.needs
        facts = COLLECTORS[kind](step.scene).facts
        ours.append(time.perf_counter() - started)
        about = step.scene.case.candidate.artifact_digest
        verdicts.add(run_gate(step.gate, {kind: Evidence(kind, about, facts)}).verdict.value)
        started = time.perf_counter()
        step.bare()
        peers.append(time.perf_counter() - started)
    ratio = min(ours) / min(peers)
    return {
        "name": f"gates: {step.gate.name} against {step.tool}",
        "unit": "s",
        "ours": round(min(ours), 2),
        "peer": round(min(peers), 2),
        "ratio": round(ratio, 2),
        "goal": f"at most {step.goal:g} times, and passed",
        "met": ratio <= step.goal and verdicts == {"PASSED"},
        "n": step.n,
    }
