"""Does a named waiver stand behind every gate that is WAIVED?

Rules:
* The policy weighs the gate `soft` in the tier of the release.
* The log has a waiver of exactly this gate, evidence and artifact, by somebody who voted or acted
  with a role that has `gate:waive`, and who may judge the release. It holds 90 days at most.
* At every answer, at the approval and at the start of a promotion, one such waiver was in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airlock_evidence.archive import Failed
from airlock_evidence.dossier import Dossier
from airlock_evidence.words import moment

GATES = "gates.json"
#: The longest a waiver may hold.
LONGEST = timedelta(days=90)


def weight(dossier: Dossier, gate: str) -> str:
    """Return what a gate weighs in the tier of this release: advisory, soft or hard."""
    table = dossier.policy["approval"]["spec"].get("enforcement", {})
    return str(table.get(gate, {}).get(dossier.told.tier, "hard"))


def check_waived(dossier: Dossier, gate: str, key: str, evidence: Iterable[str]) -> list[str]:
    """Check that a gate was waived by somebody who could; return what could not be told.

    Raises:
        Failed: naming the gate.
    """
    if weight(dossier, gate) != "soft":
        raise Failed(GATES, f"{key} is WAIVED, but the policy weighs it {weight(dossier, gate)}")
    told, wanted = dossier.told, set(evidence)
    known = [
        one
        for one in told.waivers
        if (one["gate"], one["artifactDigest"]) == (key, told.subject["artifact_digest"])
        and set(one["evidence"]) == wanted
    ]
    good = [one for one in known if _could(dossier, one)]
    if not good:
        raise Failed(GATES, f"{key} is WAIVED, but nobody who could has waived it for this")
    for at in _moments(dossier):
        if not any(one["at"] <= at < one["until"] for one in good):
            raise Failed(GATES, f"{key} is WAIVED, but no waiver was in force at {at}")
    return [note for one in good for note in _rights(dossier, one)]


def _could(dossier: Dossier, waiver: dict[str, Any]) -> bool:
    told, roles = dossier.told, dossier.policy["access"]["spec"]["roles"]
    able = {name for name in roles if "gate:waive" in roles[name]["permissions"]}
    barred = {told.requester, *told.excluded}
    short = moment(waiver["until"]) - moment(waiver["at"]) <= LONGEST
    return short and bool(able & set(waiver["roles"])) and waiver["person"] not in barred


def _moments(dossier: Dossier) -> list[str]:
    told = dossier.told
    votes = [one.at for one in told.votes_now() if one.decision == "approve"]
    approved = [told.approved_at] if told.approved_at else []
    started = [str(one["at"]) for one in told.started]
    return [*votes, *approved, *started]


def _rights(dossier: Dossier, waiver: dict[str, Any]) -> list[str]:
    known = dossier.rights.roles(waiver["person"], waiver["at"])
    if known is None or known == frozenset(waiver["roles"]):
        return []
    said = ", ".join(sorted(known)) or "no role"
    return [f"{waiver['person']} waived {waiver['gate']}; the log of rights says {said} then"]
