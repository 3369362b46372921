"""What Airlock asks of Slack's Web API, asked of two emulators by two different hands.

The same tests for both. A failure that neither emulator knows is played by the shim.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airlock.adapters.slack.views import forms
from airlock.adapters.slack.web import SlackWeb
from airlock.domain.errors import Refused, Unreachable
from airlock.ports import Spot
from airlock.ports.chat import Busy, ChatMessage, Closed
from airlock_platform.databases.postgres import free_port
from tests.slack import shim
from tests.slack.kit import ACCOUNTS, CHANNEL, TEAM, workspace
from tests.slack.second import ask, second_api
from tests.support import ROOT

#: What a table of Slack's looks like; the emulators take any block.
TABLE = {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}


def words(text: str) -> dict[str, Any]:
    return {"type": "section", "block_id": "one", "text": {"type": "plain_text", "text": text}}


@dataclass(frozen=True)
class Api:
    """One of the two, and how to look past Airlock's own client."""

    name: str
    chat: SlackWeb
    shim: shim.Shim
    channel: str
    team: str
    accounts: dict[str, str]
    trigger: Callable[[str], str]

    def history(self, channel: str = "", thread: str = "") -> list[dict[str, Any]]:
        """Return the messages of a channel or of a thread, oldest first."""
        options: dict[str, Any] = {"channel": channel or self.channel}
        options |= {"include_all_metadata": True, "limit": 200}
        if thread:
            thread_messages = ask(self.shim.emulator, "conversations.replies", ts=thread, **options)
            return list(thread_messages["messages"])
        return list(
            reversed(ask(self.shim.emulator, "conversations.history", **options)["messages"])
        )

    def message(self, spot: Spot) -> dict[str, Any]:
        return next(message for message in self.history(spot.channel) if message["ts"] == spot.ts)


@pytest.fixture(scope="module", params=["local-slack", "emulate"])
def running(request: pytest.FixtureRequest) -> Iterator[Api]:
    if request.param == "emulate":
        with second_api() as other:
            chat = SlackWeb(shim.BOT_TOKEN, other.shim.url)
            yield Api(
                request.param,
                chat,
                other.shim,
                other.channel,
                "T000000001",
                other.accounts,
                other.trigger,
            )
        return
    with workspace(free_port()) as slack:  # nobody listens there: only the click is wanted
        chat = SlackWeb(shim.BOT_TOKEN, slack.shim.url)

        def trigger(user: str) -> str:
            ts = slack.messages()[0]["ts"]
            slack.click_button(ts, user, {"action_id": "x", "block_id": "y", "value": "z"})
            return slack.last_trigger()

        yield Api(request.param, chat, slack.shim, CHANNEL, TEAM, ACCOUNTS, trigger)


@pytest.fixture
def api(running: Api) -> Iterator[Api]:
    yield running
    running.shim.heal()
    running.shim.people.clear()


def test_a_message_is_kept_as_it_was_said(api: Api) -> None:
    spot = api.chat.post(api.channel, ChatMessage("in short", (words("in full"),)), key="k-1")
    assert spot.channel == api.channel
    message = api.message(spot)
    assert (message["text"], message["blocks"]) == ("in short", [words("in full")])


def test_a_message_is_changed_in_its_place(api: Api) -> None:
    spot = api.chat.post(api.channel, ChatMessage("before", (words("before"),)))
    api.chat.update(spot, ChatMessage("after", (words("after"),)))
    message = api.message(spot)
    assert (message["text"], message["blocks"]) == ("after", [words("after")])


def test_a_reply_is_said_in_its_thread(api: Api) -> None:
    card = api.chat.post(api.channel, ChatMessage("the card"))
    reply = api.chat.post(api.channel, ChatMessage("below it"), thread=card)
    replies = {message["ts"]: message for message in api.history(thread=card.ts)}
    assert replies[reply.ts]["thread_ts"] == card.ts


def test_somebody_is_spoken_to_directly(api: Api) -> None:
    channel = api.chat.direct(api.accounts["lena"])
    spot = api.chat.post(channel, ChatMessage("only you"))
    assert spot.channel == channel != api.channel
    assert api.message(spot)["text"] == "only you"


def test_a_message_is_found_again_by_its_key(api: Api) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    spot = api.chat.post(api.channel, ChatMessage("sent, perhaps"), key="release-1/card")
    spot_again = api.chat.find("release-1/card", api.channel, since)
    # local-slack drops what is kept beside a message: there nothing is found, and nothing breaks
    assert spot_again == (spot if api.name == "emulate" else None)
    assert api.chat.find("release-2/card", api.channel, since) is None


def test_a_message_that_has_gone_is_refused(api: Api) -> None:
    with pytest.raises(Refused):
        api.chat.update(Spot(api.channel, "1.000001"), ChatMessage("too late"))


def test_a_channel_that_is_not_there_closes_the_chat(api: Api) -> None:
    with pytest.raises(Closed) as caught:
        api.chat.post("C0NOWHERE", ChatMessage("hello"))
    assert caught.value.code == "channel_not_found"
    assert caught.value.next_step


