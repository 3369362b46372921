"""The Web API as the adapter speaks it: what is sent, what comes back, how it fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from airlock.adapters.slack.web import SlackWeb
from airlock.domain.errors import Refused, Unreachable
from airlock.ports import Spot
from airlock.ports.chat import Busy, ChatMessage, Closed, Gone, Profile
from airlock.testing import FakeClock
from tests.contract.slack_kit import CHANNEL, Fault, Workspace, each, served

HELLO = ChatMessage("hello", ({"type": "section", "text": {"type": "mrkdwn", "text": "hello"}},))


@pytest.fixture
def slack() -> Iterator[Workspace]:
    with served(Workspace(FakeClock())) as workspace:
        yield workspace


@pytest.fixture
def web(slack: Workspace) -> SlackWeb:
    return SlackWeb("xoxb-secret", slack.url, timeout=10)


def test_a_message_is_found_by_its_key_through_all_pages(slack: Workspace, web: SlackWeb) -> None:
    since = slack.clock.at
    spots = [web.post(CHANNEL, HELLO, key=f"k{number}") for number in range(8)]
    replies = [web.post(CHANNEL, HELLO, thread=spots[0], key=f"t{number}") for number in range(5)]
    assert web.find("k0", CHANNEL, since) == spots[0]
    assert web.find("t1", CHANNEL, since) is None
    assert web.find("t1", CHANNEL, since, thread=spots[0]) == replies[1]
    assert web.find("k0", CHANNEL, since + timedelta(seconds=1)) is None


def test_what_another_app_marks_is_not_ours(slack: Workspace, web: SlackWeb) -> None:
    web.post(CHANNEL, HELLO, key="k")
    slack.messages[0]["metadata"]["event_type"] = "another"
    assert web.find("k", CHANNEL, slack.clock.at - timedelta(1)) is None


def test_without_the_scope_to_read_nothing_is_found(slack: Workspace, web: SlackWeb) -> None:
    web.post(CHANNEL, HELLO, key="k")
    slack.trouble = each(Fault(error="missing_scope"))
    assert web.find("k", CHANNEL, slack.clock.at - timedelta(1)) is None
    slack.trouble = each(Fault(error="channel_not_found"))
    with pytest.raises(Closed, match="channel_not_found"):
        web.find("k", CHANNEL, slack.clock.at)


def test_a_deleted_message_cannot_be_changed(slack: Workspace, web: SlackWeb) -> None:
    spot = web.post(CHANNEL, HELLO)
    web.update(spot, ChatMessage("bye"))
    assert slack.messages[0]["text"] == "bye"
    slack.messages[0]["deleted"] = True
    with pytest.raises(Gone):
        web.update(spot, HELLO)
    with pytest.raises(Gone):
        web.post(CHANNEL, HELLO, thread=spot)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"team_id": "T1"}, Profile(id="U1", team="T1")),
        (
            {"team_id": "T1", "enterprise_user": {"enterprise_id": "E1"}},
            Profile(id="U1", team="E1"),
        ),
        ({"team_id": "T1", "is_bot": True}, Profile(id="U1", team="T1", bot=True)),
        ({"team_id": "T1", "id": "USLACKBOT"}, Profile(id="USLACKBOT", team="T1", bot=True)),
        ({"team_id": "T1", "is_restricted": True}, Profile(id="U1", team="T1", guest=True)),
        ({"team_id": "T1", "is_ultra_restricted": True}, Profile(id="U1", team="T1", guest=True)),
        ({"team_id": "T2", "is_stranger": True}, Profile(id="U1", team="T2", guest=True)),
        ({"team_id": "T1", "deleted": True}, Profile(id="U1", team="T1", deleted=True)),
    ],
)
def test_an_account_is_as_slack_describes_it_now(
    slack: Workspace, web: SlackWeb, user: dict[str, object], expected: Profile
) -> None:
    slack.users["U1"] = {"id": "U1", **user}
    assert web.profile("U1") == expected
    with pytest.raises(Refused, match="user_not_found"):
        web.profile("U2")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, body=b"oh"),
        Fault(200, body=b"<html>proxy</html>"),
        Fault(200, body=b"[1, 2]"),
        Fault(200, body=b"null"),
        Fault(200, body=b'{"ok": true}'),
        Fault(200, body=b"\xff\xfe"),
        Fault(302, headers={"Location": "http://127.0.0.1:9/"}),
        Fault(late=0.5),
    ],
)
def test_whatever_is_no_answer_is_unreachable_and_shows_no_secret(
    slack: Workspace, fault: Fault
) -> None:
    web = SlackWeb("xoxb-secret", slack.url, timeout=0.3 if fault.late else 10)
    slack.trouble = each(fault)
    with pytest.raises(Unreachable) as caught:
        web.post(CHANNEL, HELLO)
    assert not isinstance(caught.value, Busy)
    assert "secret" not in f"{caught.value} {caught.value.next_step}"
    assert len(slack.calls) == 1  # never repeated here


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="did not answer"):
        SlackWeb("xoxb-secret", "http://127.0.0.1:9/api/").post(CHANNEL, HELLO)


def test_too_much_at_once_says_how_long(slack: Workspace, web: SlackWeb) -> None:
    slack.trouble = each(Fault(429, "ratelimited", {"Retry-After": "12"}))
    with pytest.raises(Busy) as caught:
        web.update(Spot(CHANNEL, "1.0"), HELLO)
    assert caught.value.seconds == 12
    assert len(slack.calls) == 1


def test_forms_inboxes_and_whispers_arrive(slack: Workspace, web: SlackWeb) -> None:
    web.open_form("trigger", {"type": "modal"})
    web.show_home("U1", {"type": "home"})
    web.whisper(CHANNEL, "U1", "psst")
    assert web.direct("U1") == "DU1"
    assert slack.homes == {"U1": {"type": "home"}}
    sent = {method: asked for _, method, asked in slack.calls}
    assert sent["views.open"]["trigger_id"] == "trigger"
    assert (sent["chat.postEphemeral"]["user"], sent["chat.postEphemeral"]["text"]) == (
        "U1",
        "psst",
    )
