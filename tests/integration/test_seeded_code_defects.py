"""One defect at a time in the real employment package: its own gate finds it, and no other does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.domain.gates import Gate, GateResult, Verdict
from airlock.gates import DependencyAudit, StaticAnalysis, TestCoverage
from tests.integration.code_kit import PACKAGE, Repository, judged, repository
from tests.integration.test_dependency_evidence import UNREADABLE
from tests.support import ROOT

pytestmark = pytest.mark.integration

#: The copied tests leave alone what needs Great Expectations, hence not 80.
GATES: tuple[Gate, ...] = (
    TestCoverage(total=70),
    StaticAnalysis(),
    DependencyAudit(license_exceptions=UNREADABLE, max_age_days=36_500),
)

UNCOVERED = '''

def describe(rows: pandas.DataFrame) -> dict[str, float]:
    """Return the mean of every feature."""
    if rows.empty:
        return {}
    return {name: float(rows[name].mean()) for name in FEATURES}
'''


@pytest.fixture
def code(tmp_path: Path) -> Repository:
    made = repository(tmp_path)
    shutil.copytree(ROOT / "include/advisories", made.root / "include/advisories")
    return made


def uncovered_function(code: Repository) -> None:
    code.add(f"{PACKAGE}/train.py", UNCOVERED)


def vulnerable_dependency(code: Repository) -> None:
    lock = code.root / "requirements.txt"
    pins = [one.rstrip(" \\") for one in lock.read_text().splitlines() if "==" in one[:60]]
    pinned = [one for one in pins if not one.startswith((" ", "skops=="))]
    lock.write_text("\n".join([*pinned, "skops==0.12.0"]) + "\n")


def weak_hash(code: Repository) -> None:
    """On a line the tests do run."""
    train = code.root / PACKAGE / "train.py"
    text = train.read_text()
    first = "    from sklearn.compose import ColumnTransformer\n"
    digest = "    _ = hashlib.md5(target.encode()).hexdigest()\n"
    text = text.replace(first, digest + first, 1)
    imports = "from typing import TYPE_CHECKING\n"
    train.write_text(text.replace(imports, f"import hashlib\n{imports}", 1))


@pytest.mark.parametrize(
    ("defect", "caught"),
    [
        (uncovered_function, ("test-coverage", "new lines")),
        (vulnerable_dependency, ("dependency-audit", "skops 0.12.0 (CVE-2025-54886")),
        (weak_hash, ("static-analysis", "B324")),
    ],
)
def test_each_defect_is_found_by_its_own_gate_alone(
    code: Repository, defect: Callable[[Repository], None], caught: tuple[str, str]
) -> None:
    champion = code.commit()
    defect(code)
    scene = code.scene(code.commit(), champion)
    results: dict[str, GateResult] = {
        gate.name: judged(gate, scene, COLLECTORS[gate.name]) for gate in GATES
    }
    by, said = caught
    verdicts = {name: one.verdict for name, one in results.items()}
    expected = dict.fromkeys(results, Verdict.PASSED) | {by: Verdict.FAILED}
    assert verdicts == expected, [one.message for one in results.values()]
    assert said in results[by].message
