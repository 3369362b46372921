"""Who is logged in, as far as a door into Airlock has to know.

The doors (page, REST) do not know Airflow. Whoever mounts the app passes an `Identify`: a plain
function that turns a request into an `Identity` or raises `Unauthenticated`. It runs in a worker
thread, so it may ask a database.

An identity is not yet an `Actor`: what Airflow calls a role is translated by the access policy in
`airlock.services.people.recognition`, and nothing here gives anybody a right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from airlock.domain.errors import Unauthenticated
from airlock.domain.people.enrolment import SeenAccount
from airlock.ports import Account

#: Airlock's own account in Airflow: it is nobody, and may only ask who may log in.
SERVICE = "airlock-service"
#: Where the identity waits inside a request. Set by `airlock.entrypoints.http.security_middleware`
#: alone.
STATE = "airlock_identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who logged in to Airflow: the user name, the name shown, Airflow's role names.

    *account*: what an enrolment is made for; None where the login does not say.
    """

    user_id: str
    name: str
    airflow_roles: frozenset[str]
    account: SeenAccount | None = None


Identify = Callable[[Request], Identity]
#: Everybody who may log in; None where the login keeps no list.
Accounts = Callable[[], Sequence[Account] | None]


class Logins(Protocol):
    """When somebody logged in, and how to have it done again."""

    def logged_in_at(self, request: Request) -> datetime | None:
        """Return when whoever sent the request last proved who it is; None: that is not known."""

    def log_in_again(self, request: Request, back: str) -> Response | None:
        """Return what logs out, asks for a login and then leads to *back*, if there is such."""


class UnknownLogins:
    """Where nobody can tell: no login is ever fresh, and none can be asked for."""

    def logged_in_at(self, request: Request) -> datetime | None:
        """Return None."""
        return None

    def log_in_again(self, request: Request, back: str) -> Response | None:
        """Return None."""
        return None


UNKNOWN_LOGINS = UnknownLogins()


def identity_of(request: Request) -> Identity:
    """Return the identity of a request's sender.

    Raises:
        Unauthenticated: if nobody was identified, for whatever reason.
    """
    identity = getattr(request.state, STATE, None)
    if not isinstance(identity, Identity) or not identity.user_id:
        raise Unauthenticated(
            "nobody is logged in, so nothing is shown or changed",
            next_step="Log in to Airflow, then try again.",
        )
    return identity
