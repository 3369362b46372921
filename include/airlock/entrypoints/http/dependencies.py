"""What the routes of the page and of the REST API share: who calls, and whether they may.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
Whatever asks a database is plain `def`: it runs in worker threads, never on the event loop.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request, Response, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)

from airlock.domain.approval.policy import Rulebook
from airlock.domain.errors import Unreachable
from airlock.domain.people.actors import Actor, Channel
from airlock.entrypoints.context import Platform, plain, plain_lines
from airlock.entrypoints.http.authentication import identity_of
from airlock.entrypoints.http.security_middleware import route_path
from airlock.ports import Signer
from airlock.services.people import recognition
from airlock.services.rows import Rows

API = "/api"
CHANNEL_HEADER = "X-Airlock-Channel"


async def platform(request: Request) -> Platform:
    """Return the platform the app was built for."""
    airlock: Platform = request.app.state.airlock
    return airlock


Airlock = Annotated[Platform, Depends(platform)]


async def signer(airlock: Airlock) -> Signer:
    """Return the key that signs grants.

    Raises:
        Unreachable: if this process was given none, so that nothing can be decided here.
    """
    if airlock.signer is None:
        raise Unreachable(
            "this process has no signing key, so nothing can be decided here",
            next_step="Set AIRLOCK_SIGNING_KEY for the API server; `airlock up` does.",
        )
    return airlock.signer


Signing = Annotated[Signer, Depends(signer)]


# These two only tell OpenAPI how to log in; the doorman has already asked for the identity.
Token = Annotated[Any, Security(HTTPBearer(auto_error=False, description="Airflow's token"))]
Cookie = Annotated[Any, Security(APIKeyCookie(name="_token", auto_error=False))]


def caller(request: Request, airlock: Airlock, _token: Token, _cookie: Cookie) -> Actor:
    """Return who calls, with the roles held now."""
    return _recognised(request, airlock, airlock.rulebook)


Caller = Annotated[Actor, Depends(caller)]


def allowed(permission: str) -> Callable[..., Actor]:
    """Return a dependency that gives the caller, who has to have *permission*.

    It does not depend on `caller`: each plain dependency is one more way to a worker thread.
    """

    def check(request: Request, airlock: Airlock, _token: Token, _cookie: Cookie) -> Actor:
        rulebook = airlock.rulebook
        actor = _recognised(request, airlock, rulebook)
        recognition.require(airlock.store, rulebook, actor, permission)
        return actor

    return check


def _recognised(request: Request, airlock: Platform, rulebook: Rulebook) -> Actor:
    identity = identity_of(request)
    return recognition.recognise(
        airlock.store,
        rulebook,
        identity.user_id,
        identity.name,
        identity.airflow_roles,
        _channel(request),
        identity.account,
    )


def _channel(request: Request) -> Channel:
    if not route_path(request).startswith(f"{API}/"):
        return Channel.PAGE
    channel = request.headers.get(CHANNEL_HEADER, "")
    return Channel.CLI if channel.lower() == Channel.CLI.value else Channel.API


class _Printable:
    """Tells OpenAPI what `plain` refuses."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Any:
        schema = handler(core)
        schema.setdefault("pattern", r"^[^\x00-\x08\x0b-\x1f\x7f]*$")
        return schema


def instant(value: object) -> str:
    """Return *value* if it is a moment with its offset, as RFC 3339 writes it.

    Raises:
        ValueError: for anything else, a bare number among them.
    """
    if not isinstance(value, str) or not re.fullmatch(INSTANT, value):
        raise ValueError("write a moment with its offset, such as 2026-11-24T12:00:00Z")
    return value


#: A moment of this millennium; what it means for the calendar is checked afterwards.
INSTANT = r"2\d{3}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)"
Instant = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(instant),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
PlainText = Annotated[str, AfterValidator(plain), _Printable()]
FormText = Annotated[str, AfterValidator(plain_lines)]
#: The same key gives the same answer, and does it once.
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{0,200}$",
        description="Of your own making; the same key gives the same answer, and does it once",
    ),
]
ReleaseId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$", description="The release's id")
]

Limit = Annotated[int, Query(ge=1, le=1000)]
#: Where the page before ended, as it said in the address of the next one.
After = Annotated[PlainText, Query(max_length=200)]


def paged(request: Request, response: Response, page: Rows) -> list[dict[str, Any]]:
    """Return the rows of a page; the header Link names the next one (RFC 8288, `rel="next"`)."""
    if page.next:
        onward = request.url.include_query_params(after=page.next)
        response.headers["Link"] = f'<{onward.path}?{onward.query}>; rel="next"'
    return page.rows
