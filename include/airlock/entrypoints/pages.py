"""The Releases page inside Airflow: what waits for me, all releases, one release, the answer form.

Rules:
* Server-rendered; works without JavaScript, and no script is ever sent.
* Everything shown is escaped by the template engine; only our own style sheet is marked safe.
* The form carries what its reader saw (level, round, subject digest) and a key that makes
  sending it twice harmless. Only who may answer gets the form; the others get the reason why not.
* A change is a POST that ends in a redirect; a refusal shows the same page with the reason.

The pages ask the same services as the REST API, and decide nothing.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import base64
import hashlib
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query, Request
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, RedirectResponse, Response

from airlock.domain.errors import AirlockError
from airlock.domain.people import Actor
from airlock.domain.release import Decision, Release, State
from airlock.domain.voting import REASON_MAX, REASON_MIN, Ballot
from airlock.entrypoints.callers import (
    Airlock,
    FormText,
    PlainText,
    Platform,
    ReleaseId,
    Signing,
    allowed,
)
from airlock.entrypoints.problems import Problem, problem_of
from airlock.entrypoints.rendering import templates
from airlock.services import auditing, deciding, reading
from airlock_evidence.markup import STYLE

_CSS = (Path(__file__).parent / "web" / "static" / "airlock.css").read_text(encoding="utf-8")
_CSS_DIGEST = hashlib.sha256(_CSS.encode()).digest()
_CSS_HASH = base64.b64encode(_CSS_DIGEST).decode()
#: The evidence report is one file with its style inside, on the page too.
_REPORT_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
#: The style sheet's address changes with its content, so browsers may keep it.
CSS_PATH = f"/static/airlock-{_CSS_DIGEST.hex()[:12]}.css"

#: Whoever has no login cannot load the style sheet, so that page carries it; hence the hash.
POLICY = (
    f"default-src 'none'; style-src 'self' 'sha256-{_CSS_HASH}' 'sha256-{_REPORT_HASH}'; "
    "img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Reader = Annotated[Actor, Depends(allowed("release:read"))]

_DONE = {
    "approve": "Your approval is recorded.",
    "reject": "Your rejection is recorded. It is final.",
    "withdraw": "The release is withdrawn.",
}


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BallotForm(_Fields):
    """The answer form."""

    decision: Decision
    reason: Annotated[FormText, Field(max_length=10_000)] = ""
    level: Annotated[int, Field(ge=0, le=1000)]
    round: Annotated[int, Field(ge=0, le=1_000_000)]
    subject: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    key: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]

    def ballot(self) -> Ballot:
        """Return the answer as the domain knows it."""
        return Ballot(
            decision=self.decision,
            reason=self.reason,
            level=self.level,
            round=self.round,
            subject_digest=self.subject,
        )


class WithdrawalForm(_Fields):
    """The form of the requester who takes a release back."""

    reason: Annotated[FormText, Field(max_length=10_000)] = ""


@routes.get("/")
def start(request: Request, actor: Reader) -> RedirectResponse:
    """Go to the list."""
    return RedirectResponse(f"{_mount(request)}/releases", 303)


@routes.get("/releases")
def releases(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    state: Annotated[State | Literal[""], Query()] = "",
    model: Annotated[PlainText, Query(max_length=200)] = "",
    dag: Annotated[PlainText, Query(max_length=250)] = "",
    run: Annotated[PlainText, Query(max_length=250)] = "",
) -> Response:
    """Show what waits for the reader first, then every release; or go to the one of a run."""
    found = _of_run(airlock, f"{dag}/{run}") if dag and run else None
    if found:
        return RedirectResponse(f"{_mount(request)}/releases/{found.id}", 303)
    everything = reading.listing(airlock.store)
    chosen = {"state": str(state), "model": model}
    rows = [row for row in everything if _matches(row, chosen)]
    return _render(
        request,
        "releases.html",
        me=actor,
        inbox=reading.inbox(airlock.store, actor),
        rows=rows,
        total=len(everything),
        chosen=chosen,
        states=[one.value for one in State],
        models=sorted({row["model"] for row in everything}),
        without=run,
    )


def _of_run(airlock: Platform, origin: str) -> Release | None:
    with airlock.store.begin() as work:
        return work.by_origin(origin)


def _matches(row: dict[str, Any], chosen: dict[str, str]) -> bool:
    return all(not wanted or row[field] == wanted for field, wanted in chosen.items())


@routes.get("/releases/{release_id}")
def release(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show one release."""
    return _release(request, airlock, actor, release_id, done=_DONE.get(done, ""))


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
        deciding.vote(airlock.store, signer, release_id, form.ballot(), actor, form.key)
    except AirlockError as error:
        return _refusal(request, airlock, actor, release_id, error, form.reason)
    return _back(request, release_id, form.decision.value)


@routes.post("/releases/{release_id}/withdrawal")
def withdrawal(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    form: Annotated[WithdrawalForm, Form()],
) -> Response:
    """Take a release back."""
    try:
        deciding.withdraw(airlock.store, release_id, actor, form.reason)
    except AirlockError as error:
        return _refusal(request, airlock, actor, release_id, error, form.reason)
    return _back(request, release_id, "withdraw")


@routes.get(CSS_PATH)
def style(actor: Reader) -> Response:
    """Return the style sheet."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(_CSS, media_type="text/css", headers=headers)


def problem(request: Request, found: Problem) -> Response:
    """Return the page of a problem; without a login it points to Airflow's."""
    target = quote(f"{_mount(request)}/releases", safe="")
    if request.method == "GET":
        target = quote(request.url.path, safe="")
    above = _mount(request).rpartition("/")[0]
    login = f"{above}/api/v2/auth/login?next={target}" if found.status == 401 else ""
    carried = Markup(_CSS) if found.status == 401 else ""  # noqa: S704 - our own file, no input
    page = _render(request, "problem.html", problem=found, login=login, carried=carried)
    page.status_code = found.status
    return page


def _refusal(
    request: Request,
    airlock: Platform,
    actor: Actor,
    release_id: str,
    error: AirlockError,
    reason: str,
) -> Response:
    refused = problem_of(error)
    if refused.status == 404:
        return problem(request, refused)
    page = _release(request, airlock, actor, release_id, refused=refused, reason=reason)
    page.status_code = refused.status
    return page


def _release(
    request: Request, airlock: Platform, actor: Actor, release_id: str, **shown: Any
) -> Response:
    view = reading.show(airlock.store, airlock.keyring, release_id, actor)
    events = auditing.read(airlock.store, actor, release_id, 500)
    context = {"done": "", "refused": None, "reason": "", **shown}
    return _render(
        request,
        "release.html",
        me=actor,
        release=view,
        events=events,
        key=uuid.uuid4().hex,
        evidence="evidence:read" in airlock.rulebook.permissions(actor.roles),
        limits=(REASON_MIN, REASON_MAX),
        **context,
    )


def _render(request: Request, name: str, **context: Any) -> Response:
    mount = _mount(request)
    page = templates().get_template(name)
    return HTMLResponse(page.render(mount=mount, css=f"{mount}{CSS_PATH}", **context))


def _back(request: Request, release_id: str, done: str) -> Response:
    return RedirectResponse(f"{_mount(request)}/releases/{release_id}?done={done}", 303)


def _mount(request: Request) -> str:
    return str(request.scope.get("root_path", ""))
