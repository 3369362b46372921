"""REST for what goes beyond a vote: delegations, findings, emergencies, rollbacks.

Each route is parse -> one service call -> answer. Who may do what is decided in the transaction.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Actor
from airlock.entrypoints.http.dependencies import (
    API,
    After,
    Airlock,
    Instant,
    Key,
    Limit,
    PlainText,
    ReleaseId,
    Signing,
    allowed,
    paged,
)
from airlock.entrypoints.http.etags import IfMatch, check_match, release_response, tagged
from airlock.entrypoints.http.problems import declared
from airlock.services.approvals import break_glass as break_glass_service
from airlock.services.approvals import delegation as delegation_service
from airlock.services.idempotency import Once
from airlock.services.promotion import rollback
from airlock.services.queries import duties

routes = APIRouter(prefix=f"{API}/v1", responses=declared(401, 403, 404, 409, 413, 422, 503))

Reader = Annotated[Actor, Depends(allowed("release:read"))]
Reason = Annotated[PlainText, Field(min_length=3, max_length=2000)]
Name = Annotated[PlainText, Field(min_length=1, max_length=100)]
DelegationId = Annotated[str, Path(pattern=r"^del-[0-9a-f]{4,32}$")]
FindingId = Annotated[str, Path(pattern=r"^fin-[0-9a-f]{4,32}$")]


class _Body(BaseModel):
    """A request body: unknown fields and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DemandRequest(_Body):
    """Something to mend by a date, by somebody Airlock knows."""

    text: Annotated[PlainText, Field(min_length=3, max_length=2000)]
    owner: Name
    due: Instant


class ConditionsRequest(_Body):
    """What an approval is tied to."""

    maxTrafficShare: Annotated[float, Field(gt=0, le=1)] | None = None
    segments: Annotated[list[Name], Field(max_length=50)] = []
    expiresAt: Instant | None = None
    findings: Annotated[list[DemandRequest], Field(max_length=20)] = []

    def conditions(self) -> Conditions:
        """Return the conditions as the domain knows them."""
        return Conditions(
            max_traffic_share=self.maxTrafficShare,
            segments=tuple(self.segments),
            expires_at=_stamped(self.expiresAt),
            findings=tuple(
                Demand(text=finding.text, owner=finding.owner, due=stamp(finding.due))
                for finding in self.findings
            ),
        )


def _stamped(at: datetime | None) -> str | None:
    return stamp(at) if at else None


class DelegationRequest(_Body):
    """Who may answer for the caller, from when until when, and why."""

    to: Name
    start: Instant
    end: Instant
    reason: Reason


class EmergencyRequest(_Body):
    """Why the levels are skipped, for which incident, and what the caller was looking at."""

    reason: Reason
    incident: Name
    subjectDigest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class NoteRequest(_Body):
    """What somebody has to say."""

    reason: Reason


class RollbackRequest(_Body):
    """Why, and to which release; by default to the newest whose approval still stands."""

    reason: Reason
    to: Annotated[str, Field(pattern=r"^(rel-[0-9a-f]{4,32})?$")] = ""


@routes.get("/delegations", tags=["people"])
def delegations(
    request: Request,
    response: Response,
    airlock: Airlock,
    actor: Reader,
    person: Annotated[PlainText, Query(max_length=100)] = "",
    after: After = "",
    limit: Limit = 200,
) -> list[dict[str, Any]]:
    """List delegations, the one that begins last first: all, or those from or to one person.

    Where there are more, the header Link names the next page (RFC 8288, `rel="next"`).
    """
    page = duties.delegation_rows(
        airlock.store, giver=person, taker=person, after=after, limit=limit
    )
    return paged(request, response, page)


@routes.post("/delegations", tags=["people"], status_code=201)
def delegate(
    airlock: Airlock, actor: Reader, request: DelegationRequest, key: Key = ""
) -> dict[str, Any]:
    """Let somebody else answer for the caller for a while."""
    delegation = delegation_service.delegate(
        airlock.store,
        airlock.rulebook,
        actor,
        request.to,
        request.start,
        request.end,
        request.reason,
        key,
    )
    return asdict(delegation)


@routes.post("/delegations/{delegation_id}/end", tags=["people"], status_code=201)
def end_delegation(
    airlock: Airlock, actor: Reader, delegation_id: DelegationId, key: Key = ""
) -> dict[str, Any]:
    """End a delegation early."""
    return asdict(delegation_service.revoke(airlock.store, actor, delegation_id, key))


@routes.get("/findings", tags=["releases"])
def findings(
    request: Request,
    response: Response,
    airlock: Airlock,
    actor: Reader,
    model: Annotated[PlainText, Query(max_length=200)] = "",
    closed: bool | None = None,
    after: After = "",
    limit: Limit = 200,
) -> list[dict[str, Any]]:
    """List the findings of conditional approvals, the most urgent first.

    `closed` chooses open ones, or closed ones, of which the last comes first. Where there are more,
    the header Link names the next page (RFC 8288, `rel="next"`).
    """
    page = duties.finding_rows(airlock.store, model=model, closed=closed, after=after, limit=limit)
    return paged(request, response, page)


@routes.post("/findings/{finding_id}/closing", tags=["releases"], status_code=201)
def close_finding(
    airlock: Airlock, actor: Reader, finding_id: FindingId, request: NoteRequest, key: Key = ""
) -> dict[str, Any]:
    """Close a finding; its owner cannot."""
    closed = delegation_service.close_finding(
        airlock.store, airlock.rulebook, actor, finding_id, request.reason, key
    )
    return asdict(closed)


@routes.post(
    "/releases/{release_id}/emergency",
    tags=["releases"],
    status_code=201,
    response_model=dict[str, Any],
    responses={**declared(412), **tagged(201)},
)
def break_glass(
    airlock: Airlock,
    signer: Signing,
    actor: Reader,
    release_id: ReleaseId,
    request: EmergencyRequest,
    key: Key = "",
    if_match: IfMatch = "",
) -> Response:
    """Break the glass, as one of the people the policy names; it takes two."""
    check_match(airlock, release_id, actor, if_match, Once.of("break-glass", actor, key))
    break_glass_service.break_glass(
        airlock.store,
        signer,
        release_id,
        actor,
        request.reason,
        request.incident,
        reviewed=request.subjectDigest,
        key=key,
    )
    return release_response(airlock, release_id, actor)


@routes.post(
    "/releases/{release_id}/review",
    tags=["releases"],
    status_code=201,
    responses=declared(412),
)
def review(
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    request: NoteRequest,
    key: Key = "",
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Record that the caller, who was not involved, has reviewed an emergency."""
    check_match(airlock, release_id, actor, if_match, Once.of("review", actor, key))
    return asdict(break_glass_service.review(airlock.store, release_id, actor, request.reason, key))


@routes.post(
    "/releases/{release_id}/rollback",
    tags=["releases"],
    status_code=201,
    responses=declared(412),
)
def allow_rollback(
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    request: RollbackRequest,
    key: Key = "",
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Allow to go back to an older version; the promotion run of this release does it."""
    check_match(airlock, release_id, actor, if_match, Once.of("rollback", actor, key))
    allowed = rollback.allow(airlock.store, release_id, actor, request.reason, request.to, key)
    return {"to": allowed.release, "version": allowed.version, "until": allowed.until}
