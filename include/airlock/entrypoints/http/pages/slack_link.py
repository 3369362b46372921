"""The page Slack: whose account is linked, a one-time code to link one, a button to end it.

A code is in the answer to one POST and nowhere else. What links is what its owner types in Slack.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from airlock.domain.errors import AirlockError
from airlock.domain.people.account_link import VALID
from airlock.domain.people.actors import Actor
from airlock.entrypoints.context import Platform
from airlock.entrypoints.http.api.slack_link import check_configured
from airlock.entrypoints.http.dependencies import Airlock
from airlock.entrypoints.http.pages.base import Reader, back, render
from airlock.entrypoints.http.problems import problem_of
from airlock.services.people import slack_links

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_NOTICES = {"ended": "The link is ended. Nothing you do in Slack counts any more."}


@routes.get("/slack")
def slack(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    notice: Annotated[str, Query(alias="done", max_length=20)] = "",
) -> Response:
    """Show the reader's account in Slack."""
    return _page(request, airlock, actor, done=_NOTICES.get(notice, ""))


@routes.post("/slack/code")
def code(request: Request, airlock: Airlock, actor: Reader) -> Response:
    """Show a code, this once."""
    try:
        check_configured(airlock)
        offer = slack_links.offer(airlock.store, actor)
    except AirlockError as error:
        return _page(request, airlock, actor, refused=problem_of(error))
    return _page(request, airlock, actor, offer=offer)


@routes.post("/slack/end")
def end(request: Request, airlock: Airlock, actor: Reader) -> Response:
    """End the reader's link."""
    slack_links.end(airlock.store, actor, actor.id)
    return back(request, "/slack", "ended")


def _page(request: Request, airlock: Platform, actor: Actor, **extra: Any) -> Response:
    context = {"done": "", "refused": None, "offer": None, **extra}
    refused = context["refused"]
    return render(
        request,
        "slack.html",
        status=refused.status if refused else 200,
        me=actor,
        configured=airlock.slack is not None,
        link=slack_links.of(airlock.store, actor.id),
        minutes=int(VALID.total_seconds() // 60),
        **context,
    )
