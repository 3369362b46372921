"""REST for the account in Slack that belongs to the caller.

A code is shown to a signed-in person and typed in Slack by the account's owner; no route here links
anything. FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from airlock.domain.errors import Refused
from airlock.domain.people.actors import Actor
from airlock.entrypoints.context import Platform
from airlock.entrypoints.http.api.users import PersonId
from airlock.entrypoints.http.dependencies import API, Airlock, Caller, allowed
from airlock.entrypoints.http.problems import declared
from airlock.services.people import slack_links

routes = APIRouter(
    prefix=f"{API}/v1", tags=["people"], responses=declared(401, 403, 404, 409, 413, 422, 503)
)

Eraser = Annotated[Actor, Depends(allowed("people:erase"))]


@routes.get("/me/slack")
def link(airlock: Airlock, actor: Caller) -> dict[str, Any]:
    """Say which account in Slack is the caller's, and whether Slack is set up at all."""
    slack_link = slack_links.of(airlock.store, actor.id)
    account = slack_link and {
        "team": slack_link.team,
        "account": slack_link.account,
        "since": slack_link.linked_at,
    }
    return {"configured": airlock.slack is not None, "link": account}


@routes.post("/me/slack/code", status_code=201)
def code(airlock: Airlock, actor: Caller) -> dict[str, Any]:
    """Make a one-time code for the caller; the one before no longer works."""
    check_configured(airlock)
    offer = slack_links.offer(airlock.store, actor)
    return {"code": offer.code, "expiresAt": offer.expires_at, "type": offer.command}


@routes.delete("/me/slack")
def unlink(airlock: Airlock, actor: Caller) -> dict[str, Any]:
    """End the caller's link, and forget a code not used yet."""
    return {"ended": slack_links.end(airlock.store, actor, actor.id)}


@routes.delete("/people/{person_id}/slack")
def unlink_somebody(airlock: Airlock, actor: Eraser, person_id: PersonId) -> dict[str, Any]:
    """End the link of somebody whose account in Slack was lost or taken over."""
    return {"ended": slack_links.end(airlock.store, actor, person_id)}


def check_configured(airlock: Platform) -> None:
    """Refuse where Slack is not set up: a code could be typed nowhere.

    Raises:
        Refused: naming what is missing.
    """
    if airlock.slack is None:
        raise Refused(
            "Slack is not set up here, so there is no account to link",
            next_step="Whoever runs Airlock sets it up: docs/howto/slack.md says how.",
        )
