"""The card in every state: both checks, its golden file, and what has to be on it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from airlock.adapters.slack.views.card import card
from airlock.domain.approval.states import State
from tests.unit.slack.checks import check_said
from tests.unit.slack.conftest import Compare, Views
from tests.unit.slack.limits import texts
from tests.unit.slack.scenes import SCENES
from tests.unit.slack.views import ACCOUNTS


def kinds(blocks: Any) -> list[str]:
    return [block["type"] for block in blocks]


def buttons(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = [block for block in card(view).blocks if block["type"] == "actions"]
    return {button["action_id"]: button for row in rows for button in row["elements"]}


def all_text(view: dict[str, Any]) -> str:
    return "\n".join(texts(list(card(view).blocks)))


def test_there_is_a_scene_for_every_state(view_of: Views) -> None:
    assert {view_of(name)["state"] for name in SCENES} == {state.value for state in State}


@pytest.mark.parametrize("name", SCENES)
def test_a_card_is_taken_by_slack_and_looks_as_agreed(
    name: str, view_of: Views, golden: Compare
) -> None:
    message = card(view_of(name))
    check_said(message)
    golden(f"card-{name}", {"text": message.text, "blocks": list(message.blocks)})


@pytest.mark.parametrize("name", SCENES)
def test_only_a_card_that_asks_has_a_table_and_buttons(name: str, view_of: Views) -> None:
    view = view_of(name)
    message = card(view)
    asks = view["state"] == "AWAITING_APPROVAL"
    assert ("table" in kinds(message.blocks), "actions" in kinds(message.blocks)) == (asks, asks)
    assert bool(message.plainer) is asks
    assert "table" not in kinds(message.plainer)


def test_the_buttons_carry_what_was_looked_at(view_of: Views) -> None:
    view = view_of("second-level")
    actions = buttons(view)
    assert list(actions) == ["airlock.approve", "airlock.reject", "airlock.evidence"]
    version = {"release": view["id"], "round": 1, "level": 2, "digest": view["subject"]["digest"]}
    assert json.loads(actions["airlock.approve"]["value"]) == version
    assert json.loads(actions["airlock.reject"]["value"]) == version
    assert actions["airlock.approve"]["text"]["text"] == "Approve…"
    assert actions["airlock.evidence"]["url"] == view["page"]


def test_where_slack_takes_no_answer_the_button_opens_the_page(view_of: Views) -> None:
    view = view_of("page-alone")
    actions = buttons(view)
    assert list(actions) == ["airlock.review", "airlock.evidence"]
    digest = view["subject"]["digest"]
    assert actions["airlock.review"]["url"] == f"{view['page']}/review?digest={digest}"
    assert "value" not in actions["airlock.review"]


def test_whoever_may_answer_is_mentioned_if_linked_and_nobody_else_is(view_of: Views) -> None:
    for name in SCENES:
        view = view_of(name)
        approvers = [person for person in view["mayAnswer"] if person in ACCOUNTS]
        assert re.findall(r"<@(\w+)>", all_text(view)) == [ACCOUNTS[person] for person in approvers]
    assert "<@U01LENA>, Luis Alonso (luis)" in all_text(view_of("asked"))


def test_the_text_states_the_whole_request(view_of: Views) -> None:
    text = card(view_of("second-level")).text
    for part in (
        "credit version 1 into production",
        "high risk",
        "Level 2 of 3 (compliance)",
        "1 x compliance_officer",
        "bea, carla",
        "27 Nov 2026, 12:00 UTC",
        "3 of 5 gates passed",
        "Asked for by ana",
        "000000000005",
        "rel-0000000001",
    ):
        assert part in text
    assert "<" not in text


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("waived", "small segment, retrained next week"),
        ("lowered", "threshold: 0.7 then, 0.55 now (did not pass in rel-0000000002)"),
        ("again", "*Rejected before*: the same bytes, as rel-0000000002."),
        ("second-round", "*Round 2*: what is to be released has changed"),
        ("second-round", "the artifact's files were replaced"),
        ("emergency-begun", "lena broke the glass, 1 more must agree before"),
        ("second-level", "at most 10 % of the traffic; only for new customers; good until"),
        ("second-level", "ana mends by 24 Dec 2026, 00:00:00 UTC: explain the drop in the north"),
        ("for-another", "*approved* by vera for luis"),
        ("emergency", "The review by somebody who was not involved is due before"),
        ("emergency-reviewed", "Reviewed by sam"),
        ("rejected", "worse for older customers"),
        ("blocked", "needs at least 0.7"),
        ("promoted", "Serving in production now: version 2."),
        ("rolled-back", "Serving in production now: version 1."),
    ],
)
def test_whoever_looks_at_the_card_is_told(scene: str, words: str, view_of: Views) -> None:
    assert words in all_text(view_of(scene))


def test_the_trail_stays_in_every_later_state(view_of: Views) -> None:
    for name in ("approved", "promoted", "rolled-back"):
        assert all_text(view_of(name)).count("looked at the numbers") == 4


def test_a_level_that_was_voided_is_gone_from_the_trail(view_of: Views) -> None:
    assert "looked at the numbers" not in all_text(view_of("second-round"))


def test_without_the_table_the_same_numbers_are_there(view_of: Views) -> None:
    message = card(view_of("asked"))
    (table,) = [block for block in message.blocks if block["type"] == "table"]
    cells = [text for row in table["rows"] for cell in row for text in texts(cell)]
    plainer = "\n".join(texts(list(message.plainer)))
    assert [cell for cell in cells if cell[:17] not in plainer] == []
    assert "```" in plainer


def test_every_block_has_a_new_id_when_anything_changes(view_of: Views) -> None:
    view = view_of("asked")
    before, same = (card(view).blocks for _ in range(2))
    after = card({**view, "deadline": None}).blocks
    ids = [{block["block_id"] for block in blocks} for blocks in (before, same, after)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]


def test_an_ordinary_approval_after_a_voided_emergency_is_no_emergency(view_of: Views) -> None:
    view = view_of("approved")
    glass = {**view_of("emergency")["emergency"], "until": None}
    blocks = card({**view, "emergency": glass}).blocks
    assert blocks[0]["text"]["text"].startswith("\N{WHITE HEAVY CHECK MARK} Approved: ")
