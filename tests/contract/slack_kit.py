"""A workspace on this machine: Slack's Web API as far as Airlock uses it, with faults on demand.

It keeps what was posted, so that a test looks at what people would see. Its clock is the test's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from airlock.testing import FakeClock

CHANNEL = "C0RELEASES"
TEAM = "T0TEAM"


@dataclass(frozen=True)
class Fault:
    """How a request goes wrong. *late*: it is done, and the answer comes after so many seconds."""

    status: int = 200
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    late: float = 0.0


DOWN = Fault(503, body=b"<html>no</html>")
#: Say what is wrong with a request, by its method and what it says; None: nothing.
Trouble = Callable[[str, dict[str, Any]], Fault | None]


@dataclass
class Workspace:
    """What there is in Slack."""

    clock: FakeClock
    messages: list[dict[str, Any]] = field(default_factory=list)
    homes: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: Trouble | None = None
    last: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    # what a test asks
    @property
    def cards(self) -> list[dict[str, Any]]:
        """Return the cards that stand, oldest first."""
        return [one for one in self.standing() if "/card" in key(one)]

    def standing(self, channel: str = CHANNEL) -> list[dict[str, Any]]:
        """Return what stands in a channel, threads included."""
        return [m for m in self.messages if m["channel"] == channel and not m.get("deleted")]

    def replies(self, card: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what stands in a thread, oldest first."""
        return [m for m in self.standing() if m.get("thread_ts") == card["ts"]]

    def notices(self) -> list[dict[str, Any]]:
        """Return what stands in the channel besides cards and threads."""
        return [m for m in self.standing() if not m.get("thread_ts") and "/card" not in key(m)]

    def asked(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(1 for _, name, _ in self.calls if name == method)

    # what the API does
    def answer(self, method: str, asked: dict[str, Any]) -> tuple[Fault, dict[str, Any]]:
        """Do what is asked, unless there is trouble."""
        with self.lock:
            self.calls.append((self.clock.at.timestamp(), method, asked))
            fault = self.trouble(method, asked) if self.trouble else None
            if fault is not None and not fault.late:
                return fault, {"ok": False, "error": fault.error}
            does = getattr(self, "_" + method.replace(".", "_"))
            return fault or Fault(), does(asked)

    def _chat_postMessage(self, asked: dict[str, Any]) -> dict[str, Any]:
        thread = asked.get("thread_ts")
        if thread and not any(m["ts"] == thread for m in self.standing(asked["channel"])):
            return {"ok": False, "error": "thread_not_found"}
        self.last = max(self.last + 0.000001, self.clock.at.timestamp())
        message = {**asked, "ts": f"{self.last:.6f}", "edits": 0}
        self.messages.append(message)
        return {"ok": True, "channel": asked["channel"], "ts": message["ts"]}

    def _chat_update(self, asked: dict[str, Any]) -> dict[str, Any]:
        for message in self.standing(asked["channel"]):
            if message["ts"] == asked["ts"]:
                message.update(text=asked["text"], blocks=asked["blocks"])
                message["edits"] += 1
                return {"ok": True, "ts": asked["ts"], "channel": asked["channel"]}
        return {"ok": False, "error": "message_not_found"}

    def _conversations_history(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._page(asked, [m for m in self._since(asked) if not m.get("thread_ts")])

    def _conversations_replies(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._page(asked, [m for m in self._since(asked) if m.get("thread_ts")])

    def _since(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        oldest = float(asked["oldest"])
        found = [m for m in self.standing(asked["channel"]) if float(m["ts"]) >= oldest]
        return [m for m in reversed(found) if asked.get("ts") in (None, m.get("thread_ts"))]

    def _page(self, asked: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
        start, size = int(asked.get("cursor") or 0), 3  # small, so that pages are turned
        more = str(start + size) if start + size < len(found) else ""
        page = found[start : start + size]
        return {"ok": True, "messages": page, "response_metadata": {"next_cursor": more}}

    def _conversations_open(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "channel": {"id": f"D{asked['users']}"}}

    def _users_info(self, asked: dict[str, Any]) -> dict[str, Any]:
        user = self.users.get(asked["user"])
        return {"ok": True, "user": user} if user else {"ok": False, "error": "user_not_found"}

    def _views_publish(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.homes[asked["user_id"]] = asked["view"]
        return {"ok": True}

    def _views_open(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "view": asked["view"]}

    def _apps_connections_open(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"ok": False, "error": "internal_error"}

    def _chat_postEphemeral(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True}


def key(message: Mapping[str, Any]) -> str:
    """Return the key a message carries."""
    found: str = message.get("metadata", {}).get("event_payload", {}).get("key", "")
    return found


def each(fault: Fault, times: int = 1_000_000) -> Trouble:
    """Return trouble for everything, so many times."""
    left = [times]

    def trouble(method: str, asked: dict[str, Any]) -> Fault | None:
        left[0] -= 1
        return fault if left[0] >= 0 else None

    return trouble


@contextmanager
def served(workspace: Workspace) -> Iterator[Workspace]:
    """Serve a workspace over HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(workspace))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    workspace.url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    try:
        yield workspace
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(workspace: Workspace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if "json" in self.headers["Content-Type"]:
                asked = json.loads(raw or b"{}")
            else:
                asked = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
            method = self.path.rpartition("/")[2]
            fault, answer = workspace.answer(method, asked)
            if fault.late:
                time.sleep(fault.late)
            body = fault.body if fault.body is not None else json.dumps(answer).encode()
            try:
                self.send_response(fault.status)
                for name, value in fault.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # who asked has gone
                return

        def log_message(self, *_: object) -> None:
            return

    return Handler
