"""The doorman: what happens to every HTTP request before a route sees it.

Rules, in this order:
* Nobody passes without an identity; the exceptions are named where the app is made. A route
  somebody forgets to protect is protected all the same.
* A request that changes something and carries a cookie has to come from our own pages: browsers
  say so in `Sec-Fetch-Site`, or else in `Origin`. A bearer token is sent by programs on purpose,
  so it is exempt (and it wins over the cookie when the identity is worked out).
* A body is at most 64 KB, unless an open path says otherwise.
* Every answer carries the security headers. No script runs on our pages, inline or not.
* An error no route expected becomes a 500 that tells nothing, and a log entry that tells all.

It is an ASGI middleware. It decides nothing about releases.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airlock.domain.errors import Forbidden, Invalid
from airlock.entrypoints.http.authentication import STATE, Identify
from airlock.entrypoints.presentation.time_zones import COOKIE, read_in, zone_called

MAX_BODY = 64 * 1024
_READS = frozenset({"GET", "HEAD", "OPTIONS"})

#: (request, error) -> response
Respond = Callable[[Request, Exception], Response]

log = logging.getLogger("airlock.http")


class TooLarge(Invalid):
    """The request is larger than anything Airlock takes."""

    http_status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Doorman:
    """Wraps the app; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        identify: Identify,
        respond: Respond,
        policy: str,
        open_paths: Mapping[str, int],
    ) -> None:
        """Let only *open_paths* pass without a login: path -> the largest body there, in bytes.

        *policy* is the content security policy.
        """
        self.app, self._identify, self._respond = app, identify, respond
        self._policy, self._open_paths = policy, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit or refuse one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there is no other kind of door: a web socket is never accepted
        request = Request(scope, receive)
        with read_in(zone_called(request.cookies.get(COOKIE, ""))):
            await self._answer(request, _Answer(send, self._policy))

    async def _answer(self, request: Request, answer: _Answer) -> None:
        scope, receive = request.scope, request.receive
        try:
            body = await self._admit(request)
            await self.app(scope, _replay(body, receive), answer.send)
        except Exception as error:
            if answer.started:
                raise
            await self._respond(request, error)(scope, receive, answer.send)

    async def _admit(self, request: Request) -> bytes:
        setattr(request.state, STATE, None)
        path = route_path(request)
        needs_identity = path not in self._open_paths
        if needs_identity:
            setattr(request.state, STATE, await run_in_threadpool(self._identify, request))
        if request.method in _READS:
            return b""
        if needs_identity:  # there is no cookie to abuse where nobody is asked for one
            check_origin(request)
        return await _body(request, self._open_paths.get(path, MAX_BODY))


class _Answer:
    """Sends, adds the headers, and remembers whether anything was sent."""

    def __init__(self, send: Send, policy: str) -> None:
        self._send, self._policy, self.started = send, policy, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", self._policy)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "SAMEORIGIN"
            # Not "no-referrer": then browsers send "Origin: null" with our own forms.
            headers["Referrer-Policy"] = "same-origin"
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def route_path(request: Request) -> str:
    """Return the path below where the app is mounted."""
    mount = str(request.scope.get("root_path", ""))
    return str(request.scope["path"]).removeprefix(mount)


def is_bearer(request: Request) -> bool:
    """Say whether the caller showed a token on purpose, not a cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def check_origin(request: Request) -> None:
    """Refuse a change that another site's page could have sent with the user's cookie.

    Raises:
        Forbidden: unless the browser says the request is from our own pages.
    """
    if is_bearer(request):
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        same = site == "same-origin"
    else:
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        same = origin is not None and bool(host) and urlsplit(origin).netloc == host
    if not same:
        raise Forbidden(
            "this change was not sent from Airlock's own page, so it is refused",
            next_step="Open the Releases page in Airflow and answer there, or use a bearer token.",
        )


async def _body(request: Request, most: int) -> bytes:
    stated = request.headers.get("content-length", "0")
    if not stated.isascii() or not stated.isdigit():
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the content length is not a number")
    body = b""
    if int(stated) <= most:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
    if max(int(stated), len(body)) > most:
        raise TooLarge(
            f"the request's body is larger than {most // 1024} KB",
            next_step="Say it in fewer words.",
        )
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body already read, then goes on as before."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
