"""The app that is mounted at `/airlock`: the REST API is here, the pages are in `pages`.

Each route is parse -> one service call -> answer. Whether somebody may vote is decided in the
deciding transaction, so that every door gives the same reason and the refusal is in the log.

It does not know Airflow, and it does not open releases or move aliases.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response as AnyResponse
from starlette.routing import Match

from airlock import __doc__ as about
from airlock.domain.approval.release import Decision, State
from airlock.domain.approval.voting import Ballot
from airlock.domain.errors import AirlockError
from airlock.domain.people.actors import Actor
from airlock.entrypoints.context import Platform
from airlock.entrypoints.http import slack_endpoint
from airlock.entrypoints.http.api import (
    audit,
    duties,
    enrolments,
    evidence,
    gates,
    serving,
    slack_link,
    users,
)
from airlock.entrypoints.http.api.duties import ConditionsRequest
from airlock.entrypoints.http.authentication import UNKNOWN_LOGINS, Accounts, Identify, Logins
from airlock.entrypoints.http.dependencies import (
    API,
    After,
    Airlock,
    Caller,
    Key,
    Limit,
    PlainText,
    ReleaseId,
    Signing,
    allowed,
    paged,
)
from airlock.entrypoints.http.etags import IfMatch, check_match, release_response, tagged
from airlock.entrypoints.http.pages import (
    approvers,
    base,
    review,
    time_zone,
)
from airlock.entrypoints.http.pages import audit as pages_audit
from airlock.entrypoints.http.pages import duties as pages_duties
from airlock.entrypoints.http.pages import evidence as pages_evidence
from airlock.entrypoints.http.pages import gates as pages_gates
from airlock.entrypoints.http.pages import releases as pages_releases
from airlock.entrypoints.http.pages import slack_link as pages_slack_link
from airlock.entrypoints.http.problems import declared, problem_of
from airlock.entrypoints.http.security_middleware import MAX_BODY, Doorman, log, route_path
from airlock.entrypoints.http.slack_endpoint import Reception
from airlock.entrypoints.slack.dispatcher import Desk
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.idempotency import Once
from airlock.services.queries import releases as release_queries

#: (dag, run) -> the note on a run of Airflow; empty if there is none.
RunNote = Callable[[str, str], str]
V1 = f"{API}/v1"
HEALTH = f"{V1}/health"

open_routes = APIRouter(prefix=V1)
routes = APIRouter(prefix=V1, responses=declared(401, 403, 404, 409, 413, 422, 503))

Reader = Annotated[Actor, Depends(allowed("release:read"))]
PolicyReader = Annotated[Actor, Depends(allowed("policy:read"))]


class _Body(BaseModel):
    """A request body: unknown fields and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class VoteRequest(_Body):
    """An answer, and what its voter was looking at."""

    decision: Literal["approve", "reject"]
    reason: Annotated[PlainText, Field(max_length=10_000)]
    level: Annotated[int, Field(ge=0, le=1000)]
    round: Annotated[int, Field(ge=0, le=1_000_000)]
    subjectDigest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    behind: Annotated[PlainText, Field(max_length=120)] = ""
    conditions: ConditionsRequest = ConditionsRequest()

    def ballot(self) -> Ballot:
        """Return the answer as the domain knows it."""
        return Ballot(
            decision=Decision(self.decision),
            reason=self.reason,
            level=self.level,
            round=self.round,
            subject_digest=self.subjectDigest,
            behind=self.behind,
            conditions=self.conditions.conditions(),
        )


class WithdrawalRequest(_Body):
    """Why the requester takes a release back."""

    reason: Annotated[PlainText, Field(min_length=3, max_length=2000)]


@open_routes.get("/health", tags=["platform"], responses=declared(503))
def health(airlock: Airlock) -> dict[str, str]:
    """Say whether Airlock's own database answers. The only route without a login."""
    with airlock.store.begin() as work:
        work.now()
    return {"status": "healthy", "database": "answers"}


@routes.get("/me", name="me", tags=["people"])
def current_person(airlock: Airlock, actor: Caller) -> dict[str, Any]:
    """Say who is logged in, with the roles and permissions held now."""
    return {
        "id": actor.id,
        "name": actor.name,
        "roles": sorted(actor.roles),
        "unconfirmed": sorted(actor.unconfirmed),
        "permissions": sorted(airlock.rulebook.permissions(actor.roles, actor.unconfirmed)),
    }


@routes.get("/releases", tags=["releases"])
def releases(
    request: Request,
    response: Response,
    airlock: Airlock,
    actor: Reader,
    state: Annotated[list[State], Query()] = [],  # noqa: B006 - FastAPI copies it
    model: Annotated[PlainText, Query(max_length=200)] = "",
    waiting: Annotated[Literal["", "me"], Query()] = "",
    after: After = "",
    limit: Limit = 200,
) -> list[dict[str, Any]]:
    """List releases, newest first; `waiting=me`: those the caller can answer, next to expire first.

    Where there are more, the header Link names the next page (RFC 8288, `rel="next"`).
    """
    if waiting:
        page = release_queries.inbox(airlock.store, actor, after=after, limit=limit)
    else:
        page = release_queries.listing(
            airlock.store, states=state, model=model or None, after=after, limit=limit
        )
    return paged(request, response, page)


