"""Slack as the desk meets it: signed requests to the real door, and a Web API that records.

The Web API is a small HTTP server of our own: it answers "ok" to everything, keeps what it was
asked, and can be slow, silent or unkind. It shows how we treat Slack, and nothing about Slack.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from airlock.adapters.slack.views import card
from airlock.adapters.slack.web import SlackWeb
from airlock.config.settings import SlackSettings
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Channel
from airlock.entrypoints.http.slack_endpoint import Reception
from airlock.entrypoints.slack.dispatcher import Desk
from airlock.ports import Link
from airlock.services.notifications.views import view_of
from airlock.services.people.slack_links import offer
from airlock.services.queries import releases
from tests.integration import door_kit
from tests.integration.door_kit import FOLKS, Doors, FakePlatform

TEAM, APP, CHANNEL, SECRET = "T0OURS", "A0OURS", "C0RELEASES", "5" * 32
PUBLIC = "https://airflow.example.org"
WHY = "looked at the numbers"
JSON = "application/json"


class WebApi:
    """Records calls; `users` overrides what it says of an account, `errors` what a method says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.users: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, str] = {}
        self.silent = threading.Event()
        self._more = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.silent.clear()
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        self.silent.clear()
        with self._more:
            self.calls.clear()
            self.users.clear()
            self.errors.clear()

    def of(self, method: str) -> list[dict[str, Any]]:
        with self._more:
            return [given for name, given in self.calls if name == method]

    def wait(
        self, method: str, fits: Callable[[dict[str, Any]], bool] = bool, seconds: float = 5
    ) -> dict[str, Any]:
        """Return the newest call of a method that fits, as soon as there is one."""
        with self._more:
            self._more.wait_for(
                lambda: any(n == method and fits(g) for n, g in self.calls), seconds
            )
            found = [given for name, given in self.calls if name == method and fits(given)]
        assert found, f"no {method}; calls: {self.calls}"
        return found[-1]

    def _take(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        while self.silent.is_set():
            time.sleep(0.02)
        with self._more:
            self.calls.append((method, given))
            self._more.notify_all()
        if method in self.errors:
            return {"ok": False, "error": self.errors[method]}
        if method == "users.info":
            account = given["user"]
            return {
                "ok": True,
                "user": {"id": account, "team_id": TEAM, **self.users.get(account, {})},
            }
        return {"ok": True, "channel": given.get("channel", ""), "ts": "1.2", "message_ts": "1.2"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(length).decode()
                given: dict[str, Any] = {}
                if JSON in self.headers.get("content-type", ""):
                    given = json.loads(body)
                elif body:
                    given = dict(parse_qsl(body))
                path, _, query = self.path.partition("?")
                given |= dict(parse_qsl(query))
                answer = json.dumps(api._take(path.rpartition("/")[2], given)).encode()
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Type", JSON)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


@dataclass
class Slack:
    """Our workspace: the doors behind, the Web API, and everybody's account."""

    doors: Doors
    api: WebApi
    settings: SlackSettings
    desk: Desk
    accounts: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    def fresh(self, api_url: str = "", store: Any = None) -> None:
        """Begin anew: a new desk that remembers nobody, and a Web API that is well."""
        self.api.reset()
        world = self.doors.world
        platform = FakePlatform(store or world.store, world.keys, world.keys, world.rulebook)
        chat = SlackWeb("xoxb-1", api_url or self.api.url)
        self.desk = Desk(platform, self.settings, chat, PUBLIC)
        self.doors.app.state.slack = Reception(lambda: self.desk)

    def link(self, person: str) -> str:
        """Return the account of a person, linked."""
        if person not in self.accounts:
            account = f"U0{person.upper()}"
            with self.doors.world.store.begin() as unit:
                unit.put_link(Link(TEAM, account, person, stamp(unit.now())))
                unit.commit()
            self.accounts[person] = account
        return self.accounts[person]

    def code(self, person: str) -> str:
        return offer(self.doors.world.store, self.doors.world.actor(person)).code

    def number(self) -> int:
        return next(self._numbers)

    # what Slack sends
    def post(
        self, body: bytes, headers: dict[str, str] | None = None, kind: str = ""
    ) -> httpx.Response:
        """Send bytes to the door as they are; signed now, unless told otherwise."""
        url = f"{self.doors.url}/airlock/slack/interactions"
        typed = {"Content-Type": kind or "application/x-www-form-urlencoded"}
        given = signed(body) if headers is None else headers
        with httpx.Client(verify=False, timeout=20) as client:
            return client.post(url, content=body, headers={**typed, **given})

    def send(self, payload: dict[str, Any]) -> httpx.Response:
        """Send a click or a form."""
        return self.post(urlencode({"payload": json.dumps(payload)}).encode())

    def command(self, account: str, text: str, **changes: str) -> dict[str, Any]:
        """Type a command; return what is shown."""
        form = {
            "command": "/airlock",
            "text": text,
            "team_id": TEAM,
            "api_app_id": APP,
            "user_id": account,
            "user_name": "somebody",
            "channel_id": CHANNEL,
            "trigger_id": f"trigger-{self.number()}",
            **changes,
        }
        answer = self.post(urlencode(form).encode())
        assert answer.status_code == 200, answer.text
        return dict(answer.json()) if answer.content else {}

    def event(self, kind: str, account: str, **changes: Any) -> httpx.Response:
        payload = {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": APP,
            "event": {"type": kind, "user": account, "tab": "home"},
            **changes,
        }
        return self.post(json.dumps(payload).encode(), kind=JSON)

    def whole(self, account: str, **changes: Any) -> dict[str, Any]:
        """Return what every click and form says of where it comes from."""
        return {
            "api_app_id": APP,
            "team": {"id": TEAM, "domain": "ours"},
            "enterprise": None,
            "user": {"id": account, "name": "somebody", "team_id": TEAM},
            "trigger_id": f"trigger-{self.number()}",
            **changes,
        }

    def click(
        self, account: str, button: dict[str, Any] | str, value: str | None = None, **changes: Any
    ) -> dict[str, Any]:
        """Return a click on a button of a card."""
        action = {"action_id": button, "value": value} if isinstance(button, str) else button
        place = {"id": CHANNEL, "name": "releases"}
        return {
            "type": "block_actions",
            "channel": place,
            "container": {"type": "message", "channel_id": CHANNEL, "message_ts": "1.2"},
            "actions": [{"type": "button", "block_id": "b", **action}],
            **self.whole(account),
            **changes,
        }

    def form(
        self, account: str, view: dict[str, Any], reason: str = WHY, **changes: Any
    ) -> dict[str, Any]:
        """Return a filled form; *changes* may be `sure`, `seat`, `view_id`, or of the payload."""
        values: dict[str, Any] = {
            "reason": {"reason": {"type": "plain_text_input", "value": reason}}
        }
        if changes.pop("sure", True):
            values["sure"] = {"sure": {"selected_options": [{"value": "sure"}]}}
        if seat := changes.pop("seat", None):
            values["seat"] = {"seat": {"selected_option": {"value": seat}}}
        form_id = changes.pop("view_id", f"V{self.number()}")
        filled = {**view, "id": form_id, "state": {"values": values}}
        return {"type": "view_submission", "view": filled, **self.whole(account), **changes}

    # a whole answer
    def view(self, release_id: str, person: str = "") -> dict[str, Any]:
        """Return a release as somebody sees it."""
        world = self.doors.world
        actor = world.actor(person, Channel.SLACK)
        return view_of(world.store, world.keys, release_id, PUBLIC, TEAM, actor)

    def buttons(self, release_id: str) -> dict[str, dict[str, Any]]:
        """Return the buttons of the card of a release as it is now, by their ids."""
        blocks = card.card(self.view(release_id)).blocks
        parts = [part for block in blocks for part in block.get("elements", ())]
        return {part["action_id"]: part for part in parts if "action_id" in part}

    def open_form(self, person: str, release_id: str, decision: str = "approve") -> dict[str, Any]:
        """Click, and return the form that opens."""
        click = self.click(self.link(person), self.buttons(release_id)[f"airlock.{decision}"])
        assert self.send(click).status_code == 200
        trigger = click["trigger_id"]
        opened = self.api.wait("views.open", lambda given: given["trigger_id"] == trigger)
        return _parsed(opened["view"])

    def shown(self, release_id: str) -> dict[str, Any]:
        """Return what a release is, for comparing before and after."""
        world = self.doors.world
        view = releases.show(world.store, world.keys, release_id, None)
        return {name: view[name] for name in ("state", "round", "level", "levels", "grant")}

    def refusals(self) -> list[str]:
        """Return the reasons of the refusals in the log."""
        with self.doors.world.store.begin() as unit:
            found = [one.content for one in unit.entries("access")]
            said = unit.resolve_texts(one["why"] for one in found)
        return [
            f"{one['data']['about']}: {said.get(one['why'], one['why'])}"
            for one in found
            if one["what"] == "SlackRefused"
        ]

    def events(self, what: str) -> list[dict[str, Any]]:
        with self.doors.world.store.begin() as unit:
            return [one.content for one in unit.entries() if one.content["what"] == what]


def _parsed(view: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(view) if isinstance(view, str) else view
    return found


def signed(body: bytes, secret: str = SECRET, age: float = 0, **changes: str) -> dict[str, str]:
    """Return the headers Slack sends with a body; *age*: seconds since it was signed."""
    at = str(int(datetime.now(UTC).timestamp() - age))
    made = SignatureVerifier(secret).generate_signature(timestamp=at, body=body)
    assert made is not None
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": made, **changes}


def rules() -> dict[str, Any]:
    """Return the rule book of the doors, with the high tier answered in Slack."""
    document = copy.deepcopy(door_kit.rulebook())
    document["approval"]["spec"]["tiers"]["high"]["slackMayAnswer"] = True
    return document


@contextlib.contextmanager
def workspace(folder: Path, **more: Any) -> Iterator[Slack]:
    """Run the doors and a Web API, with everybody linked."""
    api = WebApi()
    settings = SlackSettings(
        bot_token="xoxb-1", signing_secret=(SECRET,), team_id=TEAM, app_id=APP, channel=CHANNEL
    )
    try:
        with door_kit.running(folder, rules=more.get("rules") or rules()) as doors:
            slack = Slack(doors, api, settings, None)  # type: ignore[arg-type]
            slack.fresh()
            for person in FOLKS:
                slack.link(person)
            yield slack
    finally:
        api.close()
