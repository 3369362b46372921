"""Airlock's app inside Airflow's API server, built when it is first asked for.

Every component of Airflow imports the plugin, but only the API server gets requests, so only
there the app is built, with the rights of a decider. If it cannot be built (a broken policy, no
key, no database URL) Airflow itself goes on, every request under /airlock is answered with 503
and the reason, and the next request tries again: mending the file is enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airlock.domain.errors import AirlockError
from airlock_airflow import edge

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("airlock.plugin")


class MountedApp:
    """An ASGI app that makes the real one with *build* when the first request comes."""

    def __init__(self, build: Callable[[], ASGIApp]) -> None:
        self._build = build
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()
        self._last_error = ""

    def __repr__(self) -> str:
        return "Airlock"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or say why there is nothing to pass it to."""
        if scope["type"] != "http":
            return
        try:
            app = self._app or await self._make()
        except AirlockError as error:
            await _unavailable(error)(scope, receive, send)
        else:
            await app(scope, receive, send)

    async def _make(self) -> ASGIApp:
        from starlette.concurrency import run_in_threadpool

        async with self._making:
            if self._app is None:
                try:
                    self._app = await run_in_threadpool(self._build)
                except AirlockError as error:
                    if error.message != self._last_error:
                        log.error("Airlock cannot start: %s", edge.error_line(error))
                    self._last_error = error.message
                    raise
            return self._app


def build() -> ASGIApp:
    """Build the app as a decider.

    Raises:
        AirlockError: naming what is missing or wrong.
    """
    from airlock import bootstrap
    from airlock.entrypoints.http.app import create_app
    from airlock.entrypoints.slack.dispatcher import desk_of
    from airlock_airflow.identity import accounts, identify
    from airlock_airflow.logins import FabLogins
    from airlock_airflow.run_notes import run_note
    from airlock_airflow.slack_connection import settings_of_the_app

    airlock = bootstrap.decider(settings_of_the_app())
    _ = airlock.rulebook  # a broken policy shows here, not in the middle of a vote
    return create_app(airlock, identify, lambda: desk_of(airlock), FabLogins(), accounts, run_note)


def _unavailable(error: AirlockError) -> ASGIApp:
    from starlette.responses import JSONResponse

    problem = {
        "type": "about:blank",
        "title": "Airlock cannot start",
        "status": 503,
        "detail": error.message,
        "nextStep": error.next_step,
    }
    return JSONResponse(problem, status_code=503, media_type="application/problem+json")
