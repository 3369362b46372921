"""Are the gates open, and does the evidence say so?

Rules:
* A file of evidence is named after its digest, and is about the artifact of the subject.
* Every gate the pipeline asks for has a result; all evidence a result names is here.
* Every gate this program knows judges again, and verdict and numbers have to be the same.
* Where the environment needs gates, a release that went on has only PASSED and WAIVED ones among
  those the policy does not make advisory for its tier, and there is one of those. One that was
  waived after it was judged is as good.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airlock_evidence.archive import Failed, canonical, sha256
from airlock_evidence.dossier import EVIDENCE, PIPELINE, POLICY, Dossier, evidence_names
from airlock_evidence.gates import OPENING, differs, judge, key_of, needs
from airlock_evidence.waivers import check_waived, weight

GATES = "gates.json"


def check_documents(files: Mapping[str, bytes], dossier: Dossier) -> None:
    """Check policy, pipeline and evidence against the digests in the signed log.

    Raises:
        Failed: naming the file.
    """
    subject = dossier.release.subject
    for name, kind in ((POLICY, "policy"), (PIPELINE, "pipeline")):
        expected = subject[f"{kind}_digest"]
        if sha256(files[name]) != expected:
            raise Failed(name, f"is not the {kind} in the subject: expected {expected}")
        if not any(
            content["what"] == "Registered" and content["new"]["digest"] == expected
            for content in dossier.around
        ):
            raise Failed(name, f"no entry of the log says that this {kind} was registered")
    for name in evidence_names(files):
        digest = sha256(files[name])
        if name != evidence_name(digest):
            raise Failed(name, f"is not the evidence its name says: found {digest}")
        if canonical(dossier.evidence[digest]) != files[name]:
            raise Failed(name, "is not spelled as Airlock writes it")


def evidence_name(digest: str) -> str:
    """Return the file of a piece of evidence."""
    return f"{EVIDENCE}{digest.replace('sha256:', '', 1)}.json"


def check_gates(dossier: Dossier) -> list[str]:
    """Check the results of the gates; return notes on what it could not check.

    Raises:
        Failed: naming the gate.
    """
    release = dossier.release
    _check_about(dossier)
    if not release.gates and release.state != "REQUESTED":
        raise Failed(GATES, "no gates were judged: empty never passes")
    gates = {key_of(gate): gate for gate in dossier.pipeline["spec"]["gates"]}
    if release.gates_origin != release.origin:
        return _judge_anew(dossier, gates)
    results = {str(result["key"]): result for result in release.gates}
    for key in gates:
        if key not in results and _needs_gates(dossier):
            raise Failed(GATES, f"{key} has no result")
    notes = [note for result in release.gates for note in _check_result(dossier, gates, result)]
    if not _needs_gates(dossier):
        return notes
    weighing = {
        key: result for key, result in results.items() if _can_block(dossier, result["gate"])
    }
    shut = {key: result for key, result in weighing.items() if result["verdict"] not in OPENING}
    late = {
        key: result for key, result in shut.items() if _is_waived(dossier, key, result["evidence"])
    }
    closed = [key for key in shut if key not in late]
    if closed or not weighing:
        lacking = f"{', '.join(closed)} did not open" if closed else "no gate could block it"
        raise Failed(GATES, f"the release went on although {lacking}")
    for key, result in late.items():
        notes += check_waived(dossier, str(result["gate"]), key, result["evidence"])
    return notes


def _check_about(dossier: Dossier) -> None:
    release = dossier.release
    for digest, document in dossier.evidence.items():
        same = document.get("artifactDigest") == release.subject["artifact_digest"]
        if not same and digest not in release.gate_evidence:
            raise Failed(evidence_name(digest), "is about another artifact")


def _needs_gates(dossier: Dossier) -> bool:
    """Say whether this release could only go on with open gates, and has gone on."""
    release, place = dossier.release, dossier.policy["approval"]["spec"]["environments"]
    if release.state in ("REQUESTED", "BLOCKED"):
        return False
    # Voiding opens a level whatever the gates say; nobody can answer there while they are shut.
    waits = bool(release.voided) and not (
        release.votes_now() or release.approved_at or release.emergency
    )
    return bool(place[release.subject["environment"]]["gates"]) and not waits


def _is_waived(dossier: Dossier, key: str, evidence: Collection[str]) -> bool:
    """Say whether somebody has waived a gate on exactly this evidence, whoever that was."""
    return any(
        waiver["gate"] == key and set(waiver["evidence"]) == set(evidence)
        for waiver in dossier.release.waivers
    )


def _can_block(dossier: Dossier, gate: str) -> bool:
    return weight(dossier, gate) != "advisory"


def _check_result(
    dossier: Dossier, gates: Mapping[str, Any], result: Mapping[str, Any]
) -> list[str]:
    key = result["key"]
    missing = [digest for digest in result["evidence"] if digest not in dossier.evidence]
    if missing:
        raise Failed(evidence_name(missing[0]), f"is missing: {key} was judged on it")
    documents = [dossier.evidence[digest] for digest in result["evidence"]]
    if result["verdict"] == "PASSED":
        about = {document["artifactDigest"] for document in documents}
        same_artifact = about == {dossier.release.subject["artifact_digest"]}
        if not documents or not same_artifact:
            raise Failed(GATES, f"{key} is PASSED without evidence about this artifact")
    logged, notes = dict(result), list[str]()
    if result["verdict"] == "WAIVED":
        notes = check_waived(dossier, str(result["gate"]), key, result["evidence"])
        logged["verdict"] = (result.get("details") or {}).get("waivedVerdict")
    if key not in gates:
        return [*notes, f"{key} is {result['verdict']}: not judged again"]
    computed = judge(gates[key], {str(document["kind"]): document for document in documents})
    if computed is None:
        why = "this program does not know the gate or its options"
        return [*notes, f"{key} was not judged again: {why}"]
    if wrong := differs(computed, logged):
        raise Failed(GATES, f"{key} {wrong}")
    return notes


def _judge_anew(dossier: Dossier, gates: Mapping[str, Any]) -> list[str]:
    """Judge a candidate that took the release over, where an older log has no verdicts on it."""
    artifact = dossier.release.subject["artifact_digest"]
    evidence: dict[str, dict[str, Any]] = {
        document["kind"]: document
        for document in dossier.evidence.values()
        if document["artifactDigest"] == artifact
    }
    results = {key: judge(gate, evidence) for key, gate in gates.items()}
    verdicts = {key: str(result["verdict"]) if result else "" for key, result in results.items()}
    closed = [
        f"{key} ({verdict})"
        for key, verdict in verdicts.items()
        if verdict in ("FAILED", "ERRORED")
        and _can_block(dossier, gates[key]["gate"])
        and not _waived_anew(dossier, gates[key], evidence)
    ]
    if closed and _needs_gates(dossier):
        raise Failed(GATES, f"judged by its evidence, {', '.join(closed)} did not open")
    notes = [
        f"round {dossier.release.round} took over the candidate of another run: the log has no "
        "verdicts on it, the gates were judged here from the evidence in the bundle"
    ]
    return notes + [
        f"{key} was not judged: unknown gate" for key, verdict in verdicts.items() if not verdict
    ]


def _waived_anew(
    dossier: Dossier, gate: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
) -> bool:
    key = key_of(gate)
    documents = [evidence[kind] for kind in needs(gate) if kind in evidence]
    digests = [
        digest
        for digest, document in dossier.evidence.items()
        if any(document is used for used in documents)
    ]
    if not _is_waived(dossier, key, digests):
        return False
    check_waived(dossier, str(gate["gate"]), key, digests)
    return True
