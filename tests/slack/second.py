"""The second Web API: emulate, Slack by other hands. It has no clicks; it keeps what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.slack.emulators import emulate
from tests.slack.kit import ACCOUNTS
from tests.slack.shim import BOT_TOKEN, Shim, shim


@dataclass(frozen=True)
class SecondApi:
    """A running emulate with the shim in front; it gives out its own ids."""

    port: int
    shim: Shim
    channel: str
    accounts: dict[str, str]

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages of the channel, oldest first, with what was kept beside them."""
        options = {"channel": self.channel, "include_all_metadata": True}
        messages = ask(self.port, "conversations.history", **options)["messages"]
        return list(reversed(messages))

    def trigger(self, user: str) -> str:
        """Return what a click would have brought along."""
        trigger = ask(self.port, "views.generateTriggerId", user_id=self.accounts[user])
        return str(trigger["trigger_id"])


@contextmanager
def second_api() -> Iterator[SecondApi]:
    """Run the other Web API, behind a shim of its own."""
    users = [{"name": name} for name in ("airlock", *ACCOUNTS)]
    seed = {
        "team": {"name": "Airlock", "domain": "airlock"},
        "users": users,
        "channels": [{"name": "releases"}],
        "tokens": [{"token": BOT_TOKEN, "user": "airlock"}],
    }
    with emulate({"slack": seed}) as port, shim(port) as web_api:
        channels = ask(port, "conversations.list")["channels"]
        accounts = {member["name"]: member["id"] for member in ask(port, "users.list")["members"]}
        named = {channel["name"]: channel["id"] for channel in channels}
        yield SecondApi(port, web_api, named["releases"], accounts)


def ask(port: int, method: str, **arguments: Any) -> Any:
    """Call an emulator's Web API past the shim, for a look at what it holds."""
    headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
    url = f"http://127.0.0.1:{port}/api/{method}"
    answer = httpx.post(url, json=arguments, headers=headers, timeout=30).json()
    assert answer["ok"], f"{method}: {answer}"
    return answer
