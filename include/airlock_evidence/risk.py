"""Was the release judged by the pipeline of its own model, and as risky as the policy says?

Rules, of a release that anybody has approved:
* The pipeline is that of the subject's model and environment: it says which gates judge and how
  much risk there is, so that of another one would lower both.
* The tier is the one the policy computes from the pipeline's declared facts, or a higher one: a
  person can only raise it.
"""

from __future__ import annotations

from typing import Any

from airlock_evidence.archive import Failed
from airlock_evidence.dossier import PIPELINE, POLICY, Dossier
from airlock_evidence.entries import STREAM

TIERS = ("low", "medium", "high")


def check_risk(dossier: Dossier) -> None:
    """Check pipeline and tier.

    Raises:
        Failed: naming what the subject or the log says, and what the documents say.
    """
    release = dossier.release
    if not (release.complete or release.approved_at):
        return
    named = (dossier.pipeline["metadata"]["name"], dossier.pipeline["spec"]["environment"])
    subject = (release.subject["model"], release.subject["environment"])
    if named != subject:
        why = f"is that of {' for '.join(named)}, not of {' for '.join(subject)}"
        raise Failed(PIPELINE, why)
    tier = _tier(dossier.policy["risk"]["spec"], dossier.pipeline["spec"]["risk"])
    if tier not in TIERS or release.tier not in TIERS:
        raise Failed(POLICY, f"has a tier this program does not know: {tier}, {release.tier}")
    if TIERS.index(release.tier) < TIERS.index(tier):
        raise Failed(
            STREAM, f"the release was opened as {release.tier}, its declared facts say {tier}"
        )


def _tier(risk: dict[str, Any], facts: dict[str, Any]) -> str:
    for rule in risk["rules"]:
        if all(facts.get(name) == value for name, value in rule["when"].items()):
            return str(rule["tier"])
    return str(risk["otherwise"])
