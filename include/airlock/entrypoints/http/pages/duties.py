"""The pages beyond votes: my delegations, open findings, and emergencies on a release's page.

A change is a POST that ends in a redirect; a refusal shows the same page with the reason and with
everything that was typed. They ask the same services as the REST API, and decide nothing.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from pydantic import Field
from starlette.responses import HTMLResponse, Response

from airlock.domain.approval.voting import REASON_MAX, REASON_MIN
from airlock.domain.errors import AirlockError
from airlock.domain.people.actors import Actor
from airlock.entrypoints.context import Platform
from airlock.entrypoints.http.api.duties import DelegationId, FindingId
from airlock.entrypoints.http.dependencies import After, Airlock, PlainText, ReleaseId, Signing
from airlock.entrypoints.http.pages.base import (
    Fields,
    FormKey,
    Line,
    Reader,
    Reason,
    ReasonForm,
    again,
    back,
    problem,
    render,
    utc,
    utc_end,
)
from airlock.entrypoints.http.pages.releases import refusal
from airlock.entrypoints.http.problems import Problem, problem_of
from airlock.entrypoints.presentation.time_zones import reader_zone
from airlock.services.approvals import break_glass as break_glass_service
from airlock.services.approvals import delegation
from airlock.services.queries import duties
from airlock.services.rows import Rows

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

LIMITS = (REASON_MIN, REASON_MAX)
#: Rows of each list on a page.
PAGE_ROWS = 100
#: Every list from its beginning.
_NEWEST: Mapping[str, str] = defaultdict(str)
#: What the form for a delegation suggests.
SUGGESTED = timedelta(days=7)

Notice = Annotated[str, Query(alias="done", max_length=20)]
_NOTICES = {
    "given": "The delegation is recorded.",
    "ended": "The delegation is ended.",
    "closed": "The finding is closed.",
}


class DelegationForm(Fields):
    """The form that lets somebody answer for the reader."""

    to: Line = ""
    start: Line = ""
    end: Line = ""
    reason: Reason = ""
    key: FormKey


class EndForm(Fields):
    """The button that ends a delegation."""

    key: FormKey


class EmergencyForm(Fields):
    """The form for breaking the glass."""

    incident: Line = ""
    reason: Reason = ""
    subject: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    key: FormKey


@routes.get("/delegations")
def delegations(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    notice: Notice = "",
    own: Annotated[PlainText, Query(alias="mine", max_length=200)] = "",
    lent: After = "",
    others: After = "",
) -> Response:
    """Show who answers for whom; each list goes on where its page before ended."""
    after = {"mine": own, "lent": lent, "others": others}
    return _delegations(request, airlock, actor, after, done=_NOTICES.get(notice, ""))


@routes.post("/delegations")
def delegate(
    request: Request, airlock: Airlock, actor: Reader, form: Annotated[DelegationForm, Form()]
) -> Response:
    """Let somebody answer for the reader."""
    try:
        delegation.delegate(
            airlock.store,
            airlock.rulebook,
            actor,
            form.to.strip(),
            utc(form.start, "the start of a delegation"),
            utc_end(form.end, "the end of a delegation"),
            form.reason,
            form.key,
        )
    except AirlockError as error:
        refused = problem_of(error)
        return _delegations(request, airlock, actor, refused=refused, typed=form.typed())
    return back(request, "/delegations", "given")


@routes.post("/delegations/{delegation_id}/end")
def end(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    delegation_id: DelegationId,
    form: Annotated[EndForm, Form()],
) -> Response:
    """End a delegation early."""
    try:
        delegation.revoke(airlock.store, actor, delegation_id, form.key)
    except AirlockError as error:
        return _delegations(request, airlock, actor, refused=problem_of(error))
    return back(request, "/delegations", "ended")


def _delegations(
    request: Request,
    airlock: Platform,
    actor: Actor,
    after: Mapping[str, str] = _NEWEST,
    **extra: Any,
) -> Response:
    def page(name: str, **chosen: str) -> Rows:
        return duties.delegation_rows(airlock.store, after=after[name], limit=PAGE_ROWS, **chosen)

    now = datetime.now(UTC)
    suggested = {"start": _minute(now), "end": _minute(now + SUGGESTED)}
    context = {"done": "", "refused": None, **extra, "typed": again(extra.get("typed", {}))}
    return render(
        request,
        "delegations.html",
        status=_status(context["refused"]),
        me=actor,
        mine=page("mine", giver=actor.id),
        lent=page("lent", taker=actor.id),
        others=page("others", without=actor.id),
        after=after,
        standing_in=duties.standing_in(airlock.rulebook),
        fallback=airlock.rulebook.fallback,
        votes=bool(actor.roles & airlock.rulebook.voting_roles),
        people=[
            person for person in duties.known_people(airlock.store) if person["id"] != actor.id
        ],
        suggested=suggested,
        key=uuid.uuid4().hex,
        limits=LIMITS,
        **context,
    )


def _minute(at: datetime) -> str:
    return at.astimezone(reader_zone()).strftime("%Y-%m-%dT%H:%M")


@routes.get("/findings")
def findings(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    notice: Notice = "",
    waiting: After = "",
    closed: After = "",
) -> Response:
    """Show what conditional approvals want mended, the most urgent first."""
    after = {"waiting": waiting, "closed": closed}
    return _findings(request, airlock, actor, after, done=_NOTICES.get(notice, ""))


@routes.post("/findings/{finding_id}/closing")
def close(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    finding_id: FindingId,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    """Close a finding."""
    try:
        delegation.close_finding(
            airlock.store, airlock.rulebook, actor, finding_id, form.reason, form.key
        )
    except AirlockError as error:
        refused = problem_of(error)
        if refused.status == 404:
            return problem(request, refused)
        typed = {"finding": finding_id, "reason": form.reason}
        return _findings(request, airlock, actor, refused=refused, typed=typed)
    return back(request, "/findings", "closed")


def _findings(
    request: Request,
    airlock: Platform,
    actor: Actor,
    after: Mapping[str, str] = _NEWEST,
    **extra: Any,
) -> Response:
    def page(name: str, closed: bool) -> Rows:
        return duties.finding_rows(airlock.store, closed=closed, after=after[name], limit=PAGE_ROWS)

    context = {"done": "", "refused": None, **extra, "typed": again(extra.get("typed", {}))}
    return render(
        request,
        "findings.html",
        status=_status(context["refused"]),
        me=actor,
        waiting=page("waiting", closed=False),
        open_findings=duties.open_findings(airlock.store),
        closed=page("closed", closed=True),
        after=after,
        votes=airlock.rulebook.allows(actor, "release:vote"),
        key=uuid.uuid4().hex,
        limits=LIMITS,
        **context,
    )


def _status(refused: Problem | None) -> int:
    return refused.status if refused else 200


@routes.post("/releases/{release_id}/emergency")
def break_glass(
    request: Request,
    airlock: Airlock,
    signer: Signing,
    actor: Reader,
    release_id: ReleaseId,
    form: Annotated[EmergencyForm, Form()],
) -> Response:
    """Break the glass, alone or as the one who agrees."""
    store = airlock.store
    try:
        break_glass_service.break_glass(
            store,
            signer,
            release_id,
            actor,
            form.reason,
            form.incident.strip(),
            reviewed=form.subject,
            key=form.key,
        )
    except AirlockError as error:
        typed = {**form.typed(), "form": "emergency"}
        return refusal(request, airlock, actor, release_id, error, typed)
    return back(request, f"/releases/{release_id}", "emergency")


@routes.post("/releases/{release_id}/review")
def review(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    """Take a review of an emergency."""
    try:
        break_glass_service.review(airlock.store, release_id, actor, form.reason, form.key)
    except AirlockError as error:
        typed = {**form.typed(), "form": "review"}
        return refusal(request, airlock, actor, release_id, error, typed)
    return back(request, f"/releases/{release_id}", "review")
