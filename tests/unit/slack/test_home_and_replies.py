"""The inbox and the answers to commands: both checks, golden files, and their caps."""

from __future__ import annotations

from typing import Any

import pytest

from airlock.adapters.slack.views import replies
from airlock.adapters.slack.views.home import home
from tests.unit.slack.checks import check_reply, check_view
from tests.unit.slack.conftest import Compare, Views
from tests.unit.slack.limits import texts
from tests.unit.slack.scenes import SCENES
from tests.unit.slack.views import INBOX

EMPTY: dict[str, Any] = {"waiting": [], "decided": [], "delegations": [], "page": ""}


def test_the_inbox(golden: Compare) -> None:
    view = home(INBOX)
    check_view(view)
    assert view["type"] == "home"
    golden("home", view)


def test_an_empty_inbox_says_so(golden: Compare) -> None:
    view = home(EMPTY)
    check_view(view)
    assert "Nothing waits for you." in list(texts(view["blocks"]))
    golden("home-empty", view)


def test_a_full_inbox_shows_twenty_of_each_and_counts_the_rest() -> None:
    kinds = ("waiting", "decided", "delegations")
    view = home({**INBOX, **{kind: INBOX[kind][:1] * 50 for kind in kinds}})
    check_view(view)
    text = "\n".join(texts(view["blocks"]))
    assert text.count("credit version 7") == 20
    assert text.count("and 30 more, on the page") == 3
    assert "Waits for you (50)" in text


def test_what_waits(golden: Compare) -> None:
    reply = replies.pending(INBOX["waiting"])
    check_reply(reply)
    golden("reply-pending", reply)


def test_nothing_waits() -> None:
    reply = replies.pending([])
    check_reply(reply)
    assert reply["text"] == "Nothing waits for you."


def test_fifty_things_that_wait_are_counted() -> None:
    reply = replies.pending(INBOX["waiting"][:1] * 50)
    check_reply(reply)
    assert "and 30 more, on the page" in list(texts(reply["blocks"]))


@pytest.mark.parametrize("name", SCENES)
def test_a_release_is_shown_without_anything_to_press_but_a_link(
    name: str, view_of: Views, golden: Compare
) -> None:
    reply = replies.release_status(view_of(name))
    check_reply(reply)
    rows = [block["elements"] for block in reply["blocks"] if block["type"] == "actions"]
    assert [[button["action_id"] for button in row] for row in rows] == [["airlock.evidence"]]
    if name in ("asked", "waived", "rejected"):
        golden(f"reply-shown-{name}", reply)


def test_usage_names_every_command(golden: Compare) -> None:
    reply = replies.usage()
    check_reply(reply)
    golden("reply-usage", reply)
    for command in ("pending", "show ID", "link CODE", "delegate"):
        assert f"/airlock {command}" in reply["text"]


@pytest.mark.parametrize("text", ["", "no <!channel> *here*", "x" * 9000])
def test_a_sentence_is_said_as_it_is(text: str) -> None:
    reply = replies.plain(text)
    check_reply(reply)
    assert reply["blocks"][0]["text"]["type"] == "plain_text"
    assert "<!channel>" not in reply["text"]
