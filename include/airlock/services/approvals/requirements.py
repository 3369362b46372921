"""What one release has to pass, put together from registered documents only.

The worker may be wrong or hostile: the policy and the pipeline are those the deciding process
registered, the gates are judged again from the stored evidence, and the tier is computed again.
Who may not judge the release, who votes for whom and whether superiors may stand in is read now,
in the deciding transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airlock.domain.approval.advice import run_anew
from airlock.domain.approval.approval_conditions import check_no_overdue
from airlock.domain.approval.policy import Plan, Rulebook, Tier, asks_less
from airlock.domain.approval.rejections import check_reference
from airlock.domain.approval.release import Release, Subject
from airlock.domain.approval.release_request import blocking
from airlock.domain.approval.timers import is_escalated
from airlock.domain.approval.waiver_approval import WAIVABLE, able_to_waive
from airlock.domain.approval.waivers import Scene, waived
from airlock.domain.clock import stamp
from airlock.domain.digest import short
from airlock.domain.errors import Refused
from airlock.domain.evidence.attestation import check_attested
from airlock.domain.gates import GateResult, options_digest, run_gate
from airlock.domain.people.actors import claims, holders
from airlock.domain.people.delegation import Powers
from airlock.domain.people.separation_of_duties import Work
from airlock.gates import build
from airlock.ports import Candidate, Facts, UnitOfWork


def checked_plan(unit: UnitOfWork, release: Release, facts: Facts | None = None) -> Plan:
    """Return what the release has to pass, after checking everything a worker has claimed.

    *facts*: those of this transaction, if they have been read already.

    Raises:
        Refused: if the tier or a gate verdict recorded is not what the evidence says, the rules
            were changed after the run began, or an earlier approval left an overdue finding.
    """
    subject = release.subject
    document, _ = unit.registered("pipeline", subject.pipeline_digest)
    rulebook = rulebook_of(unit, release)
    tier = rulebook.tier(document["spec"]["risk"])
    if release.tier.rank < tier.rank:
        raise Refused(f"release {release.id} says {release.tier}, its declared facts say {tier}")
    check_of_pipeline(subject, document)
    facts = facts or unit.facts(release)
    _check_of_run(release, facts)
    plan = plan_of(unit, release, facts)
    if plan.environment.gates:
        _judge_again(unit, release, document, facts, plan)
    if plan.environment.people:
        check_foreseen(unit, release, plan, facts.candidate)
        findings = unit.findings(subject.model) if facts.demanded else ()
        check_no_overdue(findings, subject.model, release.opened_at)
    return plan


def check_of_pipeline(subject: Subject, pipeline: Mapping[str, Any]) -> None:
    """Refuse a subject that names a pipeline of another model or environment.

    The pipeline says how much risk there is and which gates judge, so another one would lower both.

    Raises:
        Refused: naming both.
    """
    name, environment = pipeline["metadata"]["name"], pipeline["spec"]["environment"]
    if (subject.model, subject.environment) != (name, environment):
        raise Refused(
            f"the pipeline {short(subject.pipeline_digest)} is that of {name} for {environment}, "
            f"not of {subject.model} for {subject.environment}",
            next_step="Find out who mixed them, and run the pipeline of that model again.",
        )


def _check_of_run(release: Release, facts: Facts) -> None:
    """Refuse a candidate that says something else of its run than Airflow did.

    Separation of duties and whether rules were foreseen hang on it.

    Raises:
        Refused: naming what differs.
    """
    candidate, run = facts.candidate, facts.run
    if candidate is None:
        return
    if run is None:
        raise Refused(f"release {release.id} is of run {release.origin}, which never began here")
    claimed = (candidate.requester, candidate.started_at, candidate.pipeline_digest)
    records = (run.requester, run.started_at, run.pipeline)
    names = ("requester", "start", "pipeline")
    differs = [
        f"its {name} is {claim}, and that of run {run.origin} is {record}"
        for name, claim, record in zip(names, claimed, records, strict=True)
        if claim != record
    ]
    if release.requester != run.requester:
        differs.append(f"it is {release.requester}'s, and run {run.origin} is {run.requester}'s")
    if differs:
        raise Refused(
            f"release {release.id} is not of its run: {'; '.join(differs)}",
            next_step=f"`airlock audit verify` says what was changed. {run_anew(release)}",
        )


def check_not_rejected(unit: UnitOfWork, release: Release, subject: Subject | None = None) -> None:
    """Refuse bytes that were rejected before unless the release names that rejection.

    The worker has checked it when the release was opened; the decider trusts no worker.

    Raises:
        Refused: naming the rejection.
    """
    subject = subject or release.subject
    rejections = unit.rejections(subject.model, subject.environment)
    others = [rejection for rejection in rejections if rejection[0] != release.id]
    check_reference(subject, release.attempt_of, others)


def plan_of(unit: UnitOfWork, release: Release, facts: Facts | None = None) -> Plan:
    """Return what the release has to pass, to show it or to count votes; judges nothing."""
    rulebook, policy = rulebook_of(unit, release), release.subject.policy_digest
    document, _ = unit.registered("pipeline", release.subject.pipeline_digest)
    candidate = facts.candidate if facts else unit.candidate(release.origin)
    now = stamp(facts.now if facts else unit.now())
    lent = unit.delegations(at=now) if facts is None or facts.lent else ()
    plan = rulebook.plan(release.subject.environment, Tier(release.tier))
    work = work_of(unit, release.requester, candidate, policy, document)
    return replace(
        plan,
        excluded=excluded(unit, rulebook, work, facts),
        unknown=rulebook.separation.unknown(work),
        powers=Powers(lent, rulebook.superiors, rulebook.fallback, rulebook.voting_roles),
        escalated=is_escalated(release, plan.timing, now),
    )


def rulebook_of(unit: UnitOfWork, release: Release) -> Rulebook:
    """Return the rule book in the release's subject."""
    return unit.rulebook(release.subject.policy_digest)


