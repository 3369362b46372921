"""What people see of a release: one document for the page, the CLI and REST alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from airlock.domain.approval.policy import Level, Plan
from airlock.domain.approval.release import Release, State, Vote
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.timers import Kind, deadline
from airlock.domain.approval.voting import lacking, may_answer, why_excluded
from airlock.domain.clock import stamp
from airlock.domain.digest import short
from airlock.domain.errors import AirlockError, NotFound
from airlock.domain.evidence.evidence_files import EvidenceFile, files_of
from airlock.domain.metrics import DIRECTIONS
from airlock.domain.people.actors import Actor, holders
from airlock.domain.promotion.grant import opened
from airlock.ports import Facts, Keyring, Store, UnitOfWork
from airlock.services.approvals import waivers as waiver_service
from airlock.services.approvals.decide import Answer
from airlock.services.approvals.requirements import plan_of
from airlock.services.queries import duties, threshold_changes
from airlock.services.queries.inbox import waiting_for
from airlock.services.rows import Rows


def outcome(store: Store, release_id: str) -> Release:
    """Return where a release is, without locking it."""
    with store.begin() as unit:
        return unit.get(release_id)


def listing(
    store: Store,
    *,
    states: Sequence[State] = (),
    model: str | None = None,
    after: str = "",
    limit: int = 200,
) -> Rows:
    """Return a page of releases, newest first; *after*: where the page before it ended.

    Raises:
        Invalid: if *after* is no such place.
    """
    with store.begin() as unit:
        page = unit.page(states=states, model=model, after=after, limit=limit)
        return Rows([_short(release) for release in page.releases], page.next)


def models(store: Store) -> tuple[str, ...]:
    """Return every model there is a release of, by name."""
    with store.begin() as unit:
        return unit.models()


def inbox(store: Store, actor: Actor, *, after: str = "", limit: int = 50) -> Rows:
    """Return a page of what waits for this actor, the next to expire first.

    Raises:
        Invalid: if *after* is no place where a page ended.
    """
    with store.begin() as unit:
        page = waiting_for(unit, actor.id, after=after, limit=limit)
        rows = [
            {**_short(release), "deadline": deadline(release, plan.timing)}
            for release, plan in page.items
        ]
        return Rows(rows, page.next)


def show(
    store: Store,
    keyring: Keyring,
    release_id: str,
    actor: Actor | None,
    answered: Answer | None = None,
) -> dict[str, Any]:
    """Return everything about one release, as *actor* sees it.

    *answered*: the answer just given; what its transaction has read is not read again, unless
    somebody has moved the release since.
    """
    with store.begin() as unit:
        release = unit.get(release_id)
        context = _reusable_facts(answered, release) or unit.facts(release)
        plan = plan_of(unit, release, context)
        able, names = holders(context.people), {person.id: person.name for person in context.people}
        answering = may_answer(release, plan, able)
        evaluation = context.evidence.get("evaluation")
        facts = evaluation.facts if evaluation else {}
        gates, waivers, waivable = waiver_service.gates_and_waivers(
            unit, release, context, plan, actor
        )
        return {
            **_short(release),
            "alias": plan.environment.alias,
            "subject": {**_camel(asdict(release.subject)), "digest": release.subject.digest},
            "location": release.location,
            "levels": [
                _level(release, plan, number, able, names)
                for number in range(1, len(plan.levels) + 1)
            ],
            "mayAnswer": list(answering),
            "youMayAnswer": actor is not None and actor.id in answering,
            "yourSeats": duties.seats(release, plan, actor, able),
            "whyNot": _why_not(release, plan, actor, answering),
            "gates": gates,
            "waivers": waivers,
            "youMayWaive": waivable,
            "changedSinceFailure": threshold_changes.changed(unit, release, plan)
            if context.earlier
            else [],
            "files": [
                asdict(file)
                for file in files_of(context.evidence.values(), release.subject.artifact_digest)
            ],
            "mlflowRun": context.candidate.run_id if context.candidate else None,
            "metrics": _metrics(facts),
            "championVersion": (facts.get("champion") or {}).get("version"),
            "emergency": duties.emergency(unit, release, plan, actor, context),
            "findings": duties.findings(unit, release, context),
            "deadline": deadline(release, plan.timing),
            "approvedUntil": _approved_until(unit, release),
            "lease": asdict(release.lease) if release.lease else None,
            "rollback": asdict(release.rollback) if release.rollback else None,
            "grant": _grant(unit, keyring, release.id),
            "line": {"version": context.line.version, "epoch": context.line.epoch},
        }


def evidence_file(store: Store, release_id: str, digest: str) -> EvidenceFile:
    """Return a file of a release's evidence that people may look at.

    Raises:
        NotFound: if there is no such release, or it has no such file.
    """
    with store.begin() as unit:
        release = unit.get(release_id)
        evidence = unit.evidence_of(release.origin).values()
    for file in files_of(evidence, release.subject.artifact_digest):
        if file.digest == digest:
            return file
    raise NotFound(f"the evidence of {release_id} has no plot or model card {short(digest)}")


def _reusable_facts(answered: Answer | None, now: Release) -> Facts | None:
    if answered is None:
        return None
    then = answered.release
    same = (then.summary(), then.origin, then.emergency) == (
        now.summary(),
        now.origin,
        now.emergency,
    )
    return answered.facts if same else None


def _short(release: Release) -> dict[str, Any]:
    dag_id, _, run_id = release.origin.partition("/")
    return {
        "id": release.id,
        "state": release.state.value,
        "tier": release.tier.value,
        "why": release.why,
        "model": release.subject.model,
        "version": release.subject.version,
        "environment": release.subject.environment,
        "requester": release.requester,
        "origin": {"dagId": dag_id, "runId": run_id},
        "openedAt": release.opened_at,
        "levelOpenedAt": release.level_opened_at,
        "round": release.round,
        "level": release.level,
        "afterRejection": release.attempt_of or None,
    }


def _level(
    release: Release, plan: Plan, number: int, able: Holders, names: dict[str, str]
) -> dict[str, Any]:
    level = plan.levels[number - 1]
    votes = release.votes_at(number)
    open_now = release.level == number
    missing = lacking(release, plan, able) if open_now else ()
    return {
        "number": number,
        "name": level.name,
        "needs": level.sentence(),
        "state": _level_state(release, level, number, votes),
        "votes": [_vote(vote, names) for vote in votes],
        "missing": [
            {"needs": item.rule.sentence(item.count), "candidates": list(item.candidates)}
            for item in missing
        ],
    }


def _level_state(release: Release, level: Level, number: int, votes: tuple[Vote, ...]) -> str:
    if any(vote.decision.value == "reject" for vote in votes):
        return "rejected"
    if release.level == number:
        return "open"
    if len(votes) >= sum(rule.count for rule in level.rules):
        return "complete"
    approved = release.state in (State.APPROVED, State.PROMOTING, State.PROMOTED)
    if approved and release.emergency is not None:
        return "skipped"
    return "complete" if approved or release.level > number else "waiting"


def _vote(vote: Vote, names: dict[str, str]) -> dict[str, Any]:
    return {
        "person": vote.person,
        "capacity": vote.capacity.value,
        "behind": vote.behind,
        "conditions": vote.conditions.to_document(),
        "name": names.get(vote.person, vote.person),
        "decision": vote.decision.value,
        "reason": vote.reason,
        "channel": vote.channel,
        "at": vote.at,
    }


def _why_not(release: Release, plan: Plan, actor: Actor | None, answering: tuple[str, ...]) -> str:
    if actor is None or actor.id in answering:
        return ""
    if release.state is not State.AWAITING_APPROVAL:
        return f"this release is {release.state}, so there is nothing to answer"
    excluded = why_excluded(release, plan, actor.id)
    if excluded:
        return f"you {excluded}: nobody judges own work"
    if actor.id in release.voters:
        return "you have already answered this release: one person, one vote"
    level = plan.levels[release.level - 1]
    return f"level {release.level} ({level.name}) needs {level.sentence()}; you hold {actor.holds}"


def _metrics(facts: dict[str, Any] | Any) -> list[dict[str, Any]]:
    if not facts:
        return []
    champion = (facts.get("champion") or {}).get("metrics", {})
    return [
        {
            "metric": name,
            "direction": DIRECTIONS.get(name),
            "candidate": value,
            "champion": champion.get(name),
        }
        for name, value in sorted(facts["candidate"]["metrics"].items())
    ]


def _approved_until(unit: UnitOfWork, release: Release) -> str | None:
    """Return until when an approval may be used: when the timer is due that ends it."""
    if release.state is not State.APPROVED:
        return None
    timers = [timer for timer, fired in unit.timers_of(release.id) if fired is None]
    due = [
        timer.due_at
        for timer in timers
        if timer.kind is Kind.UNUSED and timer.round == release.round
    ]
    return due[0] if due else None


def _grant(unit: UnitOfWork, keyring: Keyring, release_id: str) -> dict[str, Any] | None:
    stored = unit.grant_of(release_id)
    if stored is None:
        return None
    spent = {
        "spentBy": stored.spent_by,
        "spentAt": stamp(stored.spent_at) if stored.spent_at else None,
        "revokedAt": stamp(stored.revoked_at) if stored.revoked_at else None,
    }
    try:
        grant = opened(stored.envelope, keyring)
    except AirlockError as error:
        return {"id": stored.grant_id, "valid": False, "why": error.message, **spent}
    return {
        "id": grant.id,
        "valid": True,
        "sequence": grant.sequence,
        "issuedAt": stamp(grant.issued_at),
        "expiresAt": stamp(grant.expires_at),
        "expectedCurrent": grant.expected_current,
        "artifactDigest": grant.artifact_digest,
        **spent,
    }


def _camel(fields: dict[str, Any]) -> dict[str, Any]:
    def camel(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(word.title() for word in rest)

    return {camel(name): value for name, value in fields.items()}
