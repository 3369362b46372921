"""What is said beside the card: both checks, golden files, and who is mentioned."""

from __future__ import annotations

from typing import Any

import pytest

from airlock.adapters.slack_notifier import notices
from airlock.ports.chat import ChatMessage
from tests.unit.slack.checks import check_said
from tests.unit.slack.conftest import Compare, Views
from tests.unit.slack.limits import texts
from tests.unit.slack.scenes import SCENES


def shown(said: ChatMessage) -> str:
    return "\n".join(texts(list(said.blocks)))


def check(said: ChatMessage, golden: Compare, name: str) -> None:
    check_said(said)
    assert not said.plainer
    kinds = {block["type"] for block in said.blocks}
    assert not kinds & {"table", "actions"}
    golden(name, {"text": said.text, "blocks": list(said.blocks)})


@pytest.mark.parametrize("name", SCENES)
def test_every_move_is_said_in_a_short_reply(name: str, view_of: Views, golden: Compare) -> None:
    said = notices.moved(view_of(name))
    check(said, golden, f"moved-{name}")
    assert len(said.blocks) <= 3


@pytest.mark.parametrize("about", ["remind", "delivery"])
def test_a_waiting_level_is_said_again(about: str, view_of: Views, golden: Compare) -> None:
    view = view_of("second-level")
    check(notices.reminder(view, about), golden, f"reminder-{about}")
    check(notices.escalation(view, about), golden, f"escalation-{about}")


def test_a_level_nobody_could_be_told_of_says_so(view_of: Views) -> None:
    said = notices.reminder(view_of("asked"), "delivery")
    assert "could not be told to anybody in time" in shown(said)
    assert "could not be told to anybody in time" in said.text


@pytest.mark.parametrize("about", ["void", "glass", "handover", "alarm", "something-new"])
def test_a_settled_sentence_is_said_as_it_is(about: str, view_of: Views, golden: Compare) -> None:
    text = "rel-1: the glass was broken by <!channel> & *co*"
    said = notices.spoken(view_of("emergency"), text, ["lena", "luis"], about)
    check(said, golden, f"spoken-{about}")
    plain = [block["text"] for block in said.blocks if block.get("text", {}).get("text") == text]
    assert [one["type"] for one in plain] == ["plain_text"]
    assert "<@U01LENA>, Luis Alonso (luis)" in shown(said)


def test_a_notice_for_nobody_mentions_nobody(view_of: Views) -> None:
    assert "<@" not in shown(notices.spoken(view_of("promoted"), "it drifts", [], "alarm"))


@pytest.mark.parametrize("about", ["remind", "delivery"])
def test_a_reminder_mentions_only_those_who_can_still_answer(about: str, view_of: Views) -> None:
    said = shown(notices.reminder(view_of("second-level"), about))
    assert "<@W02CARLA>" in said
    assert said.count("<@") == 1


def test_time_never_approves_and_every_notice_about_waiting_says_so(view_of: Views) -> None:
    view = view_of("asked")
    for said in (notices.reminder(view, "remind"), notices.escalation(view, "remind")):
        assert "Nothing is released until somebody answers." in shown(said)
        assert "Nothing is released until somebody answers." in said.text


def test_the_next_level_is_asked_by_name_and_mention(view_of: Views) -> None:
    said = notices.moved(view_of("second-level"))
    assert "level 2 of 3 (compliance) is open" in said.text
    assert "bea, <@W02CARLA>" in shown(said)


def test_the_requester_hears_of_the_end(view_of: Views) -> None:
    view: dict[str, Any] = view_of("rejected")
    assert "<@U04ANA>" in shown(notices.moved(view))
    assert "worse for older customers" in shown(notices.moved(view))
