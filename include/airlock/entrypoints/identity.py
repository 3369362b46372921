"""Who is logged in, as far as a door into Airlock has to know.

The doors (page, REST) do not know Airflow. Whoever mounts the app passes an `Identify`: a plain
function that turns a request into an `Identity` or raises `Unauthenticated`. It runs in a worker
thread, so it may ask a database.

An identity is not yet an `Actor`: what Airflow calls a role is translated by the access policy in
`airlock.services.people`, and nothing here gives anybody a right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from airlock.domain.errors import Unauthenticated

#: Where the identity waits inside a request. Set by `airlock.entrypoints.doorman` alone.
STATE = "airlock_identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who logged in to Airflow: the user name, the name shown, Airflow's role names."""

    user_id: str
    name: str
    airflow_roles: frozenset[str]


Identify = Callable[[Request], Identity]


def identity_of(request: Request) -> Identity:
    """Return who sent the request.

    Raises:
        Unauthenticated: if nobody was identified, for whatever reason.
    """
    found = getattr(request.state, STATE, None)
    if not isinstance(found, Identity) or not found.user_id:
        raise Unauthenticated(
            "nobody is logged in, so nothing is shown or changed",
            next_step="Log in to Airflow, then try again.",
        )
    return found
