"""The card in every state: both checks, its golden file, and what has to be on it."""

from __future__ import annotations

from typing import Any

import pytest

from airlock.adapters.slack_notifier.card import card
from airlock.domain.states import State
from tests.unit.slack.checks import check_said
from tests.unit.slack.conftest import Compare, Views
from tests.unit.slack.limits import texts
from tests.unit.slack.views import SCENES


def kinds(blocks: Any) -> list[str]:
    return [block["type"] for block in blocks]


def buttons(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = [block for block in card(view).blocks if block["type"] == "actions"]
    return {one["action_id"]: one for row in rows for one in row["elements"]}


def all_text(view: dict[str, Any]) -> str:
    return "\n".join(texts(list(card(view).blocks)))


def test_there_is_a_scene_for_every_state(view_of: Views) -> None:
    assert {view_of(name)["state"] for name in SCENES} == {state.value for state in State}


@pytest.mark.parametrize("name", SCENES)
def test_a_card_is_taken_by_slack_and_looks_as_agreed(
    name: str, view_of: Views, golden: Compare
) -> None:
    said = card(view_of(name))
    check_said(said)
    golden(f"card-{name}", {"text": said.text, "blocks": list(said.blocks)})


@pytest.mark.parametrize("name", SCENES)
def test_only_a_card_that_asks_has_a_table_and_buttons(name: str, view_of: Views) -> None:
    view = view_of(name)
    said = card(view)
    asks = view["state"] == "AWAITING_APPROVAL"
    assert ("table" in kinds(said.blocks), "actions" in kinds(said.blocks)) == (asks, asks)
    assert bool(said.plainer) is asks
    assert "table" not in kinds(said.plainer)
