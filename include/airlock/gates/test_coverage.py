"""test-coverage: do the model's own tests run its code, and above all what is new in it?

Rules:
* Every statement and every branch of the package counts, also of files no test imports.
* `total` is coverage.py's own figure: statements and branches that ran, of all there are.
* `changed_lines` is the share of new statements that ran, with all their branches unless told
  otherwise. New is what the champion's commit does not have; without a champion, everything.
* Tests that fail, and no tests, are FAILED: the answer is no. Nothing to measure is ERRORED.
* No change at all is no reason to block: the same code trained on new data has nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import everything_followed, names, text

_NAMED = 5


@dataclass(frozen=True)
class TestCoverage:
    """The tests pass, and cover *total* % of the package and *changed_lines* % of what is new."""

    __test__: ClassVar[bool] = False  # a gate, though pytest would take it for a class of tests
    name: ClassVar[str] = "test-coverage"
    needs: ClassVar[tuple[str, ...]] = ("test-coverage",)
    runs_team_code: ClassVar[bool] = True
    limit: ClassVar[Limit] = "at least"

    total: float = 80.0
    changed_lines: float = 90.0
    branches: bool = True

    def __post_init__(self) -> None:
        for option in ("total", "changed_lines"):
            percent = getattr(self, option)
            if not 0 < percent <= 100:
                raise ValueError(f"{option} must be above 0 and at most 100, found {percent}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Hold the tests, the total and the new lines against their limits."""
        source = evidence["test-coverage"]
        facts = source.facts
        _same_commit(facts)
        wrong = _tests_wrong(facts)
        if wrong:
            return self._result(source, Verdict.FAILED, wrong, details=_details(facts))
        total, n = self._total(facts)
        changed, new = self._changed(facts)
        short = [
            f"{name} {share:.1f} % of {size:,}, expected {limit:g} %"
            for name, share, size, limit in (
                ("all lines and branches", total, n, self.total),
                ("new lines", changed, new, self.changed_lines),
            )
            if share < limit
        ]
        if not short:
            everything_followed(facts)
        good = f"{facts['tests']['passed']} tests cover {total:.1f} % of {n:,} lines and branches"
        good += f" and {changed:.1f} % of {new:,} new lines" if new else ", no line is new"
        only_new = total >= self.total and changed < self.changed_lines
        return self._result(
            source,
            Verdict.FAILED if short else Verdict.PASSED,
            f"too little is tested: {'; '.join(short)}{_where(facts)}" if short else good,
            measured=round(changed if only_new else total, 4),
            threshold=self.changed_lines if only_new else self.total,
            n=new if only_new else n,
            details=_details(facts),
        )

    def _total(self, facts: Mapping[str, Any]) -> tuple[float, int]:
        """Return the share of the package that ran, and how many lines and branches it has."""
        files = facts["sources"]
        names(files, "path", "the path of a source")
        for file in files:
            if not (0 <= file["covered"] <= file["statements"]) or not (
                0 <= file["coveredBranches"] <= file["branches"]
            ):
                raise ValueError(f"{file['path']} has more covered than there is")
        statements = sum(file["statements"] for file in files)
        if statements < 1:
            raise ValueError("not one statement was measured")
        n = statements + sum(file["branches"] for file in files)
        return 100 * sum(file["covered"] + file["coveredBranches"] for file in files) / n, n

    def _changed(self, facts: Mapping[str, Any]) -> tuple[float, int]:
        """Return the share of the new statements that ran, and how many are new."""
        changed = facts["changed"]
        measured = {file["path"]: file["statements"] for file in facts["sources"]}
        for file in changed["files"]:
            if file["statements"] > measured.get(file["path"], -1):
                raise ValueError(f"{file['path']} changed and was not measured")
        n = changed["statements"]
        bad = changed["uncovered"] + (changed["partial"] if self.branches else 0)
        if n != sum(file["statements"] for file in changed["files"]) or not 0 <= bad <= n:
            raise ValueError(f"{bad} of {n} new statements did not run")
        text(facts["everyLineIsNew" if facts["base"] is None else "base"], "what is new")
        if facts["base"] is None and n != sum(measured.values()):
            raise ValueError("nothing to compare with, but not every line counts as new")
        return (100 * (n - bad) / n if n else 100.0), n

    def _result(self, source: Evidence, verdict: Verdict, message: str, **more: Any) -> GateResult:
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=verdict,
            message=message,
            unit="%",
            evidence=(source.digest,),
            **more,
        )


def _tests_wrong(facts: Mapping[str, Any]) -> str:
    """Return why the tests themselves say no, or nothing."""
    tests = facts["tests"]
    failed = tests["failed"] + tests["errors"]
    if failed:
        named = ", ".join(tests["failures"][:_NAMED])
        return f"{failed} of the model's own tests fail: {named}"
    if tests["passed"] < 1:
        return f"no test ran; expected some in {' or '.join(facts['lookedFor'])}"
    if tests["exit"] != 0:
        return f"pytest ended with exit code {tests['exit']}"
    return ""


def _same_commit(facts: Mapping[str, Any]) -> None:
    registered, commit = facts["candidateCommit"], facts["commit"]
    if len(registered) < 7 or not commit.startswith(registered):
        raise ValueError(f"measured {commit}, but the candidate was made from {registered}")


def _where(facts: Mapping[str, Any]) -> str:
    changed = facts["changed"]
    first = [*changed["uncoveredLines"], *changed["partialLines"]][:_NAMED]
    return f"; not run: {', '.join(first)}" if first else ""


def _details(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("commit", "base", "everyLineIsNew", "tests", "sources", "changed", "pragmas")
    return {name: facts[name] for name in (*names, "notMeasured")}
