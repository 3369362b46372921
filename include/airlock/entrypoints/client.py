"""The command line's side of HTTP: a session with Airflow's login, and one client for both APIs.

Rules:
* A session is a token of the user's own, kept in a file only the user can read (mode 0600).
* `--as` is for the platform on this machine: it logs in with the demo password kept there.
* What the server says is passed on: its sentence, its next step, and the exit code they stand for.
* No answer is `Unreachable`, never a guess. Redirects are not followed.

It knows addresses and words, no rules: every right is checked by the server.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from airlock.domain.errors import (
    AirlockError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    Unauthenticated,
    Unreachable,
)

AIRLOCK = "/airlock/api/v1"
AIRFLOW = "/api/v2"
_LOGIN = "Log in with `airlock login`, or add `--as USER` on the machine the platform runs on."
_KINDS: Mapping[int, type[AirlockError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
}


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's login at one platform."""

    url: str
    user: str
    token: str


def session_file(environ: Mapping[str, str]) -> Path:
    """Return where the session of this user is kept."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "airlock" / "session.json"


def save_session(session: Session, file: Path) -> None:
    """Keep a session in a file that never has another mode than 0600."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(asdict(session), stream)
    fresh.replace(file)


def load_session(file: Path) -> Session:
    """Read a session back.

    Raises:
        Unauthenticated: if there is none, or the file is not a session.
    """
    try:
        return Session(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise Unauthenticated("nobody is logged in here", next_step=_LOGIN) from None
    except (OSError, ValueError, TypeError):
        raise Unauthenticated(f"{file} is not a session", next_step=_LOGIN) from None


def log_in(
    url: str, user: str, password: str, transport: httpx.BaseTransport | None = None
) -> Session:
    """Exchange a password for a token at Airflow's login."""
    with Client(Session(url.rstrip("/"), user, ""), transport) as client:
        try:
            answer = client.post("/auth/token", {"username": user, "password": password})
        except (Unauthenticated, Forbidden, Invalid):
            raise Unauthenticated(
                f"{url} does not accept this user name and password for {user}",
                next_step="Check both; of the demo users of `make up` they are in the file "
                "secrets/users.json of its folder (.airlock, or AIRLOCK_HOME).",
            ) from None
    return Session(url.rstrip("/"), user, str(answer["access_token"]))


def demo_password(home: Path, user: str) -> str:
    """Return the password of a demo user of the platform on this machine.

    Raises:
        Invalid: if there is no such platform or user.
    """
    file = home / "secrets" / "users.json"
    try:
        people = json.loads(file.read_text(encoding="utf-8"))
        passwords = {person["user"]: str(person["password"]) for person in people}
    except (OSError, ValueError, KeyError, TypeError):
        raise Invalid(
            f"--as needs the demo users of this machine's platform, but {file} cannot be read",
            next_step="Start the platform here with `make up`, or use `airlock login`.",
        ) from None
    if user not in passwords:
        raise Invalid(f"there is no demo user {user!r}; there are {', '.join(passwords)}")
    return passwords[user]


class Client:
    """Calls Airlock's and Airflow's REST APIs as one user."""

    def __init__(self, session: Session, transport: httpx.BaseTransport | None = None) -> None:
        """Use a session; *transport* is for tests."""
        self.session = session
        headers = {"X-Airlock-Channel": "cli", "Accept": "application/json"}
        if session.token:
            headers["Authorization"] = f"Bearer {session.token}"
        local = urlsplit(session.url).hostname in ("127.0.0.1", "localhost", "::1")
        try:
            self._http = httpx.Client(
                base_url=session.url,
                headers=headers,
                timeout=httpx.Timeout(60, connect=10),
                transport=transport,
                trust_env=not local,  # a proxy cannot reach this machine's own addresses
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise Invalid(f"{session.url!r} is not an address: {error}") from None

    def __enter__(self) -> Client:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """Read."""
        query = {key: value for key, value in params.items() if value not in (None, "", [])}
        return self._call("GET", path, params=query)

    def rows(self, path: str, most: int, **params: Any) -> list[Any]:
        """Read a list page by page, as far as *most* rows."""
        return [row for page in self.pages(path, most, **params) for row in page][:most]

    def pages(self, path: str, most: int, **params: Any) -> list[list[Any]]:
        """Read the pages of a list until they have *most* rows."""
        pages: list[list[Any]] = []
        query = {key: value for key, value in params.items() if value not in (None, "", [])}
        onward: str | None = path
        while onward and sum(map(len, pages)) < most:
            answer = self._answer("GET", onward, **({"params": query} if query else {}))
            pages.append(_json(answer) or [])
            onward, query = answer.links.get("next", {}).get("url"), {}
        return pages

    def post(self, path: str, body: Mapping[str, Any], *, key: str = "") -> Any:
        """Change something. With an idempotency *key* an unanswered request is sent again."""
        headers = {"Idempotency-Key": key} if key else {}
        for pause in (0.5, 2.0) if key else ():
            try:
                return self._call("POST", path, json=dict(body), headers=headers)
            except Unreachable:
                time.sleep(pause)
        return self._call("POST", path, json=dict(body), headers=headers)

    def delete(self, path: str) -> Any:
        """End something; to end it twice is harmless."""
        return self._call("DELETE", path)

    def text(self, path: str, **params: Any) -> str:
        """Read something that is no JSON."""
        return self._answer("GET", path, params=params).text

    def download(self, path: str, body: Mapping[str, Any], into: Path) -> None:
        """Write an answer of any length into a file only the user can read, whole or not at all."""
        fresh = into.with_name(f"{into.name}.{os.getpid()}.new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with (
                os.fdopen(descriptor, "wb") as stream,
                self._http.stream("POST", path, json=dict(body)) as answer,
            ):
                if not answer.is_success:
                    answer.read()
                    raise error_of(answer)
                for block in answer.iter_bytes():
                    stream.write(block)
            fresh.replace(into)
        except OSError as error:
            raise Invalid(f"{into} cannot be written: {error}") from error
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        finally:
            fresh.unlink(missing_ok=True)

    def _silent(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"{self.session.url} does not answer: {error}",
            next_step="See `airlock status`; start it with `airlock up`, or check --url.",
        )

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return _json(self._answer(method, path, **options))

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except UnicodeEncodeError:
            raise Invalid(
                "what was typed is no Unicode text", next_step="Write it in UTF-8."
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        if answer.is_success:
            return answer
        raise error_of(answer)


def error_of(answer: httpx.Response) -> AirlockError:
    """Return the error a response stands for, with the server's own words."""
    body = _json(answer)
    document = body if isinstance(body, dict) else {}
    status = answer.status_code
    detail, advice = document.get("detail"), str(document.get("nextStep", ""))
    message = detail if isinstance(detail, str) else json.dumps(detail) if detail else ""
    message = message or f"{answer.request.url.path} answered {status}"
    if status == 401:
        return Unauthenticated("the login is missing or has expired", next_step=_LOGIN)
    if status >= 500:
        return Unreachable(message, next_step=advice or "Try again; see `airlock status`.")
    if status in (400, 405, 413, 422):
        return Invalid(message, next_step=advice)
    return _KINDS.get(status, Refused)(message, next_step=advice)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
