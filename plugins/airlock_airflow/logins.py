"""When somebody logged in to Airflow, and how to have it done again: FAB's own session.

Rules:
* The time is that of the login itself. FAB notes it in its session where `[fab]
  session_max_lifetime_minutes` is set. The age of the token says nothing: whoever still has a
  session gets a new token from the login page without a password.
* Another person's session, no session, no note, another auth manager: not known, and no error.
* Logging in again is Airflow's own logout, its tokens revoked, with the way back added: logout
  forgets where somebody was going.

Plain functions; they run in a worker thread, never on the server's event loop.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airlock_airflow.identity import user_of

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager
    from starlette.requests import Request
    from starlette.responses import Response


class FabLogins:
    """Logins through Airflow's FAB auth manager; see the module."""

    def logged_in_at(self, request: Request) -> datetime | None:
        """Return when whoever sent the request logged in, if FAB's session says so."""
        from airflow.providers.fab.www.extensions.init_session import SESSION_LOGIN_TIME_KEY
        from flask import session

        manager = _manager()
        if manager is None or manager.flask_app is None:
            return None
        cookies = {"Cookie": request.headers.get("cookie", "")}
        with manager.flask_app.test_request_context("/", headers=cookies):
            person, at = session.get("_user_id"), session.get(SESSION_LOGIN_TIME_KEY)
        if at is None or str(person) != str(user_of(request).get_id()):
            return None
        return datetime.fromtimestamp(float(at), UTC)

    def log_in_again(self, request: Request, back: str) -> Response | None:
        """Return Airflow's logout, which leads to its login and from there to *back*."""
        from airflow.api_fastapi.core_api.security import collect_request_tokens
        from airflow.providers.fab.auth_manager.api_fastapi.routes.login import logout

        manager = _manager()
        if manager is None:
            return None
        for token in collect_request_tokens(request, None):
            manager.revoke_token(token)
        answer: Response = logout(request)
        answer.headers["location"] = manager.get_url_login(next_url=back)
        return answer


def _manager() -> FabAuthManager | None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

    manager = get_auth_manager()
    return manager if isinstance(manager, FabAuthManager) else None
