from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import GateResult, Verdict
from airlock.gates import StaticAnalysis
from tests.unit.gates.kit import judge, never_passes_on_nothing

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ["m/__init__.py", "m/train.py"]


def finding(severity: str = "any", rule: str = "F401") -> dict[str, Any]:
    return {"rule": rule, "severity": severity, "file": "m/train.py", "line": 3, "message": "so"}


def tool(name: str, *findings: dict[str, Any], **over: Any) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for entry in findings:
        counts[entry["severity"]] = counts.get(entry["severity"], 0) + 1
    defaults = {"name": name, "version": "1.0", "settings": None, "settingsDigest": None}
    return defaults | {"read": FILES, "counts": counts, "findings": list(findings)} | over


def facts(ruff: Any = None, bandit: Any = None, **over: Any) -> dict[str, Any]:
    ran = [ruff or tool("ruff"), bandit or tool("bandit")]
    defaults = {"candidateCommit": COMMIT, "commit": COMMIT, "package": "m", "sources": FILES}
    return defaults | {"tools": ran, "suppressions": [], "suppressed": 0} | over


def judge_analysis(gate: StaticAnalysis | None = None, **over: Any) -> GateResult:
    return judge(gate or StaticAnalysis(), static_analysis=facts(**over))


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(StaticAnalysis())


@pytest.mark.parametrize(
    ("over", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"ruff": tool("ruff", finding())}, Verdict.FAILED),
        ({"bandit": tool("bandit", finding("low"))}, Verdict.PASSED),
        ({"bandit": tool("bandit", finding("medium"))}, Verdict.FAILED),
        ({"bandit": tool("bandit", finding("high"))}, Verdict.FAILED),
        ({"sources": []}, Verdict.ERRORED),
        ({"tools": []}, Verdict.ERRORED),
        ({"tools": [tool("ruff")]}, Verdict.ERRORED),
        ({"tools": [tool("bandit")]}, Verdict.ERRORED),
        ({"ruff": tool("ruff", read=[])}, Verdict.ERRORED),
        ({"bandit": tool("bandit", read=FILES[:1])}, Verdict.ERRORED),
        ({"bandit": tool("bandit", finding(), counts={})}, Verdict.ERRORED),
        ({"commit": "f" * 40}, Verdict.ERRORED),
        ({"candidateCommit": ""}, Verdict.ERRORED),
    ],
)
def test_only_two_tools_that_read_everything_and_found_nothing_pass(
    over: dict[str, Any], verdict: Verdict
) -> None:
    assert judge_analysis(**over).verdict is verdict


def test_what_was_found_is_named_with_its_place() -> None:
    message = judge_analysis(bandit=tool("bandit", finding("low"), finding("high", "B602"))).message
    assert message == "1 findings, expected at most 0: B602 in m/train.py:3 (so)"


def test_findings_and_severities_may_be_allowed() -> None:
    two = tool("ruff", finding(), finding())
    assert judge_analysis(StaticAnalysis(max_findings=2), ruff=two).verdict is Verdict.PASSED
    assert judge_analysis(StaticAnalysis(max_findings=1), ruff=two).verdict is Verdict.FAILED
    low = tool("bandit", finding("low"))
    assert judge_analysis(StaticAnalysis(severities=("low",)), bandit=low).verdict is Verdict.FAILED


def test_comments_that_switch_a_tool_off_are_counted_and_may_be_limited() -> None:
    assert "2 suppressed by comments" in judge_analysis(suppressed=2).message
    limited = judge_analysis(StaticAnalysis(max_suppressions=1), suppressed=2)
    assert limited.verdict is Verdict.FAILED
    assert limited.message == "2 comments switch a tool off, expected at most 1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_findings": -1}, "max_findings must be 0 or more"),
        ({"max_suppressions": -1}, "max_suppressions must be 0 or more"),
        ({"severities": ()}, "severities must name some of"),
        ({"severities": ("severe",)}, "found severe"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StaticAnalysis(**options)
