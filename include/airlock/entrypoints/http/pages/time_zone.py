"""The page on which a reader says in which zone times are shown.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, Response

from airlock.entrypoints.http.pages.base import Fields, Line, Reader, back, mount, render
from airlock.entrypoints.presentation.time_zones import COOKIE, zone_called, zones

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_YEAR_S = 365 * 24 * 3600


class ZoneForm(Fields):
    """The form that chooses a zone; what is no zone is UTC."""

    name: Line = ""


@routes.get("/zone")
def zone(
    request: Request, actor: Reader, notice: Annotated[str, Query(alias="done", max_length=20)] = ""
) -> Response:
    """Show the zone of this browser, and every other."""
    return render(
        request,
        "zone.html",
        me=actor,
        zones=zones(),
        chosen=str(zone_called(request.cookies.get(COOKIE, ""))),
        now=datetime.now(UTC),
        done="Times are shown in this zone from now on." if notice else "",
    )


@routes.post("/zone")
def choose(request: Request, actor: Reader, form: Annotated[ZoneForm, Form()]) -> Response:
    """Keep a zone in this browser."""
    answer = back(request, "/zone", "chosen")
    answer.set_cookie(
        COOKIE,
        str(zone_called(form.name)),
        max_age=_YEAR_S,
        path=mount(request) or "/",
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="lax",
    )
    return answer
