"""The form on a release's page that waives what a soft gate found.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import Field
from starlette.responses import HTMLResponse, Response

from airlock.domain.errors import AirlockError
from airlock.entrypoints.http.dependencies import Airlock, FormText, ReleaseId, Signing
from airlock.entrypoints.http.pages.base import Fields, FormKey, Line, Reader, Reason, back, utc_end
from airlock.entrypoints.http.pages.releases import refusal
from airlock.services.approvals import waivers

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


class WaiverForm(Fields):
    """The form for a waiver."""

    gate: Annotated[FormText, Field(min_length=1, max_length=200)]
    until: Line = ""
    reason: Reason = ""
    subject: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    key: FormKey


@routes.post("/releases/{release_id}/waivers")
def waive(
    request: Request,
    airlock: Airlock,
    signer: Signing,
    actor: Reader,
    release_id: ReleaseId,
    form: Annotated[WaiverForm, Form()],
) -> Response:
    """Waive a gate; a day without a time is over when the day is."""
    try:
        until = utc_end(form.until, "the end of a waiver")
        waivers.waive(
            airlock.store,
            signer,
            release_id,
            form.gate,
            form.reason,
            until,
            actor,
            reviewed=form.subject,
            key=form.key,
        )
    except AirlockError as error:
        typed = {**form.typed(), "form": "waiver"}
        return refusal(request, airlock, actor, release_id, error, typed)
    return back(request, f"/releases/{release_id}", "waive")
