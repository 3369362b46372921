"""The one address Slack sends to: `POST /airlock/slack/interactions`.

Buttons, forms, the command and events all come here. There is no login; the signature of the raw
body is checked before anything reads it, and whatever it does not fit is 401, always in the same
words. Where Slack is not set up the address says so, and nothing else is the worse for it.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from airlock.domain.digest import digest_bytes
from airlock.domain.errors import AirlockError, Invalid, Unauthenticated, Unreachable
from airlock.entrypoints.slack.dispatcher import Desk
from airlock.ports.chat import Received

PATH = "/slack/interactions"
#: A click brings the whole message back, and forms are long-winded.
MAX_BODY = 512 * 1024
#: A form of Slack's has a dozen fields.
_FIELDS = 100

routes = APIRouter(include_in_schema=False)

log = logging.getLogger("airlock.slack")


class Reception:
    """The desk of this process, made when it is first asked for."""

    def __init__(self, make: Callable[[], Desk] | None = None) -> None:
        """*make* says by raising that Slack is not set up."""
        self._make, self._last_error = make, ""
        self._desk: Desk | None = None
        self._lock = threading.Lock()

    def desk(self) -> Desk:
        """Return the desk.

        Raises:
            Unreachable: if there is none; the log alone names the missing settings.
        """
        with self._lock:
            if self._desk is None and self._make is not None:
                try:
                    self._desk = self._make()
                except AirlockError as error:
                    if error.message != self._last_error:
                        log.warning("%s %s", error.message, error.next_step)
                    self._last_error = error.message
            desk = self._desk
        if desk is None or not desk.settings.signing_secret:
            raise Unreachable(
                "Slack is not set up here", next_step="docs/howto/slack.md says how to do it."
            )
        return desk


@routes.post(PATH)
async def interactions(request: Request) -> Response:
    """Take whatever Slack sends."""
    body = await request.body()
    return await run_in_threadpool(_answer, request.app.state.slack, body, request.headers)


def _answer(reception: Reception, body: bytes, headers: Mapping[str, str]) -> Response:
    from airlock.adapters.slack.signature import TIMESTAMP, genuine

    desk = reception.desk()
    now = datetime.now(UTC)
    if not genuine(desk.settings.signing_secret, body, headers, now):
        desk.forged(Received(at=now, digest=""))
        raise Unauthenticated(
            "this address takes what Slack has signed, and nothing else",
            next_step="People answer on the Releases page in Airflow.",
        )
    received = Received(at=now, digest=digest_bytes(body), signed_at=headers.get(TIMESTAMP, ""))
    payload = read(body, headers.get("content-type", ""))
    if "ssl_check" in payload:
        return Response()
    ack = desk.handle(payload, received)
    return (
        JSONResponse(dict(ack.body), ack.status) if ack.body else Response(status_code=ack.status)
    )


def read(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the content of a genuine request: JSON, a form around JSON, or a form.

    Raises:
        Invalid: if it is none of these.
    """
    try:
        text = body.decode()
        if content_type.partition(";")[0].strip().lower() == "application/json":
            document = json.loads(text)
        else:
            fields = parse_qs(text, keep_blank_values=True, max_num_fields=_FIELDS)
            form = {name: values[0] for name, values in fields.items() if len(values) == 1}
            document = json.loads(form["payload"]) if "payload" in form else form
    except (ValueError, RecursionError) as error:
        raise Invalid("this request cannot be read") from error
    if not isinstance(document, dict):
        raise Invalid("this request cannot be read")
    return document
