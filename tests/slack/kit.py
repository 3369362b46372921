"""A Slack workspace to act in: people who click, fill in forms, type commands, and look.

    with workspace(door=port) as slack:        # signed HTTP to 127.0.0.1:port
    with workspace() as slack:                 # Socket Mode
        ts = slack.await_message(release)["ts"]
        slack.open_form(ts, "lena", "airlock.approve")
        slack.submit("lena", reason="looked at the numbers")

Everything that reaches Airlock is built, and over HTTP signed, by the emulator.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs

import httpx
from websockets.sync.client import ClientConnection, connect

from airlock.config.settings import SlackSettings
from airlock.testing import PEOPLE
from tests.slack.emulators import local_slack
from tests.slack.shim import APP_TOKEN, BOT_TOKEN, Shim, shim

TEAM, APP, BOT = "T0AIRLOCK", "A0AIRLOCK", "U0AIRLOCK"
CHANNEL, SECRET = "C0RELEASES", "signing-secret-of-the-tests"
PATH = "/airlock/slack/interactions"
#: Everybody's account; `zoe` has one and is nobody at Airlock.
ACCOUNTS = {name: f"U0{name.upper()}" for name in (*PEOPLE, "otto", "zoe")}

_Answer = TypeVar("_Answer")


def config(door: int) -> dict[str, Any]:
    """Return the workspace for local-slack; without a *door* it uses Socket Mode."""
    app = {"appId": APP, "botUserId": BOT, "botName": "airlock", "signingSecret": SECRET}
    app |= {"botToken": BOT_TOKEN, "appToken": APP_TOKEN, "mode": "socket"}
    if door:
        app |= {"mode": "events", "requestUrl": f"http://127.0.0.1:{door}{PATH}"}
    members = [*ACCOUNTS.values(), BOT]
    users = [{"id": account, "name": name} for name, account in ACCOUNTS.items()]
    return {
        "workspace": {"name": "Airlock", "domain": "airlock", "teamId": TEAM},
        "app": app,
        "users": users,
        "channels": [{"id": CHANNEL, "name": "releases", "members": members}],
    }


@dataclass(frozen=True)
class Workspace:
    """A running local-slack with the shim in front of its Web API."""

    port: int
    shim: Shim

    def settings(self, *, socket: bool = False) -> SlackSettings:
        """Return what Airlock is told of this workspace."""
        return SlackSettings(
            bot_token=BOT_TOKEN,
            signing_secret=() if socket else (SECRET,),
            app_token=APP_TOKEN if socket else "",
            team_id=TEAM,
            app_id=APP,
            channel=CHANNEL,
            api_url=self.shim.url,
        )

    def environment(self, *, socket: bool = False) -> dict[str, str]:
        """Return the same as a process is told it."""
        return {
            "AIRLOCK_SLACK_BOT_TOKEN": BOT_TOKEN,
            **({"AIRLOCK_SLACK_APP_TOKEN": APP_TOKEN} if socket else {}),
            **({} if socket else {"AIRLOCK_SLACK_SIGNING_SECRET": SECRET}),
            "AIRLOCK_SLACK_TEAM_ID": TEAM,
            "AIRLOCK_SLACK_APP_ID": APP,
            "AIRLOCK_SLACK_CHANNEL": CHANNEL,
            "AIRLOCK_SLACK_API_URL": self.shim.url,
        }

    # what people do

    def click(self, ts: str, user: str, action: str, channel: str = CHANNEL) -> None:
        """Press a button of a message, as it is now."""
        message = self.message(ts, channel)
        button = next(element for element in buttons(message) if element["action_id"] == action)
        self.click_button(ts, user, button, channel)

    def click_button(
        self, ts: str, user: str, button: dict[str, Any], channel: str = CHANNEL
    ) -> None:
        """Press a button as somebody saw it some time."""
        body = {"channel": channel, "messageTs": ts, "user": ACCOUNTS[user], "action": button}
        self._control("interact", body)

    def open_form(self, ts: str, user: str, action: str, channel: str = CHANNEL) -> dict[str, Any]:
        """Press a button and return the form that opens."""
        before = self.form().get("id")
        self.click(ts, user, action, channel)

        def opened() -> dict[str, Any]:
            form = self.form()
            return form if form.get("id") != before else {}

        return self.await_(opened, f"a form after {user} pressed {action}")

    def submit(self, user: str, *, sure: bool = False, **fields: Any) -> dict[str, str]:
        """Send the open form; return the errors shown in it, by field.

        `reason="..."` fills in a text; any other field takes the element's own answer.
        """
        text = {"type": "plain_text_input", "value": fields.pop("reason", None)}
        values = {
            "reason": {"reason": text},
            **{name: {name: element} for name, element in fields.items()},
        }
        if sure:
            values["sure"] = {"sure": _ticked(self.form())}
        return self.submit_values(user, values)

    def submit_values(self, user: str, values: dict[str, Any]) -> dict[str, str]:
        """Send the open form with values as they are."""
        with self._ui() as (socket, _state):
            form = {"t": "view_submit", "user": ACCOUNTS[user], "values": values}
            socket.send(json.dumps(form))
            while True:
                event = json.loads(socket.recv(timeout=30))
                if event["t"] == "view_errors":
                    return dict(event["errors"])
                if event["t"] == "view":
                    return {}

    def command(self, user: str, text: str, channel: str = CHANNEL) -> str:
        """Type `/airlock` and return what only this person is shown."""
        before = len(self.messages(channel))
        self.type(user, text, channel)
        replies = self.await_(lambda: self.messages(channel)[before:], f"an answer to {text!r}")
        assert replies[-1]["ephemeral_to"] == ACCOUNTS[user], "everybody was shown the answer"
        return wording(replies[-1])

    def type(self, user: str, text: str, channel: str = CHANNEL) -> None:
        """Type `/airlock`, for what opens a form."""
        body = {"channel": channel, "user": ACCOUNTS[user], "command": "/airlock", "text": text}
        self._control("command", body)

    def open_home(self, user: str) -> None:
        """Open the app's home."""
        self._control("open-home", {"user": ACCOUNTS[user]})

    # what there is to see

    def messages(self, channel: str = CHANNEL) -> list[dict[str, Any]]:
        """Return the messages of a channel, oldest first."""
        messages = self._get(f"messages/{channel}")["messages"]
        return list(messages)

    def message(self, ts: str, channel: str = CHANNEL) -> dict[str, Any]:
        """Return one message as it is now."""
        return next(message for message in self.messages(channel) if message["ts"] == ts)

    def await_message(
        self, words: str, channel: str = CHANNEL, seconds: float = 30
    ) -> dict[str, Any]:
        """Wait for a message with these words in it, and return the first."""

        def there() -> dict[str, Any] | None:
            return next(
                (message for message in self.messages(channel) if words in wording(message)), None
            )

        return self.await_(there, f"a message with {words!r}", seconds)

    def thread(self, ts: str) -> list[str]:
        """Return what is said below a message."""
        return [wording(message) for message in self.messages() if message.get("thread_ts") == ts]

    def whispers(self, user: str) -> list[str]:
        """Return what only one person was shown."""
        account = ACCOUNTS[user]
        return [
            wording(message)
            for message in self.messages()
            if message.get("ephemeral_to") == account
        ]

    def form(self) -> dict[str, Any]:
        """Return the open form, or nothing."""
        stack = self.state()["modalStack"]
        return dict(stack[-1]) if stack else {}

    def home(self, user: str) -> dict[str, Any]:
        """Return what somebody's home shows."""
        return dict(self.state()["homeViews"].get(ACCOUNTS[user], {}).get(APP, {}))

    def connected(self) -> bool:
        """Return whether somebody listens by Socket Mode."""
        return bool(self.state()["apps"][0]["connected"])

    def state(self) -> dict[str, Any]:
        """Return everything the emulator's own page shows."""
        with self._ui() as (_socket, state):
            return state

    def last_trigger(self) -> str:
        """Return what the last click brought along, as it was sent."""
        sent = [entry for entry in self._get("log")["log"] if entry["direction"] == "to_bot"]
        payload = parse_qs(sent[-1]["detail"])["payload"][0]
        return str(json.loads(payload)["trigger_id"])

    def acks(self) -> list[str]:
        """Return how Airlock answered, oldest first: `HTTP 200`, `ack ...`, or why not."""
        kinds = ("interactive", "slash_commands", "events_api", "ack")
        log = self._get("log")["log"]
        from_us = [
            entry for entry in log if entry["direction"] != "to_bot" and entry["kind"] in kinds
        ]
        return [str(entry["summary"]) for entry in from_us]

    @staticmethod
    def await_(question: Callable[[], _Answer], event: str, seconds: float = 30) -> _Answer:
        """Ask until there is an answer."""
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {event}"
            time.sleep(0.02)
        return answer

    def _control(self, action: str, body: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self.port}/_control/{action}"
        httpx.post(url, json=body, timeout=30).raise_for_status()

    def _get(self, page: str) -> Any:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/_control/{page}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    @contextmanager
    def _ui(self) -> Iterator[tuple[ClientConnection, dict[str, Any]]]:
        with connect(f"ws://127.0.0.1:{self.port}/ui", max_size=None) as socket:
            first = json.loads(socket.recv(timeout=30))
            yield socket, first["state"]


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the buttons of a message, each with its block."""
    return [
        {**element, "block_id": block.get("block_id")}
        for block in message.get("blocks") or ()
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def wording(message: dict[str, Any]) -> str:
    """Return all there is to read in a message or a view."""
    return " ".join([str(message.get("text") or ""), *_texts(message.get("blocks") or [])])


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for inner in part:
            yield from _texts(inner)
    elif isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield part["text"]
        for inner in part.values():
            yield from _texts(inner)


def _ticked(form: dict[str, Any]) -> dict[str, Any]:
    block = next(part for part in form["blocks"] if part.get("block_id") == "sure")
    return {"type": "checkboxes", "selected_options": block["element"]["options"]}


@contextmanager
def workspace(door: int = 0) -> Iterator[Workspace]:
    """Run a workspace that sends to a port of this machine, or that one connects to."""
    with local_slack(config(door), door) as port, shim(port) as web_api:
        yield Workspace(port, web_api)
