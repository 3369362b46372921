"""The people's part of the REST API: rights at a moment, erasure, a login for MLflow.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from airlock.domain.people.actors import Actor
from airlock.entrypoints.http.dependencies import (
    API,
    Airlock,
    Caller,
    Instant,
    Key,
    PlainText,
    Signing,
    allowed,
)
from airlock.entrypoints.http.problems import declared
from airlock.services.audit import erasure as erasure_service
from airlock.services.people import mlflow_token as mlflow_tokens
from airlock.services.people import recognition

routes = APIRouter(
    prefix=f"{API}/v1/people", tags=["people"], responses=declared(401, 403, 404, 413, 422, 503)
)
#: The way into MLflow: a token that says who somebody is.
logins = APIRouter(
    prefix=f"{API}/v1", tags=["platform"], responses=declared(401, 403, 404, 413, 422, 503)
)

PersonId = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$", description="The user name in Airflow"),
]
At = Annotated[
    Instant | None,
    Query(description="A moment with its time zone, such as 2026-11-24T12:00:00Z; default: now"),
]

Eraser = Annotated[Actor, Depends(allowed("people:erase"))]
Reader = Annotated[Actor, Depends(allowed("release:read"))]


class ErasureRequest(BaseModel):
    """Why what somebody wrote is erased. Name nobody in it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[PlainText, Field(min_length=3, max_length=2000)]


@routes.get("/{person_id}/rights")
def rights(airlock: Airlock, actor: Caller, person_id: PersonId, at: At = None) -> dict[str, Any]:
    """Say what somebody could do at a moment. One's own rights need no permission."""
    if person_id != actor.id:
        recognition.require(airlock.store, airlock.rulebook, actor, "user:read")
    return recognition.rights_at(airlock.store, person_id, at)


@routes.post("/{person_id}/erasure", status_code=201)
def erasure(
    airlock: Airlock,
    actor: Eraser,
    person_id: PersonId,
    request: ErasureRequest,
    key: Key = "",
) -> dict[str, Any]:
    """Erase every text somebody wrote, and the display name. What was decided stays, ids too."""
    return asdict(erasure_service.erase(airlock.store, actor, person_id, request.reason, key))


@logins.post("/mlflow-token", status_code=201)
def mlflow_token(
    airlock: Airlock, signer: Signing, actor: Reader, response: Response
) -> dict[str, Any]:
    """Return a token for MLflow: the password beside the caller's name, for a working day."""
    response.headers["Cache-Control"] = "no-store"
    return mlflow_tokens.mlflow_token(airlock.store, signer, airlock.rulebook, actor)
