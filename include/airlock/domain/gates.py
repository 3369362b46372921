"""What a gate is: a pure judgement on evidence.

Rules:
* A gate never fetches anything. It names the kinds of evidence it `needs` and judges them.
* No evidence is ERRORED, never PASSED: empty never passes.
* FAILED means "the answer is no", ERRORED means "we could not tell". Both block.
* Only PASSED and a recorded WAIVED open a gate.
* Evidence is immutable and digested, so an auditor can judge again and must get the same result.

Concrete gates live in `airlock.gates`, one per file. This module knows none of them. It
travels with them in every evidence bundle, so it runs on Python 3.9 (ADR 0035).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from airlock.domain.digest import canonical_json, digest_bytes, digest_json, plain

Limit = Literal["at least", "at most"]
#: In the facts of evidence that could not be collected: why.
UNCOLLECTED = "uncollected"


class Verdict(str, Enum):
    """The four answers a gate can have."""

    PASSED = "PASSED"  #: the evidence meets the threshold
    FAILED = "FAILED"  #: the evidence does not meet the threshold
    ERRORED = "ERRORED"  #: there was no way to tell
    WAIVED = "WAIVED"  #: named people accepted the failure, with a reason and an end

    def __str__(self) -> str:
        return str(self.value)

    @property
    def opens(self) -> bool:
        """Say whether a release may go on with this verdict."""
        return self in (Verdict.PASSED, Verdict.WAIVED)


@dataclass(frozen=True)
class Evidence:
    """Facts collected about one artifact. `facts` is plain JSON data."""

    kind: str
    artifact_digest: str
    facts: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        """The exact bytes that are stored and digested."""
        return canonical_json(
            {"kind": self.kind, "artifactDigest": self.artifact_digest, "facts": dict(self.facts)}
        )

    @property
    def digest(self) -> str:
        """The digest of `body`."""
        return digest_bytes(self.body)


@dataclass(frozen=True)
class GateResult:
    """One verdict with the numbers behind it. `key` tells two gates of one name apart."""

    gate: str
    key: str
    verdict: Verdict
    message: str
    measured: float | None = None
    threshold: float | None = None
    n: int | None = None
    unit: str = ""
    evidence: tuple[str, ...] = ()
    details: Mapping[str, Any] | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        return {
            "gate": self.gate,
            "key": self.key,
            "verdict": self.verdict.value,
            "message": self.message,
            "measured": self.measured,
            "threshold": self.threshold,
            "n": self.n,
            "unit": self.unit,
            "evidence": list(self.evidence),
            "details": dict(self.details or {}),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> GateResult:
        """Read back what `to_document` wrote."""
        return cls(
            **{
                **document,
                "verdict": Verdict(document["verdict"]),
                "evidence": tuple(document["evidence"]),
            }
        )


@runtime_checkable
class Gate(Protocol):
    """A frozen dataclass whose fields are the options a pipeline may set."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    @property
    def limit(self) -> Limit:
        """Which way the threshold is one: what is measured has to be at least or at most that."""

    @property
    def key(self) -> str:
        """The gate's name, with the metric where one pipeline may use the gate several times."""

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Judge the evidence, keyed by kind. All of `needs` is present."""


def options_digest(gate: Gate) -> str:
    """Return the digest of a gate with every option, however it was written."""
    options = asdict(gate)  # type: ignore[call-overload]  # Gate is a Protocol of dataclasses
    return digest_json(plain({"gate": gate.name, "options": options}))


def run_gate(gate: Gate, evidence: Mapping[str, Evidence]) -> GateResult:
    """Judge with *gate*, turning missing or malformed evidence into ERRORED."""
    missing = [kind for kind in gate.needs if kind not in evidence]
    if missing or not gate.needs:
        return _errored(gate, evidence, f"no evidence of kind {', '.join(missing) or 'any'}")
    for kind in gate.needs:
        try:
            _ = evidence[kind].digest
        except (ValueError, TypeError) as error:  # NaN, or what is no JSON
            return _errored(gate, {}, f"the evidence {kind} is malformed: {error!r}")
        if why := evidence[kind].facts.get(UNCOLLECTED):
            return _errored(gate, evidence, str(why))
    try:
        result = gate.judge(evidence)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return _errored(gate, evidence, f"the evidence is malformed: {error!r}")
    return result


def _errored(gate: Gate, evidence: Mapping[str, Evidence], why: str) -> GateResult:
    digests = tuple(evidence[kind].digest for kind in gate.needs if kind in evidence)
    return GateResult(
        gate=gate.name,
        key=gate.key,
        verdict=Verdict.ERRORED,
        message=f"{gate.key} could not be judged: {why}",
        evidence=digests,
    )
