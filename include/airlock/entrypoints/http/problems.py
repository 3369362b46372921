"""Errors at the HTTP edge: one table, one shape (RFC 9457, problem+json), one page.

Rules:
* The status, the sentence and the next step come from the error itself (`airlock.domain.errors`).
* Bad input is named by its place, never echoed back. An error's own sentence may name a word of it;
  it is cut before it can be all of it.
* An unexpected error says nothing about the inside. It has a number that is also in the log.

Routes raise; nobody but this module turns an error into a response.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from airlock.domain.clock import spelled
from airlock.domain.errors import AirlockError, Conflict

MEDIA_TYPE = "application/problem+json"
#: The longest sentence that goes out, in characters.
MOST_DETAIL = 4_000

_TITLES = {
    401: "Not logged in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Refused by a rule",
    412: "Changed since you looked",
    413: "Too large",
    422: "Bad input",
    500: "Something broke inside Airlock",
    503: "Could not tell",
}


class Stale(Conflict):
    """What the caller saw (`If-Match`) is not what is there now."""

    http_status = 412


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as people and programs get it."""

    status: int
    kind: str
    detail: str
    next_step: str = ""

    @property
    def title(self) -> str:
        """The kind of problem in a few words."""
        return _TITLES.get(self.status) or HTTPStatus(self.status).phrase

    def to_document(self) -> dict[str, Any]:
        """Return the problem as JSON data."""
        return {
            "type": f"urn:airlock:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "nextStep": self.next_step,
        }

    def response(self) -> JSONResponse:
        """Return the problem as an HTTP response."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else None
        return JSONResponse(self.to_document(), self.status, headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Return the problem an error is; anything unknown becomes a 500 that tells nothing."""
    if isinstance(error, AirlockError):
        kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
        return Problem(error.http_status, kind, _short(error.message), spelled(error.next_step))
    if isinstance(error, RequestValidationError):
        advice = "The OpenAPI document (/api/openapi.json) says what each field takes."
        return Problem(422, "invalid", _places(error), advice)
    if isinstance(error, HTTPException):
        return _http(error)
    number = secrets.token_hex(4)
    detail = f"something broke that should not have; it is in the log as incident {number}"
    return Problem(500, "internal", detail, "Tell whoever runs Airlock the incident's number.")


def _short(text: str) -> str:
    """Return a sentence that cannot carry a whole body back."""
    sentence = spelled(text)
    return sentence if len(sentence) <= MOST_DETAIL else f"{sentence[:MOST_DETAIL]}..."


def _http(error: HTTPException) -> Problem:
    if error.status_code == 400:  # FastAPI's word for a body it cannot even read
        return Problem(422, "invalid", "the request cannot be read", "Send JSON in UTF-8.")
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail if isinstance(error.detail, str) else phrase
    kind = phrase.lower().replace(" ", "-")
    advice = "Log in to Airflow, then try again." if error.status_code == 401 else ""
    return Problem(error.status_code, kind, detail, advice)


def _places(error: RequestValidationError) -> str:
    places = (
        f"{'.'.join(str(part) for part in detail['loc'])[:100]}: {detail['msg']}"
        for detail in error.errors()[:10]
    )
    text = "; ".join(places)
    return "".join(c if c.isprintable() else "?" for c in text)


_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "nextStep"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence: what, expected, found."},
        "nextStep": {"type": "string", "description": "What to do about it; may be empty."},
    },
}


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about these problem responses."""
    content = {MEDIA_TYPE: {"schema": _SCHEMA}}
    return {status: {"description": _TITLES[status], "content": content} for status in statuses}
