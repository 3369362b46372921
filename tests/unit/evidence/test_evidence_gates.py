"""The gates travel in a bundle: alone they say what Airlock says; a changed number is found."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock.domain.gates import GateResult, options_digest
from airlock.gates import GATES, build, written
from airlock_evidence import documents
from airlock_evidence.gates import code, differs, judge, key_of, needs, options
from tests.support import ROOT
from tests.unit.gates import (
    test_artifact_format,
    test_artifact_scan,
    test_data_validation,
    test_dependency_audit,
    test_drift,
    test_footprint,
    test_label_balance,
    test_latency,
    test_leakage,
    test_model_card,
    test_reproducibility,
    test_serving_check,
    test_signature,
    test_static_analysis,
    test_test_coverage,
)
from tests.unit.gates.kit import ARTIFACT

Facts = dict[str, Any]
#: Where a number lies in the facts, and what somebody would rather have there.
Change = tuple[tuple[str | int, ...], Any]

_AUC = {"metric": "roc_auc", "candidate": 0.8, "champion": 0.8, "difference": 0.0, "n": 1000}
_SLICE = {"slice": "sex=1", "n": 500, "positives": 200, "value": 0.8, "se": 0.001, **_AUC}
_SLICE |= {"low": 0.78, "high": 0.82}
COMPARISON: Facts = {
    "champion": "3",
    "attempt": 1,
    "comparisons": [
        {**_AUC, "low": -0.004, "high": 0.004, "se": 0.01, "confidence": 0.95, "slices": [_SLICE]}
    ],
}
EVALUATION: Facts = {
    "rows": 1000,
    "candidate": {"metrics": {"roc_auc": 0.8}},
    "bounds": [
        {"metric": "roc_auc", "confidence": 0.95, "value": 0.8, "low": 0.78, "high": 0.82}
        | {"n": 1000, "slices": [_SLICE]}
    ],
}
_GROUPS = [
    {"group": f"SEX={n}", "n": 1000, "positives": 500, "selected": 500, "truePositives": 250}
    for n in (1, 2)
]
FAIRNESS: Facts = {
    "rows": 2000,
    "confidence": 0.95,
    "minimumRows": 100,
    "attributes": [
        {
            "attribute": "SEX",
            "groups": _GROUPS,
            "differences": {"demographicParity": {"value": 0.0, "low": 0.0, "high": 0.08}},
        }
    ],
}
SCANNED = {
    "artifact-format": test_artifact_scan.FORMATS,
    "artifact-scan": test_artifact_scan.three(),
}


def case(gate: str, kinds: Facts, *changes: Change, **gate_options: Any) -> Any:
    """Return a case: a gate, evidence that passes, and changes to its numbers."""
    return pytest.param({"gate": gate, **gate_options}, kinds, changes, id=gate)


CASES = [
    case(
        "artifact-format",
        {"artifact-format": test_artifact_format.facts(*SCANNED["artifact-format"]["files"])},
        (("artifact-format", "files", 0, "format"), "pickle"),
        (("artifact-format", "manifestDigest"), "sha256:0"),
        (("artifact-format", "files"), test_artifact_scan.PICKLED["files"]),
    ),
    case(
        "artifact-scan",
        SCANNED,
        (("artifact-scan", "scanners", 0, "status"), "found"),
        (("artifact-scan", "scanners", 1, "control"), "missed"),
        (("artifact-format", "manifestDigest"), "sha256:0"),
    ),
    case(
        "data-validation",
        {"data-validation": test_data_validation.DATED | {"champion": None}},
        (("data-validation", "successful"), 8),
        (("data-validation", "rows"), 101),
        (("data-validation", "newest"), "2019-01-31"),
        maxAgeDays=30,
    ),
    case(
        "dependency-audit",
        {"dependency-audit": test_dependency_audit.facts()},
        (("dependency-audit", "vulnerable"), [test_dependency_audit.weakness()]),
        (("dependency-audit", "database", "ageDays"), 31),
        (("dependency-audit", "packages", 0, "alternatives"), [["AGPL-3.0-only"]]),
        (("dependency-audit", "locked"), 2),
    ),
    case(
        "drift",
        {"drift": test_drift.facts()},
        (("drift", "columns", 0, "current"), [509, 491, 0, 0]),
        (("drift", "rows", "current"), 400),
        (("drift", "missing"), ["age"]),
    ),
    case(
        "fairness",
        {"fairness": FAIRNESS},
        (("fairness", "attributes", 0, "groups", 0, "selected"), 300),
        (("fairness", "attributes", 0, "differences", "demographicParity", "high"), 0.09),
        (("fairness", "rows"), 2001),
        demographicParity=0.1,
    ),
    case(
        "footprint",
        {"footprint": test_footprint.facts()},
        (("footprint", "candidate", "sizeBytes"), 4 * test_footprint.MEGABYTE + 1),
        (("footprint", "candidate", "runs", 2, "loadMs"), 500.0),
        sizeMb=5,
        loadMs=102,
    ),
    case(
        "label-balance",
        {"label-balance": test_label_balance.facts([50, 50], [52, 48])},
        (("label-balance", "columns", 0, "current", 0), 51),
        (("label-balance", "columns", 0, "reference", 0), 90),
    ),
    case(
        "latency",
        {"latency": test_latency.facts()},
        (("latency", "p95Ms"), 20.1),
        (("latency", "batch", "p95Ms"), 60.0),
        (("latency", "ratio", "high"), 1.2),
        (("latency", "ratio", "n"), 3999),
        p95Ms=50,
        batchP95Ms=50,
        maxRatio=1.1,
    ),
    case(
        "leakage",
        {"leakage": test_leakage.CLEAN},
        (("leakage", "features", 0, "score"), 0.81),
        (("leakage", "times"), [test_leakage.LATE]),
        (("leakage", "duplicates", "heldOutTwins"), 500),
        (("leakage", "duplicates", "spectrum", 1), 900),
    ),
    case(
        "metrics-threshold",
        {"evaluation": EVALUATION},
        (("evaluation", "candidate", "metrics", "roc_auc"), None),
        (("evaluation", "bounds", 0, "low"), 0.781),
        (("evaluation", "bounds", 0, "slices", 0, "low"), 0.6),
        (("evaluation", "rows"), 1001),
        metric="roc_auc",
        threshold=0.75,
        confidence=0.95,
        sliceThreshold=0.7,
    ),
    case(
        "model-card",
        {"model-card": test_model_card.facts()},
        (("model-card", "card", "spec", "risk", "harm"), "TODO"),
        (("model-card", "owner"), "bob"),
        (("model-card", "generated", "metrics"), []),
    ),
    case(
        "performance-regression",
        {"comparison": COMPARISON},
        (("comparison", "comparisons", 0, "low"), -0.02),
        (("comparison", "comparisons", 0, "difference"), 0.001),
        (("comparison", "comparisons", 0, "slices", 0, "difference"), -0.1),
        (("comparison", "attempt"), 2),
        metric="roc_auc",
        margin=0.01,
        attempts=1,
    ),
    case(
        "reproducibility",
        {"reproducibility": test_reproducibility.facts()},
        (("reproducibility", "metrics", "again", "roc_auc"), 0.8000001),
        (("reproducibility", "predictions", "differing"), 1),
        (("reproducibility", "lockDigest", "now"), "sha256:2"),
    ),
    case(
        "serving-check",
        {"serving-check": test_serving_check.facts()},
        (("serving-check", "answered"), 99),
        (("serving-check", "maxDifference"), 0.1),
        (("serving-check", "wrongInputs", 0, "outcome"), "answered"),
        (("serving-check", "requests"), 99),
    ),
    case(
        "signature",
        {"artifact-signature": test_signature.GOOD},
        (("artifact-signature", "status"), "unsigned"),
        (("artifact-signature", "files"), 6),
        (("artifact-signature", "ignoredPaths"), [".git"]),
    ),
    case(
        "static-analysis",
        {"static-analysis": test_static_analysis.facts()},
        (("static-analysis", "tools", 0, "counts"), {"any": 1}),
        (("static-analysis", "suppressed"), 1),
        (("static-analysis", "commit"), "f" * 40),
        maxSuppressions=0,
    ),
    case(
        "test-coverage",
        {"test-coverage": test_test_coverage.facts()},
        (("test-coverage", "sources", 0, "covered"), 9),
        (("test-coverage", "changed", "uncovered"), 2),
        (("test-coverage", "tests", "failed"), 1),
    ),
    case(
        "train-serving-skew",
        {"train-serving-skew": test_drift.facts()},
        (("train-serving-skew", "columns", 0, "current"), [509, 491, 0, 0]),
        (("train-serving-skew", "columns", 0, "unseen", "rows"), 20),
        (("train-serving-skew", "rows", "current"), 1001),
    ),
]


def stored(kinds: Facts) -> dict[str, Facts]:
    """Return evidence as a bundle has it: JSON documents by kind."""
    evidence = {
        kind: {"kind": kind, "artifactDigest": ARTIFACT, "facts": facts}
        for kind, facts in kinds.items()
    }
    text: dict[str, Facts] = json.loads(json.dumps(evidence))
    return text


def changed(kinds: Facts, path: tuple[str | int, ...], value: Any) -> Facts:
    forgery: Any = copy.deepcopy(kinds)
    place = forgery
    for step in path[:-1]:
        place = place[step]
    assert place[path[-1]] != value
    place[path[-1]] = value
    return forgery  # type: ignore[no-any-return]


@pytest.mark.tamper
@pytest.mark.parametrize(("document", "kinds", "changes"), CASES)
def test_a_number_changed_in_any_gates_evidence_is_found(
    document: Facts, kinds: Facts, changes: tuple[Change, ...]
) -> None:
    original = judge(document, stored(kinds))
    assert original is not None
    assert original["verdict"] == "PASSED", original["message"]
    assert differs(original, original) == ""
    for path, value in changes:
        result = judge(document, stored(changed(kinds, path, value)))
        assert result is not None
        assert differs(result, original), (path, result["message"])


def test_there_is_a_case_for_every_gate() -> None:
    assert {param.id for param in CASES} == {gate.name for gate in GATES}
    for param in CASES:
        gate = build(param.values[0])
        assert needs(param.values[0]) == gate.needs
        assert key_of(param.values[0]) == gate.key
        assert options(param.values[0]) == options_digest(gate)
        assert build(written(gate)) == gate


def test_a_verdict_and_a_number_in_the_log_have_to_be_those_found() -> None:
    result = GateResult(
        gate="g", key="g", verdict=verdict_of("PASSED"), message="", measured=0.8, n=5
    ).to_document()
    assert differs(result, result | {"message": "said otherwise"}) == ""
    assert differs(result, result | {"measured": 0.8 + 1e-12}) == "", "another machine's rounding"
    assert differs(result, result | {"verdict": "FAILED"}) == (
        "is PASSED by its evidence, the log says FAILED"
    )
    for name, value in (("measured", 0.81), ("threshold", 0.1), ("n", None)):
        assert name in differs(result, result | {name: value})


def verdict_of(word: str) -> Any:
    from airlock.domain.gates import Verdict

    assert str(Verdict(word)) == f"{Verdict(word)}" == word
    return Verdict(word)


def test_a_gate_without_evidence_is_errored_and_an_unknown_one_is_not_judged() -> None:
    lacking = judge({"gate": "latency", "p95Ms": 1}, {})
    assert lacking is not None
    assert lacking["verdict"] == "ERRORED"
    for newer in ({"gate": "a-new-one"}, {"gate": "latency", "p95Ms": 1, "newOption": 2}):
        assert judge(newer, {}) is None
        assert options(newer) == ""
    assert needs({"gate": "a-new-one"}) == ()


_ALONE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from airlock_evidence.gates import judge
print(json.dumps([judge(*one) for one in json.load(sys.stdin)]))
"""


