"""Waivers: somebody named accepts, until a day, that one gate did not pass for one candidate.

Rules:
* Only what the policy weighs `soft` in the release's tier can be waived.
* A waiver is bound to the gate's key, its options, the evidence it was judged on and the artifact.
  New evidence, other options or other bytes void it.
* It has an end, at most 90 days away, and is looked at again at every vote and at the promotion.
* It stands only while whoever gave it could give it again: the right is held now, in a role the
  requester does not hold, and nobody waives for own work.

Giving one is in `airlock.domain.approval.waiver_approval`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from airlock.domain.evidence.enforcement import Enforcement
from airlock.domain.gates import GateResult, Verdict

#: So long a waiver may hold.
LONGEST = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One result accepted by one person. `gate` is the key, `options` the digest of its options."""

    gate: str
    person: str
    reason: str
    at: str
    until: str
    artifact_digest: str
    evidence: tuple[str, ...]
    options: str

    def covers(self, result: GateResult, artifact_digest: str, options: str) -> bool:
        """Return whether it is about exactly this result."""
        covered = (self.gate, self.artifact_digest, self.options, set(self.evidence))
        return covered == (result.key, artifact_digest, options, set(result.evidence))

    def to_document(self) -> dict[str, Any]:
        """Return the waiver as JSON data."""
        return {**asdict(self), "evidence": list(self.evidence)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Waiver:
        """Read back what `to_document` wrote."""
        return cls(**{**document, "evidence": tuple(document["evidence"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What decides whether waivers stand: the artifact, the gates' options by key, what gates
    weigh by name, the time, and who may waive now."""

    artifact_digest: str
    options: Mapping[str, str]
    weights: Mapping[str, Enforcement]
    at: str
    able: Collection[str]

    def covering(self, result: GateResult, waivers: Sequence[Waiver]) -> list[Waiver]:
        """Return the waivers of a result, the newest last."""
        options = self.options.get(result.key, "")
        return [
            waiver for waiver in waivers if waiver.covers(result, self.artifact_digest, options)
        ]

    def why_not(self, waiver: Waiver) -> str:
        """Return why a waiver no longer stands, or an empty string."""
        if waiver.until <= self.at:
            return f"the waiver of {waiver.person} ended at {waiver.until}"
        return "" if waiver.person in self.able else f"{waiver.person} may not waive it any more"


def waived(
    results: Sequence[GateResult], waivers: Sequence[Waiver], scene: Scene
) -> list[GateResult]:
    """Return the results with those waived that a waiver covers; a worker's WAIVED never counts."""
    return [_waived(result, waivers, scene) for result in results]


def _waived(result: GateResult, waivers: Sequence[Waiver], scene: Scene) -> GateResult:
    if result.verdict is Verdict.WAIVED:
        message = f"{result.message} (a waiver is no verdict a task can give)"
        result = replace(result, verdict=Verdict.ERRORED, message=message)
    soft = scene.weights.get(result.gate) is Enforcement.SOFT
    if result.verdict is Verdict.PASSED or not soft:
        return result
    covering = scene.covering(result, waivers)
    good = [waiver for waiver in covering if not scene.why_not(waiver)]
    if not good:
        why = "".join(f"; {scene.why_not(waiver)}" for waiver in covering[-1:])
        return replace(result, message=f"{result.message}{why}")
    by = good[-1]
    return replace(
        result,
        verdict=Verdict.WAIVED,
        message=f"{result.message}; waived by {by.person} until {by.until[:10]}",
        details={**(result.details or {}), "waivedVerdict": result.verdict.value},
    )
