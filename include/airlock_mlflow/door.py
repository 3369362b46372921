"""The door: every request is somebody's, whichever spelling of a path it has.

It stands before everything else. Nothing but asking for health goes without a login; that path is
compared exactly. It decides who calls and how much of a body is read, never what may be done.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airlock.domain.errors import Unauthenticated
from airlock_mlflow import limits
from airlock_mlflow.caller import Caller, enter
from airlock_mlflow.denial import Closed
from airlock_mlflow.guard import Guard, log
from airlock_mlflow.identity import identify

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN = frozenset({("GET", "/health"), ("GET", "/airlock/health")})


class Door:
    """An ASGI application that lets others in."""

    def __init__(self, app: Application, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the request through with its caller's name."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            sender = identify(self._guard, dict(scope))
        except Unauthenticated as error:
            if (scope["method"], scope["path"]) not in _OPEN:
                await _refuse(scope, send, error)
                return
            sender = Caller("anonymous", _source(scope), f"{scope['method']} {scope['path']}")
        except Closed as error:
            if (scope["method"], scope["path"]) not in _OPEN:
                await _answer(send, 503, json.loads(error.serialize_as_json()))
                return
            sender = Caller("anonymous", _source(scope), f"{scope['method']} {scope['path']}")
        enter(sender)
        await self._limited(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; a body too large for its address is refused before it is whole."""
        most, begun = limits.most_of(scope["path"]), False

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            limits.check_announced(scope, most)
            own = most == limits.OWN
            read = await limits.read_whole(receive, most) if own else limits.counted(receive, most)
            await self._app(scope, read, answer)
        except limits.TooLarge as error:
            if begun:
                raise
            body = {"error_code": "INVALID_PARAMETER_VALUE", "message": f"airlock: {error}."}
            await _answer(send, 413, body)


async def _refuse(scope: Scope, send: Send, error: Unauthenticated) -> None:
    if scope["method"] != "GET":
        log.warning("nobody: %s from %s: %s", scope["method"], _source(scope), error.message)
    body = {
        "error_code": "UNAUTHENTICATED",
        "message": f"airlock: {error.message}. {error.next_step}".strip(),
    }
    await _answer(send, 401, body)


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="MLflow with Airlock"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def _source(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])
