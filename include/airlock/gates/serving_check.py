"""serving-check: will the serving code answer as the model did when it was measured?

After TFX InfraValidator: the exact artifact is loaded in a fresh process by the code that serves
it and is sent recorded requests. Three things can be wrong that no metric shows: the answers are
not those that were evaluated, the declared columns are not those of the data, or wrong input gets
an answer instead of a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import count, text

REQUESTS = 100
#: Of the largest prediction (or of 1): far above rounding (2e-15 was seen), far below any meaning.
ROUNDING = 1e-12
#: What every model has to be asked that it may not answer.
WRONG_INPUTS = ("missing column", "wrong type", "no rows", "unknown column", "nulls")
_OUTCOMES = ("refused", "answered", "broke", "not applicable")


@dataclass(frozen=True)
class ServingCheck:
    """All recorded *requests* get the answers of the evaluation, all wrong ones are refused.

    An answer may be *tolerance* away from the evaluation's, in the unit of the prediction. Even 0
    leaves room for the rounding of sums: a library adds up one row in another order than many.
    """

    name: ClassVar[str] = "serving-check"
    needs: ClassVar[tuple[str, ...]] = ("serving-check",)
    limit: ClassVar[Limit] = "at most"

    tolerance: float = 0.0
    requests: int = REQUESTS

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance must be at least 0, found {self.tolerance}")
        if not 1 <= self.requests <= 100_000:
            raise ValueError(f"requests must be between 1 and 100000, found {self.requests}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Refuse a model that does not load, answers otherwise, or answers what it may not."""
        source = evidence["serving-check"]
        facts = source.facts
        if facts["artifactDigest"] != source.artifact_digest:
            raise ValueError("the model that was loaded is not the candidate")
        sent = int(facts["requests"])
        if sent < 1 or sent < min(self.requests, count(facts["heldOut"], "the held-out rows")):
            raise ValueError(f"{sent} requests were sent; {self.requests} are needed")
        if facts["loaded"] is not True:
            return self._result(source, [f"it cannot be served: {facts['why']}"])
        return self._result(source, [*self._answers(facts), *_schema(facts), *_wrong(facts)])

    def _answers(self, facts: Mapping[str, Any]) -> list[str]:
        sent, answered, apart = facts["requests"], facts["answered"], facts["maxDifference"]
        problems = []
        if answered != sent:
            first = facts["unanswered"][0] if facts["unanswered"] else "no reason given"
            problems.append(f"{sent - answered} of {sent} requests were not answered ({first})")
        if answered and not (math.isfinite(apart) and apart >= 0):
            raise ValueError(f"the answers are {apart} away from the evaluation's")
        if not 1.0 <= facts["scale"] < math.inf:
            raise ValueError(f"the scale of the answers is {facts['scale']}")
        if answered and apart > max(self.tolerance, ROUNDING * max(1.0, facts["scale"])):
            problems.append(
                f"{facts['differing']} of {sent} answers differ from the evaluation's, by up to "
                f"{apart:.3g}, allowed {self.tolerance:g}"
            )
        return problems

    def _result(self, source: Evidence, problems: list[str]) -> GateResult:
        facts = source.facts
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if problems else Verdict.PASSED,
            measured=facts.get("maxDifference"),
            threshold=self.tolerance,
            n=int(facts["requests"]),
            unit="",
            evidence=(source.digest,),
            message="; ".join(problems)
            or f"{facts['requests']} requests answered as evaluated (within {self.tolerance:g}), "
            f"columns as declared, {len(facts['wrongInputs'])} wrong inputs refused",
            details={
                "schema": facts.get("schema"),
                "wrongInputs": facts.get("wrongInputs"),
                "unanswered": facts.get("unanswered"),
            },
        )


def _schema(facts: Mapping[str, Any]) -> list[str]:
    schema = facts["schema"]
    for column in schema["declared"]:
        for key in ("name", "type"):
            text(column[key], f"the {key} of a declared column")
    differences = list(schema["differences"])
    if schema["equal"] is True and schema["declared"] and not differences:
        return []
    return [f"the signature is not that of the data: {'; '.join(schema['differences'][:5])}"]


def _wrong(facts: Mapping[str, Any]) -> list[str]:
    """Return the wrong inputs not refused cleanly; a model may allow only gaps."""
    outcomes = {case["name"]: case for case in facts["wrongInputs"]}
    lacking = [name for name in WRONG_INPUTS if name not in outcomes]
    odd = [case["outcome"] for case in outcomes.values() if case["outcome"] not in _OUTCOMES]
    if lacking or odd:
        raise ValueError(f"wrong inputs not sent or unclear: {', '.join(lacking + odd)}")
    return [
        f"{name}: {case['outcome']}, not refused ({case['said'][:120]})"
        for name, case in outcomes.items()
        if case["outcome"] != "refused"
        and not (case["outcome"] == "not applicable" and name == "nulls")
    ]