def test_a_stranger_with_nothing_installed_reaches_the_same_results(tmp_path: Path) -> None:
    for name, data in documents.code().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    cases = [(param.values[0], stored(param.values[1])) for param in CASES]  # type: ignore[arg-type]
    completed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _ALONE, tmp_path],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [judge(*arguments) for arguments in cases]
    assert json.loads(completed.stdout) == json.loads(json.dumps(expected))


#: Younger than Python 3.9, though its grammar knows them.
_YOUNGER = {"strict", "slots", "kw_only"}
_YOUNGER_NAMES = {"StrEnum", "UTC", "pairwise", "batched", "TypeAlias", "Self", "override"}


#: What a function imports that no gate calls: a folder's digest says what is wrong with the folder.
_NOT_CALLED = {("airlock/domain/digest.py", "airlock.domain.errors")}


@pytest.mark.parametrize("name", sorted(code()))
def test_the_gates_that_travel_need_python_3_9_and_only_each_other(name: str) -> None:
    tree = ast.parse((ROOT / "include" / name).read_text(), feature_version=(3, 9))
    for module in _imported(tree):
        top, _, rest = module.partition(".")
        if (name, module) in _NOT_CALLED:
            continue
        if top != "airlock":
            assert top in sys.stdlib_module_names, module
        else:
            file = f"airlock/{rest.replace('.', '/')}"
            assert {f"{file}.py", f"{file}/__init__.py"} & set(code()), module
    words = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert not words & _YOUNGER
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    assert not names & _YOUNGER_NAMES


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield str(node.module)
