"""Socket Mode against a small WebSocket server of our own: what comes in goes to the desk."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from airlock.adapters.slack import socket
from airlock.domain.errors import Invalid
from airlock.ports.chat import Ack, Received

pytestmark = pytest.mark.slack
TOKEN = "xapp-1"


class Server:
    """Gives connections, pushes envelopes, keeps the answers; it can refuse and hang up."""

    def __init__(self) -> None:
        self.refuse: tuple[int, dict[str, Any]] | None = None
        self.asked: list[str] = []
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.open: list[WebSocket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        routes = [
            Route("/api/apps.connections.open", self._connection, methods=["POST"]),
            WebSocketRoute("/link", self._link),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="critical")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait(lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def _connection(self, request: Request) -> JSONResponse:
        self.asked.append(request.headers["authorization"])
        if self.refuse is not None:
            status, body = self.refuse
            return JSONResponse(body, status, {"Retry-After": "0"})
        return JSONResponse({"ok": True, "url": f"ws://127.0.0.1:{self.port}/link"})

    async def _link(self, link: WebSocket) -> None:
        self._loop = asyncio.get_running_loop()
        await link.accept()
        await link.send_json({"type": "hello", "num_connections": 1})
        self.open.append(link)
        try:
            while True:
                self.answers.put(await link.receive_json())
        except WebSocketDisconnect:
            self.open.remove(link)

    def push(self, message: dict[str, Any]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.open[-1].send_json(message), self._loop).result(5)

    def hang_up(self) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.open[-1].close(), self._loop).result(5)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(5)


def wait(fits: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


class Desk:
    """Remembers what it was handed."""

    def __init__(self) -> None:
        self.seen: list[tuple[Mapping[str, Any], Received]] = []
        self.answer = Ack(body={"response_action": "clear"})

    def handle(self, payload: Mapping[str, Any], received: Received) -> Ack:
        self.seen.append((payload, received))
        return self.answer


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def listening(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[threading.Thread]:
    monkeypatch.setattr(socket, "LOOK_S", 0.05)
    monkeypatch.setattr(socket, "FIRST_PAUSE_S", 0.05)
    caplog.set_level(logging.INFO, "airlock.slack")
    stop = threading.Event()
    arguments = (TOKEN, f"http://127.0.0.1:{server.port}/api/", desk.handle, stop)
    thread = threading.Thread(target=socket.listen, args=arguments, daemon=True)
    thread.start()
    yield thread
    stop.set()
    server.hang_up()  # the library waits three seconds for a word
    thread.join(10)
    assert not thread.is_alive()


def envelope(number: int, kind: str = "interactive", **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "envelope_id": f"e-{number}",
        "payload": {"type": "view_submission", "n": number},
        "accepts_response_payload": True,
        **more,
    }


def test_without_an_app_token_nothing_is_opened() -> None:
    with pytest.raises(Invalid, match="xapp"):
        socket.listen("xoxb-1", "http://127.0.0.1:1/", Desk().handle, threading.Event())


def test_an_envelope_reaches_the_desk_and_its_answer_slack(
    server: Server, desk: Desk, listening: threading.Thread
) -> None:
    wait(lambda: server.open)
    assert server.asked == [f"Bearer {TOKEN}"]
    server.push(envelope(1))
    assert server.answers.get(timeout=5) == {
        "envelope_id": "e-1",
        "payload": {"response_action": "clear"},
    }
    [(payload, received)] = desk.seen
    assert payload["n"] == 1
    assert received.digest.startswith("sha256:")
    assert received.signed_at == ""
    server.push(envelope(2, "events_api", accepts_response_payload=False))
    assert server.answers.get(timeout=5) == {"envelope_id": "e-2"}
    server.push({"type": "something", "envelope_id": 5, "payload": {}})
    server.push(envelope(3))
    assert server.answers.get(timeout=5)["envelope_id"] == "e-3"
    assert [one["n"] for one, _ in desk.seen] == [1, 2, 3]


def test_a_connection_that_ends_is_opened_again_and_said_once(
    server: Server, desk: Desk, listening: threading.Thread, caplog: pytest.LogCaptureFixture
) -> None:
    wait(lambda: server.open)
    server.refuse = (200, {"ok": False, "error": "internal_error"})
    server.hang_up()
    wait(lambda: len(server.asked) >= 3)  # once it was opened, twice refused
    server.refuse = None
    wait(lambda: server.open)
    server.push(envelope(1))
    assert server.answers.get(timeout=5)["envelope_id"] == "e-1"
    said = [one.getMessage() for one in caplog.records if "socket" in one.getMessage()]
    assert said == [
        "Slack's socket is open",
        "Slack's socket is away: the connection ended. It is opened again.",
        "Slack's socket is back",
    ]


def test_it_moves_where_slack_asks_it_to(
    server: Server, desk: Desk, listening: threading.Thread
) -> None:
    wait(lambda: server.open)
    first = server.open[-1]
    server.push({"type": "disconnect", "reason": "refresh_requested"})
    wait(lambda: server.open and server.open[-1] is not first)
    server.push(envelope(1))
    assert server.answers.get(timeout=5)["envelope_id"] == "e-1"


def test_a_server_that_is_not_there_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    arguments = (TOKEN, "http://127.0.0.1:1/", Desk().handle, stop)
    thread = threading.Thread(target=socket.listen, args=arguments, daemon=True)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
