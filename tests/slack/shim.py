"""A Web API with Slack's bad days: in front of an emulator, which has none.

It passes calls on and, when told to, answers itself instead. What it adds always, because both
emulators lack it: a wrong token is `invalid_auth`, and a trigger opens one form
(`exchanged_trigger_id`). It is our own, so it shows how Airlock takes such answers, not that
Slack gives them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: What the tokens of the test workspace are, and of which calls.
BOT_TOKEN, APP_TOKEN = "xoxb-of-the-tests", "xapp-of-the-tests"


@dataclass(frozen=True)
class Fault:
    """An answer instead of the emulator's; after *seconds*, and *passed* on in spite of it."""

    status: int = 200
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0
    #: The emulator gets the call, the caller never its answer.
    passed: bool = False


def error(code: str) -> Fault:
    """Slack's ordinary no: 200, and a word."""
    return Fault(body=json.dumps({"ok": False, "error": code}))


def busy(seconds: int) -> Fault:
    """Too many calls."""
    body = json.dumps({"ok": False, "error": "ratelimited"})
    return Fault(429, body, (("Retry-After", str(seconds)),))


def broken(status: int = 500) -> Fault:
    """A server that fell over."""
    return Fault(status, "<html>Internal Server Error</html>")


def hang(seconds: float, *, passed: bool = False) -> Fault:
    """No answer for so long."""
    return Fault(503, "", seconds=seconds, passed=passed)


@dataclass(frozen=True)
class Call:
    """One call of Airlock's, as it arrived."""

    method: str
    arguments: dict[str, Any]


@dataclass
class Shim:
    """The Web API at `url`. `calls` are what arrived, `people` what users.info says besides."""

    emulator: int
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    _next: dict[str, deque[Fault]] = field(default_factory=dict)
    _always: dict[str, Fault] = field(default_factory=dict)
    _triggers: set[str] = field(default_factory=set)

    def next(self, method: str, *faults: Fault) -> None:
        """Answer the next calls of a method so."""
        self._next.setdefault(method, deque()).extend(faults)

    def always(self, fault: Fault, method: str = "") -> None:
        """Answer every call so, or every call of a method."""
        self._always[method] = fault

    def heal(self) -> None:
        """Stop all faults."""
        self._next.clear()
        self._always.clear()

    def count(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(call.method == method for call in self.calls)

    def answer(self, method: str, arguments: dict[str, Any], token: str) -> Fault | None:
        """Return what is said instead of the emulator's answer."""
        self.calls.append(Call(method, arguments))
        waiting = self._next.get(method)
        if waiting:
            return waiting.popleft()
        fault = self._always.get(method) or self._always.get("")
        return fault or self._strict(method, arguments, token)

    def _strict(self, method: str, arguments: dict[str, Any], token: str) -> Fault | None:
        if token != (APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN):
            return error("invalid_auth")
        if method == "views.open":
            trigger = str(arguments.get("trigger_id"))
            if trigger in self._triggers:
                return error("exchanged_trigger_id")
            self._triggers.add(trigger)
        return None

    def changed(self, method: str, arguments: dict[str, Any], body: bytes) -> bytes:
        """Return the emulator's answer with what we know better."""
        extra = self.people.get(str(arguments.get("user")))
        if method != "users.info" or not extra:
            return body
        document = json.loads(body)
        document["user"] |= extra
        return json.dumps(document).encode()


@contextmanager
def shim(emulator: int) -> Iterator[Shim]:
    """Stand in front of the emulator at a port, for as long as the block lasts."""
    web_api = Shim(emulator)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"shim": web_api}))
    server.daemon_threads = True
    web_api.url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield web_api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shim: Shim

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        method = address.path.rpartition("/")[2]
        arguments = _arguments(self.headers.get("Content-Type", ""), body, address.query)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        fault = self.shim.answer(method, arguments, token)
        if fault is None or fault.passed:
            status, body = self._pass_on(body)
        if fault is None:
            self._say(status, self.shim.changed(method, arguments, body))
            return
        time.sleep(fault.seconds)
        self._say(fault.status, fault.body.encode(), fault.headers)

    do_GET = do_POST

    def _pass_on(self, body: bytes) -> tuple[int, bytes]:
        there = HTTPConnection("127.0.0.1", self.shim.emulator, timeout=30)
        names = ("authorization", "content-type")
        headers = {name: text for name, text in self.headers.items() if name.lower() in names}
        there.request(self.command, self.path, body, headers)
        answer = there.getresponse()
        content = answer.read()
        there.close()
        return answer.status, content

    def _say(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        try:
            self.send_response(status)
            for name, text in (("Content-Type", "application/json"), *headers):
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # whoever asked has given up

    def log_message(self, *_words: Any) -> None:
        return


def _arguments(kind: str, body: bytes, query: str) -> dict[str, Any]:
    if kind.startswith("application/json"):
        return dict(json.loads(body or b"{}"))
    return dict(parse_qsl(query) + parse_qsl(body.decode()))