def work_of(
    unit: UnitOfWork,
    requester: str,
    candidate: Candidate | None,
    policy_digest: str,
    pipeline: Mapping[str, Any],
) -> Work:
    """Return who did what for a release."""
    return Work(
        requester=requester,
        owner=str(pipeline["metadata"].get("owner", "")),
        committers=candidate.committers if candidate else (),
        policy_changer=unit.changed_by("policy", policy_digest),
    )


def excluded(
    unit: UnitOfWork, rulebook: Rulebook, work: Work, facts: Facts | None = None
) -> dict[str, str]:
    """Return who may not judge this work, and why."""
    separation = rulebook.separation
    if not separation.roles:
        return separation.excluded(work, {})
    return separation.excluded(work, claims(facts.people if facts else unit.people()))


def check_foreseen(
    unit: UnitOfWork, release: Release, plan: Plan, candidate: Candidate | None
) -> None:
    """Refuse rules that were made after the run they judge, unless they only ask for more.

    Raises:
        Refused: naming what came later.
    """
    if candidate is None:
        return
    subject = release.subject
    again = f"Put the rules back under which it was measured; or: {run_anew(release)}"
    _, registered = unit.registered("pipeline", subject.pipeline_digest)
    if stamp(registered) > candidate.started_at:
        raise Refused(
            f"the pipeline in force was registered at {stamp(registered)}, after this run began "
            f"at {candidate.started_at}: gates are not chosen after the measuring",
            next_step=again,
        )
    _, registered = unit.registered("policy", subject.policy_digest)
    if stamp(registered) <= candidate.started_at:
        return
    before = unit.policy_at(candidate.started_at)
    foreseen = before and Rulebook.from_document(before).plan(subject.environment, plan.tier)
    if not foreseen or asks_less(foreseen, plan):
        raise Refused(
            f"the policy in force was registered at {stamp(registered)}, after this run began at "
            f"{candidate.started_at}, and asks for less than the one before",
            next_step=again,
        )


def scene_of(release: Release, document: Mapping[str, Any], facts: Facts, plan: Plan) -> Scene:
    """Return what decides whether the waivers of a release stand now."""
    return Scene(
        artifact_digest=release.subject.artifact_digest,
        options=_options(document),
        weights=plan.weights,
        at=stamp(facts.now),
        able=able_to_waive(release, plan, holders(facts.people)),
    )


def _options(document: Mapping[str, Any]) -> dict[str, str]:
    gates = [build(gate) for gate in document["spec"]["gates"]]
    return {gate.key: options_digest(gate) for gate in gates}


def judge_gates(
    release: Release, document: Mapping[str, Any], facts: Facts, plan: Plan
) -> list[GateResult]:
    """Judge the gates again from the stored evidence, with the waivers that stand."""
    return _with_waivers(judged_plainly(release, document, facts), release, document, facts, plan)


def judged_plainly(release: Release, document: Mapping[str, Any], facts: Facts) -> list[GateResult]:
    """Judge the gates again from the stored evidence, without any waiver."""
    evidence = {
        kind: item
        for kind, item in facts.evidence.items()
        if item.artifact_digest == release.subject.artifact_digest
    }
    return [run_gate(build(gate), evidence) for gate in document["spec"]["gates"]]


def _with_waivers(
    results: list[GateResult],
    release: Release,
    document: Mapping[str, Any],
    facts: Facts,
    plan: Plan,
) -> list[GateResult]:
    if not release.waivers:
        return results
    return waived(results, release.waivers, scene_of(release, document, facts, plan))


def _judge_again(
    unit: UnitOfWork, release: Release, document: Mapping[str, Any], facts: Facts, plan: Plan
) -> None:
    """Refuse blocking results, and results without a signature trusted for their gate."""
    plain = judged_plainly(release, document, facts)
    results = _with_waivers(plain, release, document, facts, plan)
    why = blocking(results, [result.key for result in plain], plan)
    if why:
        raise Refused(
            f"release {release.id} cannot go on: judged again from its evidence, {why}",
            next_step=_shut_again(release),
        )
    if unit.gate_keys is not None:
        artifact, options = release.subject.artifact_digest, _options(document)
        keys, run, then = unit.gate_keys, release.origin, run_anew(release)
        check_attested(plain, facts.attestations, artifact, options, plan, keys, run, then)


def _shut_again(release: Release) -> str:
    if not release.waivers:
        return "Somebody changed results or evidence after the release was opened. " + run_anew(
            release
        )
    ended = "A waiver has ended or does not count"
    if release.state in WAIVABLE:
        return f"{ended}: have it given again on the release's page, or reject the release."
    return f"{ended}, and after the last vote none can be given. {run_anew(release)}"
