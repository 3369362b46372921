"""A gate's result as a signed attestation: who measured what, on which evidence, about which bytes.

An in-toto Statement v1 in a DSSE envelope, as a grant is (`airlock.domain.promotion.grant`), signed
with Ed25519 by the place that runs gates. Its subject is the artifact; its predicate, of a type of
our own (https://in-toto.io/attestation/test-result/v0.1 has no word for "could not tell"), is:

    {"gate", "key", "options": digest of the gate as the pipeline writes it,
     "evidence": [digests], "verdict": PASSED, FAILED or ERRORED, "run": `dag_id/run_id`}

Those of version 1 did not name the run; they are read, and never taken from a task any more.

Rules:
* The decider judges the evidence itself. An attestation is believed about nothing but who made it:
  a result counts only if somebody trusted with this gate has signed exactly what is judged now.
* A gate whose result nobody trusted has signed stops the release, and no waiver helps; an advisory
  one stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from airlock.domain.approval.policy import Plan
from airlock.domain.digest import short
from airlock.domain.errors import AirlockError, Refused
from airlock.domain.evidence.enforcement import Enforcement
from airlock.domain.gates import GateResult
from airlock.domain.promotion.grant import STATEMENT_TYPE, disclose, enclose

PREDICATE_TYPE = "urn:airlock:gate-result:v2"
BEFORE = "urn:airlock:gate-result:v1"


class Unattested(Refused):
    """A gate's result is not signed by anybody trusted with that gate."""


class GateKeys(Protocol):
    """Who is trusted with which gate."""

    def verify_for(self, gate: str, key_id: str, signature: bytes, message: bytes) -> bool:
        """Say whether a key trusted with this gate made the signature."""

    def keys(self) -> Mapping[str, bytes]:
        """Return key id -> the 32 bytes of the public key, of every signer of gates."""


def attest(
    result: GateResult,
    artifact_digest: str,
    options: str,
    key_id: str,
    sign: Callable[[bytes], bytes],
    run: str = "",
) -> str:
    """Return a result as a signed envelope; *run*: whose result it is, as `dag_id/run_id`."""
    return enclose(statement(result, artifact_digest, options, run), key_id, sign)


def statement(
    result: GateResult, artifact_digest: str, options: str, run: str = ""
) -> dict[str, Any]:
    """Return the in-toto statement of a result; without a run it is one of version 1."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": "artifact", "digest": {"sha256": artifact_digest.removeprefix("sha256:")}}
        ],
        "predicateType": PREDICATE_TYPE if run else BEFORE,
        "predicate": {
            "gate": result.gate,
            "key": result.key,
            "options": options,
            "evidence": sorted(result.evidence),
            "verdict": result.verdict.value,
            **({"run": run} if run else {}),
        },
    }


def check_bound(
    result: GateResult, envelope: str, artifact_digest: str, options: str, run: str
) -> None:
    """Refuse an envelope that is not about exactly this result of this run, whoever signed it.

    Raises:
        Unattested: naming what it is about instead.
    """
    expected = statement(result, artifact_digest, options, run)
    try:
        actual, _ = disclose(envelope, lambda _key, _signature, _message: True, "its attestation")
    except AirlockError as error:
        why = error.message
    else:
        why = "" if actual == expected else _differs(actual, expected)
    if why:
        raise Unattested(f"the signed result of {result.key} cannot be kept: {why}")


_SIGN = (
    "Set AIRLOCK_GATE_SIGNING_KEY where gates are judged, to a key whose public half is in "
    "AIRLOCK_GATE_KEYS of the deciding processes."
)


def check_attested(
    results: Sequence[GateResult],
    attestations: Mapping[str, str],
    artifact_digest: str,
    options: Mapping[str, str],
    plan: Plan,
    keys: GateKeys,
    run: str,
    then: str,
) -> None:
    """Refuse results before waivers that no trusted key has signed for this run.

    *then*: how there is another run, once the key is right.

    Raises:
        Unattested: naming every gate, and why.
    """
    wrong = []
    for result in results:
        if plan.enforcement(result.gate) is Enforcement.ADVISORY:
            continue
        expected = statement(result, artifact_digest, options[result.key], run)
        why = _why_not(result, attestations.get(result.key, ""), expected, keys)
        wrong += [f"{result.key} ({why})"] if why else []
    if wrong:
        raise Unattested(
            f"these gates have no result signed by somebody trusted with them: {'; '.join(wrong)}",
            next_step=f"{_SIGN} {then}",
        )


def _why_not(result: GateResult, envelope: str, expected: Mapping[str, Any], keys: GateKeys) -> str:
    if not envelope:
        return "nobody has signed it"

    def verify(key: str, signature: bytes, message: bytes) -> bool:
        return keys.verify_for(result.gate, key, signature, message)

    try:
        actual, _ = disclose(envelope, verify, "its attestation")
    except AirlockError as error:
        return error.message
    return "" if actual in (expected, _before(expected)) else _differs(actual, expected)


def _before(expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statement in the form of version 1."""
    predicate = {name: value for name, value in expected["predicate"].items() if name != "run"}
    return {**expected, "predicateType": BEFORE, "predicate": predicate}


def _differs(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    predicate, expected_predicate = actual.get("predicate", {}), expected["predicate"]
    if not isinstance(predicate, dict) or actual.get("predicateType") not in (
        PREDICATE_TYPE,
        BEFORE,
    ):
        return "what is signed is no result of a gate"
    differs = [
        name for name in expected_predicate if predicate.get(name) != expected_predicate[name]
    ] or ["artifact"]
    values = ", ".join(f"{name} {_format_value(predicate.get(name))}" for name in differs)
    return f"what is signed is about another {', '.join(differs)}: {values}"


def _format_value(value: Any) -> str:
    return short(value) if isinstance(value, str) and value.startswith("sha256:") else str(value)
