"""What is said beside the card: both checks, golden files, and who is mentioned."""

from __future__ import annotations

from typing import Any

import pytest

from airlock.adapters.slack.views import notices
from airlock.ports.chat import ChatMessage
from tests.unit.slack.checks import check_said
from tests.unit.slack.conftest import Compare, Views
from tests.unit.slack.limits import texts
from tests.unit.slack.scenes import SCENES


def visible_text(message: ChatMessage) -> str:
    return "\n".join(texts(list(message.blocks)))


def check(message: ChatMessage, golden: Compare, name: str) -> None:
    check_said(message)
    assert not message.plainer
    kinds = {block["type"] for block in message.blocks}
    assert not kinds & {"table", "actions"}
    golden(name, {"text": message.text, "blocks": list(message.blocks)})


@pytest.mark.parametrize("name", SCENES)
def test_every_move_is_said_in_a_short_reply(name: str, view_of: Views, golden: Compare) -> None:
    message = notices.moved(view_of(name))
    check(message, golden, f"moved-{name}")
    assert len(message.blocks) <= 3


@pytest.mark.parametrize("about", ["remind", "delivery"])
def test_a_waiting_level_is_said_again(about: str, view_of: Views, golden: Compare) -> None:
    view = view_of("second-level")
    check(notices.reminder(view, about), golden, f"reminder-{about}")
    check(notices.escalation(view, about), golden, f"escalation-{about}")


def test_a_level_nobody_could_be_told_of_says_so(view_of: Views) -> None:
    message = notices.reminder(view_of("asked"), "delivery")
    assert "could not be told to anybody in time" in visible_text(message)
    assert "could not be told to anybody in time" in message.text


@pytest.mark.parametrize("about", ["void", "glass", "handover", "alarm", "something-new"])
def test_a_settled_sentence_is_said_as_it_is(about: str, view_of: Views, golden: Compare) -> None:
    text = "rel-1: the glass was broken by <!channel> & *co*"
    message = notices.spoken(view_of("emergency"), text, ["lena", "luis"], about)
    check(message, golden, f"spoken-{about}")
    plain = [block["text"] for block in message.blocks if block.get("text", {}).get("text") == text]
    assert [part["type"] for part in plain] == ["plain_text"]
    assert "<@U01LENA>, Luis Alonso (luis)" in visible_text(message)


def test_a_notice_for_nobody_mentions_nobody(view_of: Views) -> None:
    assert "<@" not in visible_text(notices.spoken(view_of("promoted"), "it drifts", [], "alarm"))


@pytest.mark.parametrize("about", ["remind", "delivery"])
def test_a_reminder_mentions_only_those_who_can_still_answer(about: str, view_of: Views) -> None:
    text = visible_text(notices.reminder(view_of("second-level"), about))
    assert "<@W02CARLA>" in text
    assert text.count("<@") == 1


def test_time_never_approves_and_every_notice_about_waiting_says_so(view_of: Views) -> None:
    view = view_of("asked")
    for message in (notices.reminder(view, "remind"), notices.escalation(view, "remind")):
        assert "Nothing is released until somebody answers." in visible_text(message)
        assert "Nothing is released until somebody answers." in message.text


def test_the_next_level_is_asked_by_name_and_mention(view_of: Views) -> None:
    message = notices.moved(view_of("second-level"))
    assert "level 2 of 3 (compliance) is open" in message.text
    assert "bea, <@W02CARLA>" in visible_text(message)


def test_the_requester_hears_of_the_end(view_of: Views) -> None:
    view: dict[str, Any] = view_of("rejected")
    assert "<@U04ANA>" in visible_text(notices.moved(view))
    assert "worse for older customers" in visible_text(notices.moved(view))