@routes.get(
    "/releases/{release_id}",
    tags=["releases"],
    response_model=dict[str, Any],
    responses=tagged(200),
)
def release(airlock: Airlock, actor: Reader, release_id: ReleaseId) -> Response:
    """Show one release: subject, gates, metrics, levels, votes, who may answer, grant."""
    return release_response(airlock, release_id, actor, 200)


@routes.post(
    "/releases/{release_id}/votes",
    tags=["releases"],
    status_code=201,
    response_model=dict[str, Any],
    responses={**declared(412), **tagged(201)},
)
def vote(
    airlock: Airlock,
    signer: Signing,
    actor: Reader,
    release_id: ReleaseId,
    request: VoteRequest,
    key: Key = "",
    if_match: IfMatch = "",
) -> Response:
    """Answer at the open level. The same Idempotency-Key gives the same answer again."""
    check_match(airlock, release_id, actor, if_match, Once.of("vote", actor, key))
    answer = decide.answer(airlock.store, signer, release_id, request.ballot(), actor, key)
    return release_response(airlock, release_id, actor, answered=answer)


@routes.post(
    "/releases/{release_id}/withdrawal",
    tags=["releases"],
    status_code=201,
    response_model=dict[str, Any],
    responses={**declared(412), **tagged(201)},
)
def withdrawal(
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    request: WithdrawalRequest,
    key: Key = "",
    if_match: IfMatch = "",
) -> Response:
    """Take a release back; only who requested it can."""
    check_match(airlock, release_id, actor, if_match, Once.of("withdraw", actor, key))
    decide.withdraw(airlock.store, release_id, actor, request.reason, key)
    return release_response(airlock, release_id, actor)


@routes.get("/releases/{release_id}/events", tags=["releases"])
def release_events(
    request: Request,
    response: Response,
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    after: After = "",
    limit: Limit = 1000,
) -> list[dict[str, Any]]:
    """Return the log of one release: what its page shows to everybody who may see it.

    The newest events, oldest of them first; the header Link names the page with older ones.
    """
    release_queries.outcome(
        airlock.store, release_id
    )  # an unknown release is 404, not an empty log
    page = access_log.read(airlock.store, actor, release_id, limit, after=after)
    return paged(request, response, page)


@routes.get("/policy", tags=["policy"])
def policy(airlock: Airlock, actor: PolicyReader) -> dict[str, Any]:
    """Return the rule book in force, with its digest."""
    return {"digest": airlock.rulebook.digest, "document": airlock.rulebook.document}


def openapi(request: Request, actor: Caller) -> dict[str, Any]:
    """Return the OpenAPI document."""
    app: FastAPI = request.app
    return {**app.openapi(), "servers": [{"url": request.scope.get("root_path", "") or "/"}]}


def create_app(
    airlock: Platform,
    identify: Identify,
    slack: Callable[[], Desk] | None = None,
    logins: Logins = UNKNOWN_LOGINS,
    accounts: Accounts = lambda: None,
    run_note: RunNote = lambda _dag, _run: "",
) -> FastAPI:
    """Return the app. *identify* says who sent a request, or raises `Unauthenticated`.

    *slack* makes the desk that answers Slack, or raises what is missing for it; *logins* says when
    somebody logged in, and has it done again; *accounts* says who may log in; *run_note* what is
    noted on a run: why it has failed.
    """
    app = FastAPI(
        title="Airlock",
        description=about or "",
        version="1",
        openapi_url=None,  # FastAPI's own would need no login; ours is a route like any other
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.airlock, app.state.slack = airlock, Reception(slack)
    app.state.logins, app.state.accounts, app.state.run_note = logins, accounts, run_note
    app.include_router(open_routes)
    app.include_router(routes)
    app.include_router(audit.routes)
    app.include_router(duties.routes)
    app.include_router(enrolments.routes)
    app.include_router(evidence.routes)
    app.include_router(evidence.page)
    app.include_router(gates.routes)
    app.include_router(users.routes)
    app.include_router(serving.routes)
    app.include_router(slack_link.routes)
    app.include_router(users.logins)
    app.include_router(pages_releases.routes)
    app.include_router(approvers.routes)
    app.include_router(pages_audit.routes)
    app.include_router(pages_duties.routes)
    app.include_router(pages_evidence.routes)
    app.include_router(pages_gates.routes)
    app.include_router(review.routes)
    app.include_router(pages_slack_link.routes)
    app.include_router(time_zone.routes)
    app.include_router(slack_endpoint.routes)
    app.add_api_route(f"{API}/openapi.json", openapi, tags=["platform"], responses=declared(401))
    for kind in (AirlockError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _respond)
    app.add_middleware(
        Doorman,
        identify=identify,
        respond=_respond,
        policy=base.POLICY,
        open_paths={HEALTH: MAX_BODY, slack_endpoint.PATH: slack_endpoint.MAX_BODY},
    )
    return app


def _respond(request: Request, error: Exception) -> AnyResponse:
    problem = problem_of(error)
    if problem.status == 500:
        log.error("%s", problem.detail, exc_info=error)
    api = route_path(request).startswith((f"{API}/", slack_endpoint.PATH))
    answer = problem.response() if api else base.problem(request, problem)
    if problem.status == 405:
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """Return the methods of a request's address, over all routes that share it."""
    routes = [route for route in request.app.routes if isinstance(route, APIRoute)]
    method_sets = (
        route.methods for route in routes if route.matches(request.scope)[0] is not Match.NONE
    )
    return {method for methods in method_sets for method in methods}
