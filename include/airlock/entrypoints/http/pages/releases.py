"""The Releases page inside Airflow: what waits for me, all releases, one release, the answer form.

Rules:
* The form carries what its reader saw (level, round, subject digest) and a key that makes
  sending it twice harmless. Only who may answer gets the form; the others get the reason why not.
* A change is a POST that ends in a redirect; a refusal shows the same page with the reason and with
  everything that was typed.

The pages ask the same services as the REST API, and decide nothing.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from pydantic import Field
from starlette.responses import HTMLResponse, RedirectResponse, Response

from airlock.domain.approval.release import Decision, Release, State
from airlock.domain.approval.voting import REASON_MAX, REASON_MIN, Ballot
from airlock.domain.errors import AirlockError
from airlock.domain.people.actors import Actor
from airlock.entrypoints.context import Platform
from airlock.entrypoints.http.dependencies import After, Airlock, PlainText, ReleaseId, Signing
from airlock.entrypoints.http.pages.base import (
    CSS,
    CSS_PATH,
    FormKey,
    Line,
    Reader,
    Reason,
    ReasonForm,
    again,
    back,
    mount,
    problem,
    render,
)
from airlock.entrypoints.http.pages.waivers import ConditionFields
from airlock.entrypoints.http.problems import problem_of
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.queries import duties
from airlock.services.queries import releases as release_queries

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

#: Entries of a release's log on its page.
EVENTS_ON_PAGE = 300
_NOTICES = {
    "approve": "Your approval is recorded.",
    "reject": "Your rejection is recorded. It is final.",
    "withdraw": "The release is withdrawn.",
    "emergency": "It is recorded that you broke the glass.",
    "review": "Your review is recorded.",
    "waive": "Your waiver is recorded.",
}


class BallotForm(ConditionFields):
    """The answer form."""

    decision: Decision
    reason: Reason = ""
    level: Annotated[int, Field(ge=0, le=1000)]
    round: Annotated[int, Field(ge=0, le=1_000_000)]
    subject: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    behind: Line = ""
    key: FormKey

    def ballot(self) -> Ballot:
        """Return the answer as the domain knows it.

        Raises:
            Invalid: if a condition cannot be read.
        """
        return Ballot(
            decision=self.decision,
            reason=self.reason,
            level=self.level,
            round=self.round,
            subject_digest=self.subject,
            behind=self.behind,
            conditions=self.conditions(),
        )


@routes.get("/")
def start(request: Request, actor: Reader) -> RedirectResponse:
    """Go to the list."""
    return RedirectResponse(f"{mount(request)}/releases", 303)


@routes.get("/releases")
def releases(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    state: Annotated[State | Literal[""], Query()] = "",
    model: Annotated[PlainText, Query(max_length=200)] = "",
    dag: Annotated[PlainText, Query(max_length=250)] = "",
    run: Annotated[PlainText, Query(max_length=250)] = "",
    after: Annotated[PlainText, Query(max_length=200)] = "",
    waiting: Annotated[PlainText, Query(max_length=200)] = "",
) -> Response:
    """Show what waits for the reader first, then every release; or go to the one of a run."""
    run_release = _of_run(airlock, f"{dag}/{run}") if dag and run else None
    if run_release:
        return RedirectResponse(f"{mount(request)}/releases/{run_release.id}", 303)
    states = [State(state)] if state else []
    page = release_queries.listing(airlock.store, states=states, model=model or None, after=after)
    return render(
        request,
        "releases.html",
        me=actor,
        inbox=release_queries.inbox(airlock.store, actor, after=waiting),
        page=page,
        chosen={"state": str(state), "model": model},
        after=after,
        waiting=waiting,
        states=[choice.value for choice in State],
        models=release_queries.models(airlock.store),
        without=run,
        noted=request.app.state.run_note(dag, run) if dag and run else "",
    )


def _of_run(airlock: Platform, origin: str) -> Release | None:
    with airlock.store.begin() as work:
        return work.by_origin(origin)


@routes.get("/releases/{release_id}")
def release(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    notice: Annotated[str, Query(alias="done", max_length=20)] = "",
    older: After = "",
) -> Response:
    """Show one release; its log goes on where the page before ended (*older*)."""
    return release_page(
        request, airlock, actor, release_id, done=_NOTICES.get(notice, ""), older=older
    )


@routes.post("/releases/{release_id}/votes")
def vote(
    request: Request,
    airlock: Airlock,
    signer: Signing,
    actor: Reader,
    release_id: ReleaseId,
    form: Annotated[BallotForm, Form()],
) -> Response:
    """Take an answer."""
    try:
        decide.vote(airlock.store, signer, release_id, form.ballot(), actor, form.key)
    except AirlockError as error:
        typed = {**form.typed(), "form": "answer", "findings": form.rows()}
        return refusal(request, airlock, actor, release_id, error, typed)
    return back(request, f"/releases/{release_id}", form.decision.value)


@routes.post("/releases/{release_id}/withdrawal")
def withdrawal(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    """Take a release back."""
    try:
        decide.withdraw(airlock.store, release_id, actor, form.reason, form.key)
    except AirlockError as error:
        typed = {**form.typed(), "form": "withdraw"}
        return refusal(request, airlock, actor, release_id, error, typed)
    return back(request, f"/releases/{release_id}", "withdraw")


@routes.get(CSS_PATH)
def style(actor: Reader) -> Response:
    """Return the style sheet."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(CSS, media_type="text/css", headers=headers)


def refusal(
    request: Request,
    airlock: Platform,
    actor: Actor,
    release_id: str,
    error: AirlockError,
    typed: dict[str, Any],
) -> Response:
    """Return the page of a release with the reason for a refusal, and what was *typed*."""
    refused = problem_of(error)
    if refused.status == 404:
        return problem(request, refused)
    return release_page(request, airlock, actor, release_id, refused=refused, typed=typed)


def release_page(
    request: Request, airlock: Platform, actor: Actor, release_id: str, **extra: Any
) -> Response:
    """Return the page of a release."""
    view = release_queries.show(airlock.store, airlock.keyring, release_id, actor)
    context = {"done": "", "refused": None, "seen": "", "older": "", **extra}
    events = access_log.read(
        airlock.store, actor, release_id, EVENTS_ON_PAGE, after=context["older"]
    )
    context["typed"], refused = again(extra.get("typed", {})), context["refused"]
    people = duties.known_people(airlock.store) if view["youMayAnswer"] else []
    return render(
        request,
        "release.html",
        status=refused.status if refused else 200,
        me=actor,
        release=view,
        events=events,
        key=uuid.uuid4().hex,
        evidence=airlock.rulebook.allows(actor, "evidence:read"),
        limits=(REASON_MIN, REASON_MAX),
        people=people,
        airflow=mount(request).rpartition("/")[0],
        mlflow=airlock.mlflow_url,
        **context,
    )
