"""The log's part of the REST API: read it, check it, prove one entry of it, take it away.

Every route notes who used it. It knows no rule: rights are checked by `dependencies.allowed`.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from airlock.domain.people.actors import Actor
from airlock.entrypoints.http.dependencies import (
    API,
    After,
    Airlock,
    Limit,
    PlainText,
    allowed,
    paged,
)
from airlock.entrypoints.http.problems import declared
from airlock.services.audit import access_log
from airlock.services.audit import verification as verification_service

routes = APIRouter(
    prefix=f"{API}/v1/audit", tags=["audit"], responses=declared(401, 403, 404, 413, 422, 503)
)

LogReader = Annotated[Actor, Depends(allowed("audit:read"))]
Verifier = Annotated[Actor, Depends(allowed("audit:verify"))]
Exporter = Annotated[Actor, Depends(allowed("audit:export"))]
Stream = Annotated[str, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$")]
#: The kind of an event, such as VoteCast.
EventKind = Annotated[str, Query(alias="what", pattern=r"^[A-Za-z]{0,60}$")]
Seq = Annotated[int, Query(ge=1, le=2_000_000_000)]


class ExportRequest(BaseModel):
    """Why somebody takes the log away."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[PlainText, Field(min_length=3, max_length=2000)]


@routes.get("/events")
def events(
    request: Request,
    response: Response,
    airlock: Airlock,
    actor: LogReader,
    stream: Stream | None = None,
    event_kind: EventKind = "",
    after: After = "",
    limit: Limit = 200,
) -> list[dict[str, Any]]:
    """Return the latest events of the log, of one stream or of one kind, oldest of them first.

    Where there are older ones, the header Link names their page (RFC 8288, `rel="next"`).
    """
    page = access_log.read(airlock.store, actor, stream, limit, event_type=event_kind, after=after)
    return paged(request, response, page)


@routes.get("/verification")
def verification(airlock: Airlock, actor: Verifier) -> dict[str, Any]:
    """Check the whole log, its tree, checkpoints and every grant now; say what is damaged."""
    report = verification_service.verify_against(
        airlock.store, airlock.keyring, airlock.places, airlock.witnesses
    )
    summary = {"events": report.events, "damages": len(report.damages)}
    access_log.note(airlock.store, actor, "LogVerified", "", summary)
    return report.to_document()


@routes.get("/proof", response_class=PlainTextResponse)
def proof(airlock: Airlock, actor: LogReader, stream: Stream, seq: Seq) -> str:
    """Return the proof that one entry is in the log (C2SP tlog-proof)."""
    text = access_log.prove(airlock.store, stream, seq)
    access_log.note(airlock.store, actor, "LogRead", stream, {"proof": seq})
    return text


@routes.post("/export", response_class=StreamingResponse, status_code=200)
def export(airlock: Airlock, actor: Exporter, request: ExportRequest) -> StreamingResponse:
    """Return the whole log for checking it offline; the export itself is in the log."""
    lines = access_log.export(airlock.store, airlock.keyring, actor, request.reason)
    return StreamingResponse(lines, media_type="application/x-ndjson")
