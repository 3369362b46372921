"""The page Approvers: who may approve as what, what waits for a confirmation, who is suspended.

A change is a POST that ends in a redirect; a refusal shows the same page with the reason and with
everything that was typed. It asks the same services as the REST API, and decides nothing.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from pydantic import Field
from starlette.responses import HTMLResponse, Response

from airlock.domain.approval.voting import REASON_MAX, REASON_MIN
from airlock.domain.errors import AirlockError
from airlock.domain.people.actors import Actor
from airlock.domain.people.enrolment import ENROL, Standing
from airlock.entrypoints.context import Platform
from airlock.entrypoints.http.api.enrolments import EnrolmentId, FileDigest
from airlock.entrypoints.http.dependencies import Airlock, FormText
from airlock.entrypoints.http.pages.base import (
    Fields,
    FormKey,
    Line,
    Reader,
    Reason,
    ReasonForm,
    again,
    back,
    render,
)
from airlock.entrypoints.http.problems import problem_of
from airlock.services.people import enrolment

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

LIMITS = (REASON_MIN, REASON_MAX)
Notice = Annotated[str, Query(alias="done", max_length=20)]
_NOTICES = {
    "proposed": "The proposal is recorded. Another person has to confirm it.",
    "imported": "Everybody in the file is proposed. Another person has to confirm the file.",
    "confirmed": "The enrolment is confirmed, and counts from now on.",
    "ended": "The enrolment is ended, and counts no more.",
}


class ProposalForm(Fields):
    """The form that proposes somebody."""

    person: Line = ""
    role: Line = ""
    reason: Reason = ""
    key: FormKey


class FileForm(Fields):
    """The form that proposes everybody a file names."""

    text: Annotated[FormText, Field(max_length=60_000)] = ""
    key: FormKey


@routes.get("/approvers")
def approvers(request: Request, airlock: Airlock, actor: Reader, notice: Notice = "") -> Response:
    """Show who may approve as what."""
    return _approvers(request, airlock, actor, done=_NOTICES.get(notice, ""))


@routes.post("/enrolments")
def propose(
    request: Request, airlock: Airlock, actor: Reader, form: Annotated[ProposalForm, Form()]
) -> Response:
    """Propose somebody for a role."""
    try:
        person, role = form.person.strip(), form.role.strip()
        enrolment.propose(
            airlock.store, airlock.rulebook, actor, person, role, form.reason, form.key
        )
    except AirlockError as error:
        return _refused(request, airlock, actor, error, form.typed())
    return back(request, "/approvers", "proposed")


@routes.post("/enrolments/import")
def import_file(
    request: Request, airlock: Airlock, actor: Reader, form: Annotated[FileForm, Form()]
) -> Response:
    """Propose everybody a file names."""
    try:
        enrolment.import_file(airlock.store, airlock.rulebook, actor, form.text, form.key)
    except AirlockError as error:
        return _refused(request, airlock, actor, error, form.typed())
    return back(request, "/approvers", "imported")


@routes.post("/enrolments/import/{digest}/confirmation")
def confirm_file(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    digest: FileDigest,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    """Confirm everybody one file has proposed."""
    try:
        enrolment.confirm_file(
            airlock.store, airlock.rulebook, actor, digest, form.reason, form.key
        )
    except AirlockError as error:
        return _refused(request, airlock, actor, error, {"row": digest, **form.typed()})
    return back(request, "/approvers", "confirmed")


@routes.post("/enrolments/{enrolment_id}/confirmation")
def confirm(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    enrolment_id: EnrolmentId,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    """Confirm a proposal."""
    try:
        enrolment.confirm(
            airlock.store, airlock.rulebook, actor, enrolment_id, form.reason, form.key
        )
    except AirlockError as error:
        return _refused(request, airlock, actor, error, {"row": enrolment_id, **form.typed()})
    return back(request, "/approvers", "confirmed")


@routes.post("/enrolments/{enrolment_id}/end")
def end(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    enrolment_id: EnrolmentId,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    """End an enrolment."""
    try:
        enrolment.end(airlock.store, airlock.rulebook, actor, enrolment_id, form.reason, form.key)
    except AirlockError as error:
        return _refused(request, airlock, actor, error, {"row": enrolment_id, **form.typed()})
    return back(request, "/approvers", "ended")


def _refused(
    request: Request,
    airlock: Platform,
    actor: Actor,
    error: AirlockError,
    typed: dict[str, str],
) -> Response:
    return _approvers(request, airlock, actor, refused=problem_of(error), typed=typed)


def _approvers(request: Request, airlock: Platform, actor: Actor, **extra: Any) -> Response:
    everything = enrolment.enrolments(airlock.store)
    people = enrolment.people(airlock.store, airlock.rulebook)
    context = {"done": "", "refused": None, **extra, "typed": again(extra.get("typed", {}))}
    may_enrol = airlock.rulebook.allows(actor, ENROL)
    rows = {state.value: [row for row in everything if row["state"] == state] for state in Standing}
    proposed = rows[Standing.PROPOSED]
    return render(
        request,
        "approvers.html",
        status=context["refused"].status if context["refused"] else 200,
        me=actor,
        may_enrol=may_enrol,
        nobody=not any(person["mayEnrol"] for person in people),
        registrars=[person["id"] for person in people if person["mayEnrol"]],
        missing=_missing(people),
        proposed=[row for row in proposed if not row["batch"]],
        files=_files(proposed),
        rows=rows,
        people=[person for person in people if person["active"] and person["id"] != actor.id],
        roles=sorted(airlock.rulebook.deciding_roles),
        look_alikes=enrolment.look_alikes(airlock.store),
        key=uuid.uuid4().hex,
        limits=LIMITS,
        **context,
    )


def _missing(people: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return people with a deciding role for which nobody has proposed them yet."""
    return [
        {"person": person["id"], "role": role}
        for person in people
        if person["active"]
        for role in person["unconfirmed"]
        if role not in {row["role"] for row in person["enrolments"]}
    ]


def _files(proposed: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return digest -> what that file has proposed."""
    rows_by_file: dict[str, list[dict[str, Any]]] = {}
    for row in proposed:
        if row["batch"]:
            rows_by_file.setdefault(row["batch"], []).append(row)
    return rows_by_file
