"""What the pages share: rendering, the style sheet, the problem page, what people type.

Rules:
* Server-rendered; works without JavaScript, and no script is ever sent.
* Everything shown is escaped by the template engine; only our own style sheet is marked safe.
* A form gives text; what it means is found out after the form has arrived, so that a refusal can
  show the same page again with everything that was typed.

It decides nothing and reads no data.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, RedirectResponse, Response

from airlock.domain.errors import Invalid
from airlock.domain.people.actors import Actor
from airlock.entrypoints.http.dependencies import FormText, allowed
from airlock.entrypoints.http.pages.templates import templates
from airlock.entrypoints.http.problems import Problem
from airlock.entrypoints.presentation.printed_commands import example_time
from airlock.entrypoints.presentation.time_zones import reader_zone, reader_zone_name
from airlock_evidence.markup import STYLE

CSS = (Path(__file__).parents[1] / "web" / "static" / "airlock.css").read_text(encoding="utf-8")
_CSS_DIGEST = hashlib.sha256(CSS.encode()).digest()
_CSS_HASH = base64.b64encode(_CSS_DIGEST).decode()
_REPORT_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
#: The style sheet's address changes with its content, so browsers may keep it.
CSS_PATH = f"/static/airlock-{_CSS_DIGEST.hex()[:12]}.css"

#: Whoever has no login cannot load the style sheet, so that page carries it; hence the hash.
#: The evidence report is one file with its style inside, on the page too.
POLICY = (
    f"default-src 'none'; style-src 'self' 'sha256-{_CSS_HASH}' 'sha256-{_REPORT_HASH}'; "
    "img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)

Reader = Annotated[Actor, Depends(allowed("release:read"))]
#: Sent with every form, so that sending it twice is harmless.
FormKey = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
Line = Annotated[FormText, Field(max_length=500)]
Reason = Annotated[FormText, Field(max_length=10_000)]


class Fields(BaseModel):
    """A form: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    def typed(self) -> dict[str, str]:
        """Return what was typed, to show it again."""
        return {name: str(value) for name, value in self.model_dump().items() if name != "key"}


class ReasonForm(Fields):
    """A form that asks for nothing but a reason."""

    reason: Reason = ""
    key: FormKey


def utc(text: str, label: str) -> datetime:
    """Return a time typed into a form, on the reader's clock, as a time in UTC.

    Raises:
        Invalid: if it is none.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or not re.match(r"2\d{3}-", text.strip()):
        raise Invalid(
            f"{label} is a day and a time in {reader_zone_name()}, found {text[:40]!r}",
            next_step=f"Write it as {example_time()}.",
        )
    aware = moment if moment.tzinfo else moment.replace(tzinfo=reader_zone())
    return aware.astimezone(UTC)


def utc_end(text: str, label: str) -> datetime:
    """Return a typed end in UTC; a day without a time means its end for the reader."""
    moment = utc(text, label)
    if len(text.strip()) != len("2026-11-24"):
        return moment
    day = moment.astimezone(reader_zone())
    return day.replace(hour=23, minute=59, second=59).astimezone(UTC)


def again(typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was typed for a template: what was not there is empty."""
    return defaultdict(str, typed)


def mount(request: Request) -> str:
    """Return the address the app is mounted at."""
    return str(request.scope.get("root_path", ""))


def render(request: Request, name: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page."""
    above = mount(request)
    page = templates().get_template(name)
    shared: dict[str, Any] = {
        "mount": above,
        "css": f"{above}{CSS_PATH}",
        "zone": reader_zone_name(),
    }
    actor = context.get("me")
    rulebook = request.app.state.airlock.rulebook if actor else None
    shared["reads_log"] = rulebook.allows(actor, "audit:read") if rulebook else False
    return HTMLResponse(page.render(shared, **context), status)


def back(request: Request, address: str, notice: str) -> Response:
    """Redirect to a page after a change; the page shows *notice*."""
    return RedirectResponse(f"{mount(request)}{address}?done={notice}", 303)


def problem(request: Request, refusal: Problem) -> Response:
    """Return the page of a problem; without a login it points to Airflow's."""
    target = quote(f"{mount(request)}/releases", safe="")
    if request.method == "GET":
        target = quote(request.url.path, safe="")
    above = mount(request).rpartition("/")[0]
    login = f"{above}/api/v2/auth/login?next={target}" if refusal.status == 401 else ""
    carried = Markup(CSS) if refusal.status == 401 else ""  # noqa: S704 - our own file, no input
    return render(
        request,
        "problem.html",
        status=refusal.status,
        problem=refusal,
        login=login,
        carried=carried,
    )
