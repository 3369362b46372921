"""reproducibility: does the same data, code, seed and lock give the same model again?

A model nobody can make again cannot be explained, repaired or audited. It is trained once more in
a clean process and measured on the same held-out rows. With other code or libraries than the
candidate's there is nothing to compare: ERRORED, whatever came out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.digest import short
from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import count, flag

_NAMED = {"codeCommit": "code", "lockDigest": "lock"}


@dataclass(frozen=True)
class Reproducibility:
    """Every metric of the model trained again is within *tolerance* of the candidate's.

    With a tolerance of 0 every single prediction has to be the same, too. *bytes* demands that the
    model file says the same, number for number.
    """

    name: ClassVar[str] = "reproducibility"
    needs: ClassVar[tuple[str, ...]] = ("reproducibility",)
    runs_team_code: ClassVar[bool] = True
    limit: ClassVar[Limit] = "at most"

    tolerance: float = 0.0
    bytes: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance must be at least 0, found {self.tolerance}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Compare the two trainings."""
        source = evidence["reproducibility"]
        facts = source.facts
        _same_origin(facts)
        if facts["artifactDigest"] != source.artifact_digest or not facts["rows"] > 0:
            raise ValueError("the model compared with is not the candidate, or on no rows")
        for name in ("bytesEqual", "digestEqual"):
            flag(facts[name], name)
        count(facts["predictions"]["differing"], "the predictions that differ")
        apart = _differences(facts["metrics"])
        worst = max(apart, key=lambda metric: apart[metric])
        differences = self._differs(facts, apart[worst], worst)
        same = "the same model file" if facts["digestEqual"] else "another model file"
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if differences else Verdict.PASSED,
            measured=apart[worst],
            threshold=self.tolerance,
            n=int(facts["rows"]),
            evidence=(source.digest,),
            message=f"trained again with seed {facts['seed']}: "
            + ("; ".join(differences) or f"the same within {self.tolerance:g}, {same}")
            + f", {facts['rows']:,} held-out rows",
            details={
                "differences": apart,
                "metrics": facts["metrics"],
                "predictions": facts["predictions"],
                "bytesEqual": facts["bytesEqual"],
                "digestEqual": facts["digestEqual"],
            },
        )

    def _differs(self, facts: Mapping[str, Any], apart: float, metric: str) -> list[str]:
        both = facts["metrics"]
        predictions = facts["predictions"]
        differences = []
        if apart > self.tolerance:
            differences.append(
                f"{metric} {both['candidate'][metric]:.6g} became {both['again'][metric]:.6g}, "
                f"allowed {self.tolerance:g} (does train() use its seed everywhere?)"
            )
        elif self.tolerance == 0 and predictions["differing"] != 0:
            differences.append(
                f"{predictions['differing']:,} predictions differ, by up to "
                f"{predictions['maxDifference']:.3g}"
            )
        if self.bytes and facts["digestEqual"] is not True:
            differences.append("the model file says something else")
        return differences


def _same_origin(facts: Mapping[str, Any]) -> None:
    for field, name in _NAMED.items():
        then, now = facts[field]["candidate"], facts[field]["now"]
        if not then or then != now:
            raise ValueError(
                f"the {name} here is {_format_digest(now) or 'unknown'}, the candidate's was "
                f"{_format_digest(then) or 'not recorded'}: check that one out and run the gate "
                "again"
            )


def _format_digest(name: str) -> str:
    """Return a short commit or digest; uncommitted code has a digest of its own."""
    head, plus, rest = name.partition("+")
    return f"{short(head)}{plus}{rest[:18]}"


def _differences(both: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return how far each metric is apart; both sides must have the same, all finite."""
    then, now = both["candidate"], both["again"]
    if not then or set(then) != set(now):
        raise ValueError(f"metrics {', '.join(then) or 'none'} against {', '.join(now) or 'none'}")
    distances = {metric: abs(float(then[metric]) - float(now[metric])) for metric in then}
    if not all(math.isfinite(value) for value in distances.values()):
        raise ValueError("a metric is not finite")
    return distances
