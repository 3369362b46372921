"""The people's part of the REST API: who could do what, and when.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from airlock.entrypoints.callers import API, Airlock, Caller, Instant
from airlock.entrypoints.problems import declared
from airlock.services import people

routes = APIRouter(
    prefix=f"{API}/v1/people", tags=["people"], responses=declared(401, 403, 404, 413, 422, 503)
)

PersonId = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$", description="The user name in Airflow"),
]
At = Annotated[
    Instant | None,
    Query(description="A moment with its time zone, such as 2026-11-24T12:00:00Z; default: now"),
]


@routes.get("/{person_id}/rights")
def rights(airlock: Airlock, actor: Caller, person_id: PersonId, at: At = None) -> dict[str, Any]:
    """Say what somebody could do at a moment. One's own rights need no permission."""
    if person_id != actor.id:
        people.require(airlock.store, airlock.rulebook, actor, "user:read")
    return people.rights_at(airlock.store, person_id, at)
