from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from airlock.domain.errors import Forbidden, Unauthenticated
from airlock.entrypoints.http.authentication import Identity, identity_of
from airlock.entrypoints.http.problems import problem_of
from airlock.entrypoints.http.security_middleware import MAX_BODY, Doorman, check_origin, is_bearer

SOMEBODY = Identity("ana", "Ana", frozenset())


def identify(request: Request) -> Identity:
    if request.headers.get("authorization") or request.cookies:
        return SOMEBODY
    raise Unauthenticated("nobody is logged in")


def respond(_: Request, error: Exception) -> Response:
    return problem_of(error).response()


async def echo(request: Request) -> Response:
    body = await request.body()
    return PlainTextResponse(f"{identity_of(request).user_id} {len(body)}")


async def health(request: Request) -> Response:
    return PlainTextResponse(str(getattr(request.state, "airlock_identity", "none")))


async def wide(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def broken(_: Request) -> Response:
    raise RuntimeError("secret")


class Caller:
    """Calls an ASGI app in this process."""

    def __init__(self, app: ASGIApp, **headers: str) -> None:
        self._app, self._headers = app, headers

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._ask("GET", path, b""))

    def post(self, path: str, *, content: bytes) -> httpx.Response:
        return asyncio.run(self._ask("POST", path, content))

    async def _ask(self, method: str, path: str, content: bytes) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://here", headers=self._headers
        ) as http:
            return await http.request(method, path, content=content)


@pytest.fixture
def client() -> Caller:
    routes = [
        Route("/echo", echo, methods=["GET", "POST"]),
        Route("/health", health),
        Route("/broken", broken),
        Route("/wide", wide, methods=["POST"]),
    ]
    opened = {"/health": MAX_BODY, "/wide": 2 * MAX_BODY}
    app = Doorman(Router(routes=routes), identify, respond, "default-src 'none'", opened)
    return Caller(app, Authorization="Bearer t")


def test_nobody_passes_without_an_identity() -> None:
    app = Doorman(Router(), identify, respond, "", {"/health": MAX_BODY})
    assert Caller(app).get("/anything").status_code == 401


def test_the_open_path_has_no_identity(client: Caller) -> None:
    assert client.get("/health").text == "None"


def test_a_body_reaches_the_route_whole(client: Caller) -> None:
    assert client.post("/echo", content=b"x" * MAX_BODY).text == f"ana {MAX_BODY}"
    assert client.get("/echo").text == "ana 0"


def test_one_byte_more_does_not(client: Caller) -> None:
    assert client.post("/echo", content=b"x" * (MAX_BODY + 1)).status_code == 413


def test_an_open_path_has_a_limit_of_its_own(client: Caller) -> None:
    assert client.post("/wide", content=b"x" * 2 * MAX_BODY).text == str(2 * MAX_BODY)
    assert client.post("/wide", content=b"x" * (2 * MAX_BODY + 1)).status_code == 413
    assert client.post("/health", content=b"x" * (MAX_BODY + 1)).status_code == 413


def test_an_accident_becomes_a_500_with_headers(client: Caller) -> None:
    answer = client.get("/broken")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert answer.headers["content-security-policy"] == "default-src 'none'"


def test_an_identity_of_another_kind_is_none() -> None:
    request = Request({"type": "http", "headers": [], "state": {"airlock_identity": "admin"}})
    with pytest.raises(Unauthenticated):
        identity_of(request)


def test_an_identity_without_a_name_is_none() -> None:
    nobody = Identity("", "", frozenset({"Admin"}))
    request = Request({"type": "http", "headers": [], "state": {"airlock_identity": nobody}})
    with pytest.raises(Unauthenticated):
        identity_of(request)


def posted(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw})


ALLOWED = {
    "own page": {"sec_fetch_site": "same-origin", "cookie": "_token=x"},
    "own page, old browser": {"origin": "http://here:8080", "host": "here:8080"},
    "a program": {"authorization": "Bearer abc", "sec_fetch_site": "cross-site"},
}
REFUSED = {
    "no word": {"host": "here"},
    "another site": {"sec_fetch_site": "cross-site", "origin": "http://here", "host": "here"},
    "another port": {"origin": "http://here:81", "host": "here:80"},
    "a sandboxed frame": {"origin": "null", "host": "here"},
    "an empty host": {"origin": "http://", "host": ""},
    "a bearer without a token": {"authorization": "Bearer ", "host": "here"},
    "another scheme": {"authorization": "Basic abc", "host": "here"},
}


@pytest.mark.parametrize("headers", ALLOWED.values(), ids=ALLOWED)
def test_may_change_something(headers: dict[str, str]) -> None:
    check_origin(posted(**headers))


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_may_not_change_anything(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden, match="not sent from Airlock's own page"):
        check_origin(posted(**headers))


def test_bearer_is_a_word_of_its_own() -> None:
    assert is_bearer(posted(authorization="bearer abc"))
    assert not is_bearer(posted(authorization="Bearerabc"))
