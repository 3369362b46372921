"""REST for the register of approvers, and for who may log in to Airflow.

Each route is parse -> one service call -> answer. Who may do what is decided in the transaction.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from airlock.domain.errors import Forbidden
from airlock.domain.people.actors import Actor
from airlock.domain.people.enrolment import ENROL
from airlock.entrypoints.http.authentication import SERVICE, identity_of
from airlock.entrypoints.http.dependencies import (
    API,
    Airlock,
    Cookie,
    Key,
    PlainText,
    Token,
    allowed,
)
from airlock.entrypoints.http.problems import declared
from airlock.services.people import enrolment

routes = APIRouter(
    prefix=f"{API}/v1", tags=["people"], responses=declared(401, 403, 404, 409, 413, 422, 503)
)

UserReader = Annotated[Actor, Depends(allowed("user:read"))]
Reader = Annotated[Actor, Depends(allowed("release:read"))]
Registrar = Annotated[Actor, Depends(allowed(ENROL))]
Reason = Annotated[PlainText, Field(min_length=3, max_length=2000)]
Name = Annotated[PlainText, Field(min_length=1, max_length=100)]
EnrolmentId = Annotated[str, Path(pattern=r"^enr-[0-9a-f]{4,32}$")]
FileDigest = Annotated[
    str, Path(pattern=r"^sha256:[0-9a-f]{64}$", description="The digest of the file imported")
]
State = Literal["", "proposed", "active", "suspended", "ended"]


class _Body(BaseModel):
    """A request body: unknown fields and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ProposalRequest(_Body):
    """Who is to act as what, and why."""

    person: Name
    role: Name
    reason: Reason


class WhyRequest(_Body):
    """Why."""

    reason: Reason


class FileRequest(_Body):
    """A CSV file with the columns person, role, reason; its lines end in LF."""

    text: Annotated[PlainText, Field(min_length=1, max_length=60_000)]


@routes.get("/people")
def people(airlock: Airlock, actor: UserReader) -> list[dict[str, Any]]:
    """List everybody known: the roles that count, those nobody has confirmed, the enrolments."""
    return enrolment.people(airlock.store, airlock.rulebook)


@routes.get("/people/look-alikes")
def look_alikes(airlock: Airlock, actor: UserReader) -> list[dict[str, Any]]:
    """List the user names that were refused because they look like somebody else's."""
    return list(enrolment.look_alikes(airlock.store))


@routes.get("/enrolments")
def enrolments(
    airlock: Airlock,
    actor: UserReader,
    person: Annotated[PlainText, Query(max_length=100)] = "",
    state: Annotated[State, Query()] = "",
) -> list[dict[str, Any]]:
    """List enrolments: all, those of one person, or those in one state."""
    return enrolment.enrolments(airlock.store, person=person, state=state)


@routes.post("/enrolments", status_code=201)
def propose(
    airlock: Airlock, actor: Registrar, request: ProposalRequest, key: Key = ""
) -> dict[str, Any]:
    """Propose somebody for a role; another person has to confirm it."""
    proposal = enrolment.propose(
        airlock.store, airlock.rulebook, actor, request.person, request.role, request.reason, key
    )
    return enrolment.view(proposal)


@routes.post("/enrolments/import", status_code=201)
def import_file(
    airlock: Airlock, actor: Registrar, request: FileRequest, key: Key = ""
) -> dict[str, Any]:
    """Propose everybody a file names, all or nobody; one confirmation of the file is enough."""
    batch, proposals = enrolment.import_file(
        airlock.store, airlock.rulebook, actor, request.text, key
    )
    return {"digest": batch, "enrolments": [enrolment.view(proposal) for proposal in proposals]}


@routes.post("/enrolments/import/{digest}/confirmation", status_code=201)
def confirm_file(
    airlock: Airlock, actor: Registrar, digest: FileDigest, request: WhyRequest, key: Key = ""
) -> list[dict[str, Any]]:
    """Confirm everybody one file has proposed, as another person than who imported it."""
    records = enrolment.confirm_file(
        airlock.store, airlock.rulebook, actor, digest, request.reason, key
    )
    return [enrolment.view(record) for record in records]


@routes.post("/enrolments/{enrolment_id}/confirmation", status_code=201)
def confirm(
    airlock: Airlock,
    actor: Registrar,
    enrolment_id: EnrolmentId,
    request: WhyRequest,
    key: Key = "",
) -> dict[str, Any]:
    """Confirm a proposal, as another person than who made it and whom it is about."""
    record = enrolment.confirm(
        airlock.store, airlock.rulebook, actor, enrolment_id, request.reason, key
    )
    return enrolment.view(record)


@routes.post("/enrolments/{enrolment_id}/end", status_code=201)
def end(
    airlock: Airlock, actor: Reader, enrolment_id: EnrolmentId, request: WhyRequest, key: Key = ""
) -> dict[str, Any]:
    """End an enrolment at once, as somebody who may enrol or as the person enrolled."""
    record = enrolment.end(
        airlock.store, airlock.rulebook, actor, enrolment_id, request.reason, key
    )
    return enrolment.view(record)


@routes.get("/accounts")
def accounts(request: Request, _token: Token, _cookie: Cookie) -> dict[str, Any]:
    """Say who may log in to Airflow; for Airlock's own delivery process alone.

    Marks are digests: they show that something of an account has changed, and not what it is.
    """
    if identity_of(request).user_id != SERVICE:
        raise Forbidden(
            f"only {SERVICE} asks who may log in",
            next_step="`airlock person list` shows whom Airlock knows.",
        )
    entries = request.app.state.accounts()
    return {"accounts": None if entries is None else [_account(entry) for entry in entries]}


def _account(entry: Any) -> dict[str, Any]:
    document = asdict(entry)
    identity = document.pop("identity")
    return {**document, "roles": sorted(entry.roles), "seen": identity}
