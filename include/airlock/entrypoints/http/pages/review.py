"""Where a button in Slack leads if an answer given there does not count: the page, after a login.

Rules:
* The button says which subject it showed. If that is not the subject any more, nothing is asked:
  the page says so and leads to the release as it is now.
* Whoever comes has logged in within the last five minutes, or is sent through Airflow's logout and
  login first and comes back here. Once: whoever comes back and cannot be told to have logged in
  reads why, and nothing goes round in circles.
* What answers is the ordinary form of the release's page, with the ordinary rules.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from airlock.entrypoints.http.authentication import Logins
from airlock.entrypoints.http.dependencies import Airlock, ReleaseId
from airlock.entrypoints.http.pages.base import Reader, mount, render
from airlock.entrypoints.http.pages.releases import release_page
from airlock.services.queries import releases

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

#: How long ago a login may be, and how far the clocks of two machines may be apart.
FRESH, SKEW = timedelta(minutes=5), timedelta(minutes=1)

SubjectDigest = Annotated[str, Query(pattern=r"^sha256:[0-9a-f]{64}$")]


@routes.get("/releases/{release_id}/review")
def review(
    request: Request,
    airlock: Airlock,
    actor: Reader,
    release_id: ReleaseId,
    digest: SubjectDigest,
    again: Literal["", "1"] = "",
) -> Response:
    """Show a release to somebody who has just logged in."""
    view = releases.show(airlock.store, airlock.keyring, release_id, actor)
    context = {"me": actor, "release": view, "seen": digest}
    if view["subject"]["digest"] != digest:
        return render(request, "review.html", status=409, changed=True, **context)
    logins: Logins = request.app.state.logins
    if is_fresh(logins.logged_in_at(request), datetime.now(UTC)):
        return release_page(request, airlock, actor, release_id, seen=digest)
    here = f"{mount(request)}/releases/{release_id}/review?digest={digest}"
    login = None if again else logins.log_in_again(request, f"{here}&again=1")
    return login or render(request, "review.html", status=403, changed=False, retry=here, **context)


def is_fresh(logged_in_at: datetime | None, now: datetime) -> bool:
    """Say whether a login is recent enough; one that is not known is not."""
    return logged_in_at is not None and -SKEW <= now - logged_in_at <= FRESH
