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
    """Return the weight of a gate in the tier of this release: advisory, soft or hard."""
    table = dossier.policy["approval"]["spec"].get("enforcement", {})
    return str(table.get(gate, {}).get(dossier.release.tier, "hard"))


def check_waived(dossier: Dossier, gate: str, key: str, evidence: Iterable[str]) -> list[str]:
    """Check that a gate was waived by somebody who could; return notes on what it could not check.

    Raises:
        Failed: naming the gate.
    """
    if weight(dossier, gate) != "soft":
        raise Failed(GATES, f"{key} is WAIVED, but the policy weighs it {weight(dossier, gate)}")
    release, digests = dossier.release, set(evidence)
    waivers = [
        waiver
        for waiver in release.waivers
        if (waiver["gate"], waiver["artifactDigest"]) == (key, release.subject["artifact_digest"])
        and set(waiver["evidence"]) == digests
    ]
    good = [waiver for waiver in waivers if _could(dossier, waiver)]
    if not good:
        raise Failed(GATES, f"{key} is WAIVED, but nobody who could has waived it for this")
    for at in _moments(dossier):
        if not any(waiver["at"] <= at < waiver["until"] for waiver in good):
            raise Failed(GATES, f"{key} is WAIVED, but no waiver was in force at {at}")
    return [note for waiver in good for note in _rights(dossier, waiver)]


def _could(dossier: Dossier, waiver: dict[str, Any]) -> bool:
    release, roles = dossier.release, dossier.policy["access"]["spec"]["roles"]
    able = {name for name in roles if "gate:waive" in roles[name]["permissions"]}
    barred = {release.requester, *release.excluded}
    short = moment(waiver["until"]) - moment(waiver["at"]) <= LONGEST
    return short and bool(able & set(waiver["roles"])) and waiver["person"] not in barred


def _moments(dossier: Dossier) -> list[str]:
    release = dossier.release
    votes = [vote.at for vote in release.votes_now() if vote.decision == "approve"]
    approved = [release.approved_at] if release.approved_at else []
    started = [str(attempt["at"]) for attempt in release.started]
    return [*votes, *approved, *started]


def _rights(dossier: Dossier, waiver: dict[str, Any]) -> list[str]:
    roles = dossier.rights.roles(waiver["person"], waiver["at"])
    if roles is None or roles == frozenset(waiver["roles"]):
        return []
    names = ", ".join(sorted(roles)) or "no role"
    return [f"{waiver['person']} waived {waiver['gate']}; the log of rights says {names} then"]
