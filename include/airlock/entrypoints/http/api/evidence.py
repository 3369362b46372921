"""Evidence through REST: one release as a zip that anybody can check, and as a page.

Who may take it away is data (`evidence:export`); the export itself is in the log.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse

from airlock.domain.people.actors import Actor
from airlock.entrypoints.http.dependencies import API, Airlock, PlainText, ReleaseId, allowed
from airlock.entrypoints.http.problems import declared
from airlock.services.audit import access_log
from airlock.services.audit import export as evidence_export

ZIP = "application/zip"
#: The REST API, and the page.
routes = APIRouter(
    prefix=f"{API}/v1/releases",
    tags=["evidence"],
    responses=declared(401, 403, 404, 409, 413, 422, 503),
)
page = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Exporter = Annotated[Actor, Depends(allowed("evidence:export"))]
EvidenceReader = Annotated[Actor, Depends(allowed("evidence:read"))]


class EvidenceRequest(BaseModel):
    """Why somebody takes the evidence away."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[PlainText, Field(min_length=3, max_length=2000)]


_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bundle",
        "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@routes.post("/{release_id}/evidence", response_class=Response, responses=_CONTENT)
def export(
    airlock: Airlock, actor: Exporter, release_id: ReleaseId, request: EvidenceRequest
) -> Response:
    """Return the evidence of a release as a zip to be checked offline; noted in the log."""
    bundle = evidence_export.export(
        airlock.store,
        airlock.keyring,
        airlock.signer,
        airlock.witnesses,
        actor,
        release_id,
        request.reason,
    )
    headers = {"Content-Disposition": f'attachment; filename="evidence-{release_id}.zip"'}
    return Response(bundle, media_type=ZIP, headers=headers)


@page.get("/releases/{release_id}/evidence")
def report(airlock: Airlock, actor: EvidenceReader, release_id: ReleaseId) -> Response:
    """Show the report that a bundle of this release would hold."""
    document = evidence_export.report(airlock.store, airlock.keyring, airlock.witnesses, release_id)
    access_log.note(airlock.store, actor, "LogRead", release_id, {"report": release_id})
    return HTMLResponse(document)
