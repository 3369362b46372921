"""static-analysis: do ruff and bandit find anything in the model's package that matters?

Rules:
* Both tools must have read every Python file of the package; less is ERRORED, never PASSED.
* Every finding of ruff counts: the project's own settings chose its rules. Of bandit's, those of
  the *severities* named here; the others are listed.
* Comments that switch a tool off are listed with their line, and may be limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import count, everything_followed, names, text

TOOLS = ("ruff", "bandit")
SEVERITIES = ("undefined", "low", "medium", "high")
_NAMED = 3


@dataclass(frozen=True)
class StaticAnalysis:
    """At most *max_findings* findings that matter, and *max_suppressions* comments."""

    name: ClassVar[str] = "static-analysis"
    needs: ClassVar[tuple[str, ...]] = ("static-analysis",)
    limit: ClassVar[Limit] = "at most"

    max_findings: int = 0
    severities: tuple[str, ...] = ("medium", "high")
    max_suppressions: int | None = None

    def __post_init__(self) -> None:
        for option in ("max_findings", "max_suppressions"):
            limit = getattr(self, option)
            if limit is not None and limit < 0:
                raise ValueError(f"{option} must be 0 or more, found {limit}")
        unknown = sorted(set(self.severities) - set(SEVERITIES))
        if unknown or not self.severities:
            raise ValueError(
                f"severities must name some of {', '.join(SEVERITIES)}, found "
                f"{', '.join(unknown) or 'nothing'}"
            )

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Count what blocks, after seeing that both tools read everything."""
        source = evidence["static-analysis"]
        facts = source.facts
        ran = _complete(facts)
        bad = sum(self._blocking(ran[name]) for name in TOOLS)
        quiet = count(facts["suppressed"], "the comments that switch a tool off")
        wrong = [f"{bad} findings, expected at most {self.max_findings}: {self._first(ran)}"]
        wrong = wrong if bad > self.max_findings else []
        if self.max_suppressions is not None and quiet > self.max_suppressions:
            wrong.append(
                f"{quiet} comments switch a tool off, expected at most {self.max_suppressions}"
            )
        if not wrong:
            everything_followed(facts)
        read = f"{' and '.join(TOOLS)} read {len(facts['sources'])} files"
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if wrong else Verdict.PASSED,
            message="; ".join(wrong)
            or f"{read}: {bad} findings that matter, {quiet} suppressed by comments",
            measured=float(bad),
            threshold=float(self.max_findings),
            n=len(facts["sources"]),
            unit="findings",
            evidence=(source.digest,),
            details={"tools": facts["tools"], "suppressions": facts["suppressions"]},
        )

    def _blocking(self, tool: Mapping[str, Any]) -> int:
        counts: Mapping[str, int] = tool["counts"]
        return sum(n for severity, n in counts.items() if self._matters(tool, severity))

    def _matters(self, tool: Mapping[str, Any], severity: str) -> bool:
        return tool["name"] != "bandit" or severity in self.severities

    def _first(self, ran: Mapping[str, Mapping[str, Any]]) -> str:
        findings = [
            f"{finding['rule']} in {finding['file']}:{finding['line']} ({finding['message']})"
            for tool in ran.values()
            for finding in tool["findings"]
            if self._matters(tool, finding["severity"])
        ]
        return ", ".join(findings[:_NAMED])


def _complete(facts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return both tools' reports, if each of them read every file of the candidate's package."""
    registered, commit = facts["candidateCommit"], facts["commit"]
    if len(registered) < 7 or not commit.startswith(registered):
        raise ValueError(f"read {commit}, but the candidate was made from {registered}")
    files = {text(path, "the path of a source") for path in facts["sources"]}
    if not files:
        raise ValueError(f"{facts['package']} has no Python file")
    names(facts["tools"], "name", "a tool")
    ran = {tool["name"]: tool for tool in facts["tools"]}
    for name in TOOLS:
        if name not in ran:
            raise ValueError(f"{name} did not run")
        unread = sorted(files - set(ran[name]["read"]))
        if unread:
            raise ValueError(f"{name} could not read {', '.join(unread[:_NAMED])}")
        if sum(ran[name]["counts"].values()) < len(ran[name]["findings"]):
            raise ValueError(f"{name} lists more findings than it counts")
    return ran
