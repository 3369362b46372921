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
    known = {name: base64.b64encode(public).decode() for name, public in keys.items()}
    return canonical({"keys": known, "results": dict(results)})


def check_attested(files: Mapping[str, bytes], dossier: Dossier) -> list[str]:
    """Check every attestation against the result in the log; return what is to be noted.

    Raises:
        Failed: naming the gate.
    """
    told = dossier.told
    if ATTESTATIONS not in files:
        return ["the results of the gates are not signed by the place that ran them"]
    found = json.loads(files[ATTESTATIONS])
    if canonical(found) != files[ATTESTATIONS]:
        raise Failed(ATTESTATIONS, "is not spelled as Airlock writes it")
    if told.gates_origin != told.origin:
        return ["the log has no results of this round to compare the signed ones with"]
    keys = _keys(found)
    signers = set()
    for result in told.gates:
        envelope = found["results"].get(result["key"], "")
        if envelope:
            signers.add(_check(dossier, result, envelope, keys))
        elif _has_to(dossier, result):
            raise Failed(ATTESTATIONS, f"does not have the signed result of {result['key']}")
    said = ", ".join(sorted(signers)) or "nobody"
    return [f"results of gates are signed by {said}: compare with the place that runs gates"]


def _keys(found: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the signers' keys; people compare their ids, so each has to be that of its key."""
    keys = {str(name): unbase64(public) for name, public in found["keys"].items()}
    for name, public in keys.items():
        if len(public) != 32 or key_id(public) != name:
            raise Failed(ATTESTATIONS, f"the key {name} is not the one its id names")
    return keys


def _has_to(dossier: Dossier, result: Mapping[str, Any]) -> bool:
    went_on = dossier.told.state not in ("REQUESTED", "BLOCKED", "AWAITING_APPROVAL")
    return went_on and weight(dossier, str(result["gate"])) != "advisory"


def _check(
    dossier: Dossier, result: Mapping[str, Any], envelope: str, keys: Mapping[str, bytes]
) -> str:
    """Check one attestation and return the id of the key that signed it."""
    key = str(result["key"])
    try:
        outer = json.loads(envelope)
        payload = unbase64(outer["payload"])
        signatures = [(str(one["keyid"]), unbase64(one["sig"])) for one in outer["signatures"]]
        statement = json.loads(payload)
        said = dict(statement["predicate"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(ATTESTATIONS, f"the one of {key} is no envelope") from error
    message = pae(payload)
    good = [one for one, sig in signatures if one in keys and verify(keys[one], sig, message)]
    if not good or outer["payloadType"] != PAYLOAD_TYPE:
        raise Failed(ATTESTATIONS, f"the result of {key} is not signed by a key that is here")
    verdict = (result.get("details") or {}).get("waivedVerdict", result["verdict"])
    artifact = dossier.told.subject["artifact_digest"].replace("sha256:", "", 1)
    asked = {key_of(gate): gate for gate in dossier.pipeline["spec"]["gates"]}
    wanted = {
        "gate": result["gate"],
        "key": key,
        "evidence": sorted(result["evidence"]),
        "verdict": verdict,
        "options": (options(asked[key]) if key in asked else "") or said.get("options"),
    }
    about = [{"name": "artifact", "digest": {"sha256": artifact}}]
    kind = statement.get("predicateType")
    if kind == PREDICATE_TYPES[1]:
        wanted["run"] = dossier.told.origin
    known = statement.get("_type") == STATEMENT_TYPE and kind in PREDICATE_TYPES
    if not known or statement.get("subject") != about:
        raise Failed(ATTESTATIONS, f"what is signed for {key} is about another artifact")
    if said != wanted:
        raise Failed(ATTESTATIONS, f"what is signed for {key} is not the result in the log")
    return good[0]
