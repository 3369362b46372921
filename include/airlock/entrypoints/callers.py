"""What the routes of the page and of the REST API share: who calls, and whether they may.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
Whatever asks a database is plain `def`: it runs in worker threads, never on the event loop.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol

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

from airlock.config.settings import SlackSettings
from airlock.domain.checkpoint import Cosigner
from airlock.domain.errors import Unreachable
from airlock.domain.people import Actor, Channel
from airlock.domain.policy import Rulebook
from airlock.entrypoints.doorman import route_path
from airlock.entrypoints.identity import identity_of
from airlock.ports import CodeSource, Files, Keyring, Signer
from airlock.services.audit.log_store import LogStore
from airlock.services.audit.transparency_log import Place
from airlock.services.people import recognition
from airlock.services.rows import Rows

API = "/api"
CHANNEL_HEADER = "X-Airlock-Channel"


class Platform(Protocol):
    """What the doors need of `airlock.bootstrap.Airlock`."""

    @property
    def store(self) -> LogStore:
        """Airlock's own database."""

    @property
    def places(self) -> Sequence[Place]:
        """Where the log's checkpoints are kept outside the database."""

    @property
    def witnesses(self) -> Mapping[str, Cosigner]:
        """The witnesses whose cosignatures are trusted."""

    @property
    def keyring(self) -> Keyring:
        """The trusted public keys."""

    @property
    def signer(self) -> Signer | None:
        """The key that signs grants."""

    @property
    def rulebook(self) -> Rulebook:
        """The rule book in force."""

    @property
    def slack(self) -> SlackSettings | None:
        """What there is of a Slack app."""

    @property
    def files(self) -> Files:
        """The files of evidence."""

    @property
    def code(self) -> CodeSource:
        """The checkout of this process."""

    @property
    def mlflow_url(self) -> str:
        """Where browsers reach MLflow; empty if they do not."""


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


def plain(text: str) -> str:
    """Return *text* if every character can be stored and shown.

    Raises:
        ValueError: for control characters (NUL among them) and halves of surrogate pairs.
    """
    if any(
        (ord(c) < 32 and c not in "\n\t") or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text
    ):
        raise ValueError("control characters are not allowed; write plain text")
    return text


def plain_lines(text: str) -> str:
    """Return the text of an HTML form, whose lines end in CR LF, as `plain` text."""
    return plain(re.sub(r"\r\n?", "\n", text))


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
