"""Giving a waiver: who may, for what, until when.

Rules, checked in this order:
* The release is BLOCKED, or a level is open; what was looked at is what is there.
* A reason, and an end in the future, at most 90 days away.
* Nobody waives for own work: not the requester, nobody who may not judge the release.
* The person holds, now and directly, a role with `gate:waive` that the requester does not hold.
* The gate is weighed `soft` and was judged, and its verdict does not open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.voting import check_reason, why_excluded
from airlock.domain.approval.waivers import LONGEST, Scene
from airlock.domain.clock import moment, stamp
from airlock.domain.digest import short
from airlock.domain.errors import Conflict, Forbidden, Invalid, Refused
from airlock.domain.evidence.enforcement import Enforcement
from airlock.domain.gates import GateResult
from airlock.domain.people.actors import Actor

WAIVABLE = (State.BLOCKED, State.AWAITING_APPROVAL)


def able_to_waive(release: Release, plan: Plan, holders: Holders) -> frozenset[str]:
    """Return everybody who may waive a gate of this release now."""
    requester_roles = holders.get(release.requester, frozenset())
    barred = {*plan.excluded, release.requester}
    giving = plan.waiving - requester_roles
    return frozenset(
        person for person, roles in holders.items() if roles & giving and person not in barred
    )


def waive(
    release: Release,
    plan: Plan,
    results: Sequence[GateResult],
    scene: Scene,
    actor: Actor,
    holders: Holders,
    *,
    gate: str,
    reason: str,
    until: datetime,
    reviewed: str,
) -> Story:
    """Return the event of a waiver. *results*: as judged now; *reviewed*: the subject looked at.

    Raises:
        Refused: (one of its kinds) naming the rule broken and what to do.
    """
    _check_seen(release, reviewed)
    check_reason(reason)
    _check_end(until, scene.at)
    _check_person(release, plan, actor, holders)
    result = _closed(release, plan, results, gate)
    story = Story(release, actor, scene.at, release.subject.policy_digest)
    data = {
        "gate": result.key,
        "verdict": result.verdict.value,
        "until": stamp(until),
        "artifactDigest": scene.artifact_digest,
        "evidence": list(result.evidence),
        "options": scene.options[result.key],
    }
    story.tell("WaiverGranted", data, why=reason)
    return story


def _check_seen(release: Release, reviewed: str) -> None:
    if release.state not in WAIVABLE:
        raise Conflict(
            f"release {release.id} is {release.state}: there is nothing to waive",
            next_step="A gate is waived while the release is BLOCKED or awaits approval.",
        )
    if reviewed and reviewed != release.subject.digest:
        raise Conflict(
            f"you looked at {short(reviewed)}, but release {release.id} is in round "
            f"{release.round} with {short(release.subject.digest)}",
            next_step="Open the release again, look at what changed, then decide.",
        )


def _check_end(until: datetime, at: str) -> None:
    now = moment(at)
    if not now < until <= now + LONGEST:
        raise Invalid(
            f"a waiver ends in the future, within {LONGEST.days} days, found {stamp(until)}",
            next_step="Give a day by which the gate passes again.",
        )


def _check_person(release: Release, plan: Plan, actor: Actor, holders: Holders) -> None:
    why = why_excluded(release, plan, actor.id)
    if why:
        raise Forbidden(
            f"{actor.id} {why} (release {release.id}): nobody judges own work",
            next_step="Ask somebody who had no part in it.",
        )
    if actor.id in able_to_waive(release, plan, holders):
        return
    roles = ", ".join(sorted(holders.get(actor.id, frozenset()))) or actor.holds
    able = ", ".join(sorted(able_to_waive(release, plan, holders))) or "nobody"
    raise Forbidden(
        f"waiving a gate needs a role with gate:waive that the requester does not hold; "
        f"{actor.id} holds {roles}",
        next_step=f"May waive now: {able}.",
    )


def _closed(release: Release, plan: Plan, results: Sequence[GateResult], gate: str) -> GateResult:
    """Return the result to be waived."""
    matches = [result for result in results if result.key == gate]
    if not matches:
        names = ", ".join(sorted(result.key for result in results)) or "none"
        raise Refused(f"release {release.id} has no gate {gate!r}; there are: {names}")
    weight = plan.enforcement(matches[0].gate)
    if weight is not Enforcement.SOFT:
        raise Refused(
            f"{gate} is {weight} for the tier {release.tier}: only a soft gate can be waived",
            next_step="Mend what it found, and run the pipeline again.",
        )
    if matches[0].verdict.opens:
        raise Refused(f"{gate} is {matches[0].verdict}: there is nothing to waive")
    return matches[0]
