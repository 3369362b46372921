"""The page Log: every event, the newest first, for those who may read the log.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from airlock.entrypoints.http.api.audit import LogReader
from airlock.entrypoints.http.dependencies import After, Airlock, PlainText
from airlock.entrypoints.http.pages.base import render
from airlock.services.audit import access_log

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

#: Events on a page.
PAGE_ROWS = 100


@routes.get("/log")
def log(
    request: Request,
    airlock: Airlock,
    actor: LogReader,
    stream: Annotated[PlainText, Query(max_length=200)] = "",
    event_kind: Annotated[PlainText, Query(alias="what", max_length=60)] = "",
    after: After = "",
) -> Response:
    """Show a page of the log, of one stream or of one kind of event; who reads it is in it."""
    page = access_log.read(
        airlock.store,
        actor,
        stream.strip() or None,
        PAGE_ROWS,
        event_type=event_kind.strip(),
        after=after,
    )
    return render(
        request,
        "audit.html",
        me=actor,
        events=list(reversed(page.rows)),
        next=page.next,
        after=after,
        chosen={"stream": stream.strip(), "what": event_kind.strip()},
    )
