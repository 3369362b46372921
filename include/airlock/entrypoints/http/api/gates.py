"""REST for gates: waiving what a soft gate found, and judging again.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from airlock.entrypoints.http.api.duties import Reader, Reason
from airlock.entrypoints.http.dependencies import (
    API,
    Airlock,
    Instant,
    Key,
    PlainText,
    ReleaseId,
    Signing,
)
from airlock.entrypoints.http.etags import IfMatch, check_match, release_response, tagged
from airlock.entrypoints.http.problems import declared
from airlock.services.approvals import waivers
from airlock.services.idempotency import Once
from airlock.services.pipeline import gate_reverification

routes = APIRouter(prefix=f"{API}/v1", responses=declared(401, 403, 404, 409, 413, 422, 503))


class WaiverRequest(BaseModel):
    """Which result is accepted, why, until when, and what the caller was looking at."""

    model_config = ConfigDict(extra="forbid", strict=True)

    gate: Annotated[PlainText, Field(min_length=1, max_length=200)]
    reason: Reason
    until: Instant
    subjectDigest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


@routes.get("/releases/{release_id}/recomputation", tags=["releases"])
def recompute(airlock: Airlock, actor: Reader, release_id: ReleaseId) -> dict[str, Any]:
    """Judge the gates again from the stored evidence alone, and compare with what was judged."""
    return gate_reverification.recompute(airlock.store, release_id)


@routes.post(
    "/releases/{release_id}/waivers",
    tags=["releases"],
    status_code=201,
    response_model=dict[str, Any],
    responses={**declared(412), **tagged(201)},
)
def waive(
    airlock: Airlock,
    signer: Signing,
    actor: Reader,
    release_id: ReleaseId,
    request: WaiverRequest,
    key: Key = "",
    if_match: IfMatch = "",
) -> Response:
    """Waive one soft gate of this release until a day; a release nothing else blocks is opened."""
    check_match(airlock, release_id, actor, if_match, Once.of("waive", actor, key))
    waivers.waive(
        airlock.store,
        signer,
        release_id,
        request.gate,
        request.reason,
        request.until,
        actor,
        reviewed=request.subjectDigest,
        key=key,
    )
    return release_response(airlock, release_id, actor)
