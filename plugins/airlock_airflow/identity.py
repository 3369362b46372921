"""Who is logged in to Airflow, for Airlock's page and REST API.

Rules:
* Airflow itself says who it is: bearer token first, else its session cookie.
* The account and its roles are read afresh from Airflow's database at every request. The user
  object of a token is cached and detached from its session, so what it says of roles is old or
  cannot be read at all.
* Only roles held directly count, as in `airlock.services.people.sync`.
* What an enrolment is made for is read with them: the account's number, and marks of user name,
  password hash and e-mail address. None of these leaves this module.
* Nobody, an inactive account, an account that is gone: Unauthenticated.

Plain functions; they run in a worker thread, never on the server's event loop.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airlock.domain.errors import Unauthenticated
from airlock.domain.people.enrolment import SeenAccount
from airlock.entrypoints.http.authentication import SERVICE, Identity
from airlock.ports import Account

if TYPE_CHECKING:
    from starlette.requests import Request

#: Who vouches for accounts of Airflow's own login.
FAB = "airflow-fab"
_LOG_IN = "Log in to Airflow, then try again."


def identify(request: Request) -> Identity:
    """Return the identity of a request's sender.

    Raises:
        Unauthenticated: if nobody is logged in, or the account may not be used any more.
    """
    user = user_of(request)
    if type(user).__module__.startswith("airflow.providers.fab."):
        return _fab_identity(int(user.get_id()))
    role = getattr(user, "role", None)
    seen_account = SeenAccount.of(
        type(user).__module__, str(user.get_id()), user__name=user.get_name()
    )
    return Identity(
        user.get_name(), user.get_name(), frozenset([role] if role else []), seen_account
    )


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
        refusals = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        if error.status_code not in refusals:
            raise
        raise Unauthenticated(f"nobody is logged in: {error.detail}", next_step=_LOG_IN) from error


def _fab_identity(user_id: int) -> Identity:
    from airflow.providers.fab.auth_manager.models import User

    matches = _fab_accounts(User.id == user_id)
    if not matches or not matches[0].active:
        raise Unauthenticated("this account may not be used any more", next_step=_LOG_IN)
    account = matches[0]
    return Identity(account.user, account.name or account.user, account.roles, account.identity)


def accounts() -> tuple[Account, ...] | None:
    """Return everybody who may log in to Airflow; None if its auth manager keeps no list."""
    from airflow.api_fastapi.app import get_auth_manager

    if not type(get_auth_manager()).__module__.startswith("airflow.providers.fab."):
        return None
    return tuple(account for account in _fab_accounts() if account.user != SERVICE)


def _fab_accounts(*conditions: Any) -> list[Account]:
    """Read accounts as they are now. Columns: objects would cost most of the time it takes."""
    from airflow.providers.fab.auth_manager.models import Role, User
    from airflow.utils.session import create_session
    from sqlalchemy import select

    columns = (User.id, User.username, User.first_name, User.last_name, User.active)
    query = select(*columns, User.email, User.password, Role.name)
    query = query.outerjoin(User.roles).where(*conditions).order_by(User.id)
    with create_session() as session:
        rows = session.execute(query).all()
    roles: dict[int, set[str]] = {}
    for row in rows:
        roles.setdefault(row.id, set()).update([row.name] if row.name is not None else [])
    return [
        _fab_account(row, frozenset(roles[row.id]))
        for row in {row.id: row for row in rows}.values()
    ]


def _fab_account(row: Any, roles: frozenset[str]) -> Account:
    seen_account = SeenAccount.of(
        FAB, str(row.id), user__name=row.username, password=row.password, e_mail=row.email
    )
    name = f"{row.first_name} {row.last_name}".strip()
    return Account(row.username, name, roles, bool(row.active), seen_account)
