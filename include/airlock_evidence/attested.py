"""The signed results of the gates: each is the one in the log, about this artifact and evidence.

An attestation is an in-toto statement in a DSSE envelope, signed where the gate was run. Whose keys
those are is not in the log: the fingerprints are shown, to be compared with those of the place that
runs gates. The options signed are those of the pipeline, for every gate this program knows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from airlock_evidence.archive import Failed, canonical
from airlock_evidence.claims import PAYLOAD_TYPE, STATEMENT_TYPE, pae
from airlock_evidence.dossier import Dossier
from airlock_evidence.ed25519 import verify
from airlock_evidence.gates import key_of, options
from airlock_evidence.proofs import unbase64
from airlock_evidence.trust import key_id
from airlock_evidence.waivers import weight

ATTESTATIONS = "attestations.json"
#: Of version 1, which named no run, and of version 2, which does.
PREDICATE_TYPES = ("urn:airlock:gate-result:v1", "urn:airlock:gate-result:v2")


def document(keys: Mapping[str, bytes], results: Mapping[str, str]) -> bytes:
    """Return the file of attestations: envelopes by gate, and the public keys of their signers."""
    encoded = {name: base64.b64encode(public).decode() for name, public in keys.items()}
    return canonical({"keys": encoded, "results": dict(results)})


def check_attested(files: Mapping[str, bytes], dossier: Dossier) -> list[str]:
    """Check every attestation against the result in the log; return the notes.

    Raises:
        Failed: naming the gate.
    """
    release = dossier.release
    if ATTESTATIONS not in files:
        return ["the results of the gates are not signed by the place that ran them"]
    attestations = json.loads(files[ATTESTATIONS])
    if canonical(attestations) != files[ATTESTATIONS]:
        raise Failed(ATTESTATIONS, "is not spelled as Airlock writes it")
    if release.gates_origin != release.origin:
        return ["the log has no results of this round to compare the signed ones with"]
    keys = _keys(attestations)
    signers = set()
    for result in release.gates:
        envelope = attestations["results"].get(result["key"], "")
        if envelope:
            signers.add(_check(dossier, result, envelope, keys))
        elif _has_to(dossier, result):
            raise Failed(ATTESTATIONS, f"does not have the signed result of {result['key']}")
    names = ", ".join(sorted(signers)) or "nobody"
    return [f"results of gates are signed by {names}: compare with the place that runs gates"]


def _keys(attestations: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the signers' keys; people compare their ids, so each has to be that of its key."""
    keys = {str(name): unbase64(public) for name, public in attestations["keys"].items()}
    for name, public in keys.items():
        if len(public) != 32 or key_id(public) != name:
            raise Failed(ATTESTATIONS, f"the key {name} is not the one its id names")
    return keys


def _has_to(dossier: Dossier, result: Mapping[str, Any]) -> bool:
    went_on = dossier.release.state not in ("REQUESTED", "BLOCKED", "AWAITING_APPROVAL")
    return went_on and weight(dossier, str(result["gate"])) != "advisory"


def _check(
    dossier: Dossier, result: Mapping[str, Any], envelope: str, keys: Mapping[str, bytes]
) -> str:
    """Check one attestation and return the id of the key that signed it."""
    key = str(result["key"])
    try:
        outer = json.loads(envelope)
        payload = unbase64(outer["payload"])
        signatures = [
            (str(entry["keyid"]), unbase64(entry["sig"])) for entry in outer["signatures"]
        ]
        statement = json.loads(payload)
        claims = dict(statement["predicate"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(ATTESTATIONS, f"the one of {key} is no envelope") from error
    message = pae(payload)
    good = [name for name, sig in signatures if name in keys and verify(keys[name], sig, message)]
    if not good or outer["payloadType"] != PAYLOAD_TYPE:
        raise Failed(ATTESTATIONS, f"the result of {key} is not signed by a key that is here")
    verdict = (result.get("details") or {}).get("waivedVerdict", result["verdict"])
    artifact = dossier.release.subject["artifact_digest"].replace("sha256:", "", 1)
    gates = {key_of(gate): gate for gate in dossier.pipeline["spec"]["gates"]}
    expected = {
        "gate": result["gate"],
        "key": key,
        "evidence": sorted(result["evidence"]),
        "verdict": verdict,
        "options": (options(gates[key]) if key in gates else "") or claims.get("options"),
    }
    about = [{"name": "artifact", "digest": {"sha256": artifact}}]
    kind = statement.get("predicateType")
    if kind == PREDICATE_TYPES[1]:
        expected["run"] = dossier.release.origin
    supported = statement.get("_type") == STATEMENT_TYPE and kind in PREDICATE_TYPES
    if not supported or statement.get("subject") != about:
        raise Failed(ATTESTATIONS, f"what is signed for {key} is about another artifact")
    if claims != expected:
        raise Failed(ATTESTATIONS, f"what is signed for {key} is not the result in the log")
    return good[0]
