"""Has a release changed since the caller looked? ETag and If-Match (RFC 9110, section 8.8.3).

Whatever depends on what somebody saw takes `If-Match`. It is a courtesy of the door, checked before
anything is asked: what must not be stale (round, level, subject) is checked again in the deciding
transaction.
"""

from typing import Annotated, Any

from fastapi import Header, Response
from pydantic_core import to_json

from airlock.domain.digest import digest_json
from airlock.domain.people.actors import Actor
from airlock.entrypoints.context import Platform
from airlock.entrypoints.http.problems import Stale
from airlock.services.approvals.decide import Answer
from airlock.services.idempotency import Once
from airlock.services.queries import releases

IfMatch = Annotated[
    str,
    Header(
        alias="If-Match",
        pattern=r"^[!-~]{0,200}$",
        description="The ETag of the release as you saw it; 412 if it has changed since",
    ),
]

_HEADER = {"ETag": {"schema": {"type": "string"}, "description": "Changes with the release"}}


def tagged(status: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about an answer with an ETag."""
    return {status: {"headers": _HEADER}}


def etag(view: dict[str, Any]) -> str:
    """Return a tag that changes whenever the release does; it is the same for everybody."""
    glass = view["emergency"] or {}
    review = glass.get("review") or {}
    parts = ("state", "round", "level", "levels")
    content = [view["subject"]["digest"], *(view[part] for part in parts)]
    content += [(waiver["gate"], waiver["by"], waiver["until"]) for waiver in view["waivers"]]
    content += [glass.get("incident"), glass.get("people"), review.get("by")]
    return f'"{digest_json(content).removeprefix("sha256:")[:32]}"'


def release_response(
    airlock: Platform,
    release_id: str,
    actor: Actor,
    status: int = 201,
    answered: Answer | None = None,
) -> Response:
    """Answer with the release as *actor* sees it, and with its tag.

    *answered*: the answer just given. The response is made here, in the thread that has the
    document: FastAPI would take it through another one to check plain data.
    """
    view = releases.show(airlock.store, airlock.keyring, release_id, actor, answered)
    body = to_json(view, inf_nan_mode="null")
    return Response(body, status, {"ETag": etag(view)}, "application/json")


def check_match(
    airlock: Platform, release_id: str, actor: Actor, expected: str, repeats: Once
) -> None:
    """Refuse a request about a release that has changed since.

    One that *repeats* an answered request passes: it gets the answer of then.

    Raises:
        Stale: if *expected* is a tag, and not that of the release now.
    """
    if not expected or expected == "*" or repeats.exists(airlock.store):
        return
    current = etag(releases.show(airlock.store, airlock.keyring, release_id, actor))
    if expected != current:
        raise Stale(
            f"release {release_id} is not what you looked at: expected {expected}, found {current}",
            next_step="Read the release again, look at what changed, then answer.",
        )