def test_an_account_is_what_slack_says_of_it_now(api: Api) -> None:
    account = api.accounts["lena"]
    plain = api.chat.profile(account)
    assert (plain.id, plain.team) == (account, api.team)
    assert not any((plain.bot, plain.guest, plain.deleted))
    for profile, attribute in (
        ({"deleted": True}, "deleted"),
        ({"is_bot": True}, "bot"),
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True}, "guest"),
        ({"is_stranger": True}, "guest"),
    ):
        api.shim.people[account] = profile
        assert getattr(api.chat.profile(account), attribute), profile


def test_an_organisation_counts_before_its_workspace(api: Api) -> None:
    account = api.accounts["lena"]
    api.shim.people[account] = {"enterprise_user": {"enterprise_id": "E0ORG"}}
    assert api.chat.profile(account).team == "E0ORG"


def test_an_account_nobody_has_is_refused(api: Api) -> None:
    with pytest.raises(Refused):
        api.chat.profile("U0NOBODY")


def test_a_trigger_opens_one_form(api: Api) -> None:
    api.chat.post(api.channel, ChatMessage("something to click on"))
    trigger = api.trigger("lena")
    api.chat.open_form(trigger, forms.delegate_form())
    with pytest.raises(Refused):
        api.chat.open_form(trigger, forms.delegate_form())
    with pytest.raises(Refused):
        api.chat.open_form("1.2.made-up", forms.delegate_form())


def test_a_whisper_is_no_message_for_all(api: Api) -> None:
    api.chat.whisper(api.channel, api.accounts["lena"], "between us")
    loud = [message for message in api.history() if not message.get("ephemeral_to")]
    assert "between us" not in [message["text"] for message in loud]
    assert api.shim.calls[-1].method == "chat.postEphemeral"


def test_a_table_that_is_refused_is_said_without_it(api: Api) -> None:
    api.shim.next("chat.postMessage", shim.error("invalid_blocks"))
    spot = api.chat.post(api.channel, ChatMessage("t", (TABLE,), (words("plain"),)))
    assert api.message(spot)["blocks"] == [words("plain")]


def test_what_comes_back_later_and_what_never_does(api: Api) -> None:
    api.shim.next("chat.postMessage", shim.busy(7))
    with pytest.raises(Busy) as busy:
        api.chat.post(api.channel, ChatMessage("x"))
    assert busy.value.seconds == 7
    for fault in (shim.broken(500), shim.broken(503), shim.error("internal_error")):
        api.shim.next("chat.postMessage", fault)
        with pytest.raises(Unreachable):
            api.chat.post(api.channel, ChatMessage("x"))
    for code in ("invalid_auth", "account_inactive", "token_revoked", "is_archived"):
        api.shim.next("chat.postMessage", shim.error(code))
        with pytest.raises(Closed) as closed:
            api.chat.post(api.channel, ChatMessage("x"))
        assert closed.value.code == code


def test_no_answer_is_waited_for_only_so_long(api: Api) -> None:
    hasty = SlackWeb(shim.BOT_TOKEN, api.shim.url, timeout=0.3)
    api.shim.next("users.info", shim.hang(600))
    before = api.shim.count("users.info")
    with pytest.raises(Unreachable):
        hasty.profile(api.accounts["lena"])
    assert api.shim.count("users.info") == before + 1, "it was asked once"


def test_a_wrong_token_is_taken_nowhere(api: Api) -> None:
    with pytest.raises(Closed) as caught:
        SlackWeb("xoxb-not-ours", api.shim.url).post(api.channel, ChatMessage("x"))
    assert caught.value.code == "invalid_auth"
    assert "xoxb" not in caught.value.message


#: How everything looks in Slack, one file for each template and state.
GOLDENS = sorted((ROOT / "tests/goldens/slack").glob("*.json"))


def test_there_are_templates_to_show() -> None:
    assert len(GOLDENS) > 50


def test_every_message_is_taken_and_comes_back_as_it_was_said(api: Api) -> None:
    drawn = {file.name: json.loads(file.read_text()) for file in GOLDENS}
    messages = {name: document for name, document in drawn.items() if "type" not in document}
    spots = {
        name: api.chat.post(api.channel, ChatMessage(message["text"], message["blocks"]))
        for name, message in messages.items()
    }
    contents = {
        entry["ts"]: (entry["text"], entry["blocks"])
        for entry in api.history()
        if "blocks" in entry
    }
    for name, message in messages.items():
        assert contents[spots[name].ts] == (message["text"], message["blocks"]), name


def test_every_form_opens_and_every_home_is_shown(api: Api) -> None:
    api.chat.post(api.channel, ChatMessage("something to click on"))
    for file in GOLDENS:
        view = json.loads(file.read_text())
        if view.get("type") == "modal":
            api.chat.open_form(api.trigger("lena"), view)
        elif view.get("type") == "home":
            api.chat.show_home(api.accounts["lena"], view)
