"""What Slack sends is read strictly: a form that was made up, or is odd, reads as nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.errors import Invalid, Refused
from airlock.entrypoints.http.slack_endpoint import read
from airlock.entrypoints.slack.payloads import ReviewedVersion, field, pressed, sender, text, words

REVIEWED = {"release": "rel-1", "round": 1, "level": 2, "digest": f"sha256:{'a' * 64}"}
JSON = "application/json"


def test_what_was_seen_is_read_with_the_decision_of_the_button() -> None:
    version = ReviewedVersion.of(json.dumps(REVIEWED), "reject")
    assert (version.release, version.round, version.level, version.decision) == (
        "rel-1",
        1,
        2,
        "reject",
    )
    assert ReviewedVersion.of(json.dumps({**REVIEWED, "decision": "approve"})).decision == "approve"


def test_a_button_cannot_say_another_decision_than_its_own() -> None:
    assert (
        ReviewedVersion.of(json.dumps({**REVIEWED, "decision": "approve"}), "reject").decision
        == "reject"
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "[]",
        "{}",
        "{" * 100_000,
        json.dumps(REVIEWED),  # no decision
        *(
            json.dumps({**REVIEWED, "decision": "approve", **wrong})
            for wrong in (
                {"decision": "maybe"},
                {"person": "lena"},
                {"round": True},
                {"round": "1"},
                {"level": -1},
                {"level": 1.0},
                {"digest": "sha256:abc"},
                {"digest": f"sha256:{'a' * 64}\n"},
                {"release": "../rel-1"},
                {"release": "<!channel>"},
                {"release": None},
            )
        ),
    ],
)
def test_anything_else_is_not_ours(value: str) -> None:
    with pytest.raises(Refused):
        ReviewedVersion.of(value)


def test_the_organisation_counts_where_there_is_one() -> None:
    click = {"team": {"id": "T1"}, "enterprise": {"id": "E1"}, "user": {"id": "U1"}}
    assert sender(click).team == "E1"
    assert sender({**click, "enterprise": None}).team == "T1"
    assert sender({"team": {"id": "T1", "enterprise_id": "E1"}}).team == "E1"
    assert sender({"command": "/airlock", "team_id": "T1", "enterprise_id": "E1"}).team == "E1"
    event = {"type": "event_callback", "team_id": "T1", "event": {"user": "U1"}}
    assert (sender(event).team, sender(event).account) == ("T1", "U1")


def test_a_name_is_nobody() -> None:
    assert sender({"user": {"name": "lena", "username": "lena"}}).account == ""


def test_one_button_at_a_time() -> None:
    action = {"action_id": "airlock.approve", "value": "v"}
    assert pressed({"actions": [action]}) == ("airlock.approve", "v")
    for odd in ([], [action, action], None, "x", [1], {}):
        assert pressed({"actions": odd}) == ("", "")


def filled(name: str, element: Any) -> dict[str, Any]:
    return {"view": {"state": {"values": {name: {name: element}}}}}


def test_every_kind_of_field() -> None:
    assert words(filled("reason", {"value": " good "}), "reason") == "good"
    assert words(filled("seat", {"selected_option": {"value": "-"}}), "seat") == "-"
    assert field(filled("taker", {"selected_user": "U1"}), "taker") == "U1"
    assert field(filled("start", {"selected_date_time": 7}), "start") == 7
    assert field(filled("sure", {"selected_options": []}), "sure") == []
    assert field(filled("reason", {"value": None}), "reason") is None
    assert words(filled("reason", {"value": 5}), "reason") == ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["view", "state", "values", "reason", "user", "id", "team", "actions"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_shape_breaks_the_reading(odd: Any) -> None:
    payload = odd if isinstance(odd, dict) else {"view": odd, "user": odd, "actions": odd}
    sender(payload)
    pressed(payload)
    field(payload, "reason")
    text(payload, "view", "id")


def test_a_request_is_json_or_a_form_around_json_or_a_form() -> None:
    assert read(b'{"type":"x"}', f"{JSON}; charset=utf-8") == {"type": "x"}
    assert read(b"payload=%7B%22type%22%3A%22x%22%7D", "") == {"type": "x"}
    assert read(b"command=%2Fairlock&text=a+b&empty=", "") == {
        "command": "/airlock",
        "text": "a b",
        "empty": "",
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", JSON),
        (b"[]", JSON),
        (b"\xff", JSON),
        (b"[" * 100_000, JSON),
        (b"payload=", ""),
        (b"payload=[]", ""),
        (b"a=1&" * 200, ""),
    ],
)
def test_anything_else_cannot_be_read(body: bytes, kind: str) -> None:
    with pytest.raises(Invalid):
        read(body, kind)


def test_a_field_given_twice_is_not_given() -> None:
    assert read(b"command=a&command=b&text=c", "") == {"text": "c"}
