"""Who is logged in to Airflow, for Airlock's page and REST API.

Rules:
* Airflow itself says who it is: bearer token first, else its session cookie.
* The account and its roles are read afresh from Airflow's database at every request. The user
  object of a token is cached and detached from its session, so what it says of roles is old or
  cannot be read at all.
* Only roles held directly count, as in `airlock.services.directory`.
* Nobody, an inactive account, an account that is gone: Unauthenticated.

Plain functions; they run in a worker thread, never on the server's event loop.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airlock.domain.errors import Unauthenticated
from airlock.entrypoints.identity import Identity

if TYPE_CHECKING:
    from starlette.requests import Request

_LOG_IN = "Log in to Airflow, then try again."


def identify(request: Request) -> Identity:
    """Return who sent the request.

    Raises:
        Unauthenticated: if nobody is logged in, or the account may not be used any more.
    """
    user = user_of(request)
    if type(user).__module__.startswith("airflow.providers.fab."):
        return _fab_identity(int(user.get_id()))
    role = getattr(user, "role", None)
    return Identity(user.get_name(), user.get_name(), frozenset([role] if role else []))


def user_of(request: Request) -> Any:
    """Return Airflow's user behind a request.

    Raises:
        Unauthenticated: if there is none.
    """
    from airflow.api_fastapi.core_api.security import get_user
    from anyio import from_thread
    from fastapi import HTTPException
    from fastapi.security import HTTPAuthorizationCredentials

    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=token) if token else None
    try:
        return from_thread.run(get_user, request, None, bearer)
    except HTTPException as error:
        known = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        if error.status_code not in known:
            raise
        raise Unauthenticated(f"nobody is logged in: {error.detail}", next_step=_LOG_IN) from error


def _fab_identity(user_id: int) -> Identity:
    from airflow.providers.fab.auth_manager.models import Role, User
    from airflow.utils.session import create_session
    from sqlalchemy import select

    held = select(User.username, User.first_name, User.last_name, User.active, Role.name)
    held = held.outerjoin(User.roles).where(User.id == user_id)
    with create_session() as session:  # columns: objects would cost most of the time it takes
        rows = session.execute(held).all()
    if not rows or not rows[0].active:
        raise Unauthenticated("this account may not be used any more", next_step=_LOG_IN)
    user, roles = rows[0], frozenset(row.name for row in rows if row.name is not None)
    name = f"{user.first_name} {user.last_name}".strip()
    return Identity(user.username, name or user.username, roles)
