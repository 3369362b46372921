"""Forms: what they repeat, ask for and carry; both checks and golden files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airlock.adapters.slack.views import forms
from airlock.domain.approval.voting import REASON_MAX, REASON_MIN
from tests.unit.slack.checks import check_view
from tests.unit.slack.conftest import Compare, Views
from tests.unit.slack.limits import texts

OWN = {"capacity": "own", "behind": ""}


def inputs(form: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        block["block_id"]: block["element"] for block in form["blocks"] if block["type"] == "input"
    }


@pytest.mark.parametrize("scene", ["asked", "waived", "lowered", "second-round"])
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_form_is_taken_by_slack_and_looks_as_agreed(
    scene: str, decision: str, view_of: Views, golden: Compare
) -> None:
    view = view_of(scene)
    form = forms.answer_form(view, decision, view["yourSeats"])
    check_view(form)
    golden(f"form-{decision}-{scene}", form)


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_it_carries_what_was_looked_at_and_nobody_who_looked(decision: str, view_of: Views) -> None:
    view = view_of("asked")
    form = forms.answer_form(view, decision, [OWN])
    assert form["callback_id"] == "airlock.answer"
    assert json.loads(form["private_metadata"]) == {
        "release": view["id"],
        "round": 1,
        "level": 1,
        "digest": view["subject"]["digest"],
        "decision": decision,
    }


def test_it_repeats_the_subject_with_its_whole_digest(view_of: Views) -> None:
    view = view_of("asked")
    lines = list(texts(forms.answer_form(view, "approve", [OWN])["blocks"]))
    digest = view["subject"]["digest"]
    for word in ("credit", "1", "production", "1 of 3 (lead)", "high", digest, digest[7:19]):
        assert word in lines


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_both_answers_need_a_reason_that_the_rules_take(decision: str, view_of: Views) -> None:
    reason = inputs(forms.answer_form(view_of("asked"), decision, [OWN]))["reason"]
    field = (reason["type"], reason["action_id"], reason["min_length"], reason["max_length"])
    assert field == ("plain_text_input", "reason", 10, 2000)
    assert REASON_MIN <= forms.REASON_MIN < forms.REASON_MAX <= REASON_MAX


@pytest.mark.parametrize(("tier", "expected"), [("high", True), ("medium", False), ("low", False)])
def test_high_risk_asks_for_a_confirmation(tier: str, expected: bool, view_of: Views) -> None:
    form = forms.answer_form({**view_of("asked"), "tier": tier}, "approve", [OWN])
    sure = [block for block in form["blocks"] if block.get("block_id") == "sure"]
    assert bool(sure) is expected
    assert [block for block in sure if block.get("optional")] == []


@pytest.mark.parametrize("seats", [[], [OWN]])
def test_an_own_role_alone_is_not_asked_about(seats: Any, view_of: Views) -> None:
    assert "seat" not in inputs(forms.answer_form(view_of("asked"), "approve", seats))


def test_whoever_fills_several_seats_chooses_one(view_of: Views, golden: Compare) -> None:
    view = view_of("two-seats")
    form = forms.answer_form(view, "approve", view["yourSeats"])
    check_view(form)
    golden("form-seats", form)
    options = inputs(form)["seat"]["options"]
    assert [option["value"] for option in options] == ["-", "mara"]
    assert [option["text"]["text"] for option in options] == ["in your own role", "for mara"]


@pytest.mark.parametrize(
    ("seat", "ending"),
    [
        ({"capacity": "delegate", "behind": "luis"}, "for luis"),
        ({"capacity": "stand-in", "behind": "luis"}, "in the place of luis"),
        ({"capacity": "stand-in", "behind": "role/algorithm_lead"}, "of the algorithm lead"),
    ],
)
def test_a_seat_that_is_not_an_own_role_is_always_shown(
    seat: dict[str, str], ending: str, view_of: Views
) -> None:
    select = inputs(forms.answer_form(view_of("asked"), "approve", [seat]))["seat"]
    assert select["options"] == [select["initial_option"]]
    assert select["initial_option"]["value"] == seat["behind"]
    assert select["initial_option"]["text"]["text"].endswith(ending)


def test_the_form_of_a_delegation(golden: Compare) -> None:
    form = forms.delegate_form()
    check_view(form)
    golden("form-delegate", form)
    assert form["callback_id"] == "airlock.delegate"
    fields = {
        block: (element["type"], element["action_id"]) for block, element in inputs(form).items()
    }
    assert fields == {
        "taker": ("users_select", "taker"),
        "start": ("datetimepicker", "start"),
        "end": ("datetimepicker", "end"),
        "reason": ("plain_text_input", "reason"),
    }


@pytest.mark.parametrize("build", [forms.confirmed, forms.refused])
@pytest.mark.parametrize("text", ["", "you *may* not: <!channel>", "x" * 9000])
def test_what_replaces_a_form_says_it_as_it_is(build: Any, text: str) -> None:
    form = build(text)
    check_view(form)
    assert "submit" not in form
    assert form["blocks"][0]["text"]["type"] == "plain_text"
    assert text[:2900] in form["blocks"][0]["text"]["text"]


def test_what_replaces_a_form_looks_as_agreed(golden: Compare) -> None:
    golden("form-confirmed", forms.confirmed("You approved credit version 1 at level 1."))
    golden("form-refused", forms.refused("Level 1 needs 1 x algorithm_lead; you hold viewer."))


def test_an_unknown_decision_makes_no_form(view_of: Views) -> None:
    with pytest.raises(ValueError, match="maybe"):
        forms.answer_form(view_of("asked"), "maybe", [OWN])
