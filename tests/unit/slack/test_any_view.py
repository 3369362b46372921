"""Whatever people, models and gates are called and however much there is of it: Slack takes it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock.adapters.slack.views.blocks import clean, safe
from airlock.adapters.slack.views.card import card
from tests.unit.slack.conftest import Views
from tests.unit.slack.drawing import check, everything
from tests.unit.slack.scenes import SCENES
from tests.unit.slack.views import View, gate, measured

SPECIAL = st.sampled_from(
    ["<!channel>", "&", "*", "_", "`", "```", "~", "\n", ":x:", "\u202e", "🚀"]
)
TEXT = st.one_of(st.text(max_size=20), st.lists(SPECIAL, max_size=40).map("".join))
FILLED = st.one_of(TEXT, st.sampled_from(["x" * 600, "&" * 600, "<>" * 1000, "🚀" * 600, " "]))
NUMBER = st.one_of(st.none(), st.integers(), st.floats())
STAMP = st.one_of(st.none(), st.just("2026-11-27T12:00:00.000000000Z"), TEXT)
VERDICT = st.sampled_from(["PASSED", "FAILED", "ERRORED", "WAIVED"])
GATES = st.lists(
    st.builds(gate, FILLED, VERDICT, NUMBER, NUMBER, unit=TEXT, enforcement=TEXT), max_size=24
)
METRICS = st.lists(
    st.fixed_dictionaries(
        {
            "metric": FILLED,
            "direction": st.sampled_from(["higher", "lower", None]),
            "candidate": NUMBER,
            "champion": NUMBER,
        }
    ),
    max_size=30,
)
WAIVER = {"gate": FILLED, "by": FILLED, "why": FILLED, "at": STAMP, "until": STAMP, "void": FILLED}
CHANGE = {"gate": FILLED, "release": FILLED, "verdict": VERDICT, "option": FILLED}
OPTION = st.one_of(st.none(), FILLED, NUMBER, st.lists(FILLED, max_size=3))
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "max_traffic_share": st.floats(0.001, 1),
        "segments": st.lists(FILLED, min_size=1, max_size=3),
        "expires_at": st.just("2026-11-27T12:00:00.000000000Z"),
        "findings": st.lists(
            st.fixed_dictionaries({"owner": FILLED, "due": TEXT, "text": FILLED}), max_size=3
        ),
    },
)
VOTE = st.fixed_dictionaries(
    {
        "person": FILLED,
        "capacity": st.just("delegate"),
        "behind": FILLED,
        "conditions": CONDITIONS,
        "name": FILLED,
        "decision": st.sampled_from(["approve", "reject"]),
        "reason": FILLED,
        "channel": TEXT,
        "at": STAMP,
    }
)
LEVEL = st.fixed_dictionaries(
    {
        "number": st.integers(1, 3),
        "name": FILLED,
        "needs": FILLED,
        "state": st.sampled_from(["open", "complete", "waiting", "rejected", "skipped"]),
        "votes": st.lists(VOTE, max_size=4),
        "missing": st.lists(st.fixed_dictionaries({"needs": FILLED}), max_size=4),
    }
)
SEATS = st.lists(
    st.fixed_dictionaries({"capacity": st.just("stand-in"), "behind": FILLED}), max_size=101
)
STATES = [
    "AWAITING_APPROVAL",
    "APPROVED",
    "BLOCKED",
    "EXPIRED",
    "PROMOTED",
    "REJECTED",
    "SOMETHING_NEW",
]
CHANGED = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(STATES),
        "model": FILLED,
        "version": FILLED,
        "environment": FILLED,
        "tier": st.one_of(st.sampled_from(["high", "medium", "low"]), TEXT),
        "why": FILLED,
        "requester": FILLED,
        "afterRejection": st.one_of(st.none(), FILLED),
        "round": st.integers(1, 99),
        "level": st.integers(0, 3),
        "levels": st.lists(LEVEL, max_size=3),
        "mayAnswer": st.lists(FILLED, max_size=12),
        "gates": GATES,
        "metrics": METRICS,
        "waivers": st.lists(st.fixed_dictionaries(WAIVER), max_size=8),
        "changedSinceFailure": st.lists(
            st.fixed_dictionaries({**CHANGE, "then": OPTION, "now": OPTION}), max_size=12
        ),
        "deadline": STAMP,
        "slackMayAnswer": st.booleans(),
        "accounts": st.dictionaries(FILLED, FILLED, max_size=3),
        "names": st.dictionaries(FILLED, FILLED, max_size=3),
        "page": FILLED,
    },
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changed=CHANGED, seats=SEATS, text=FILLED, scene=st.sampled_from(sorted(SCENES)))
def test_slack_takes_whatever_is_drawn(
    changed: View, seats: Any, text: str, scene: str, view_of: Views
) -> None:
    for drawn in everything({**view_of(scene), **changed}, seats, text):
        check(drawn)


def crowded(view: View) -> View:
    """Return a view with too much of everything, the longest of each kind."""
    long = "&" * 2000
    vote = {
        "person": long,
        "capacity": "delegate",
        "behind": long,
        "name": long,
        "decision": "approve",
        "reason": long,
        "channel": "slack",
        "at": "2026-11-27T12:00:00.000000000Z",
        "conditions": {
            "max_traffic_share": 0.1,
            "segments": [long],
            "expires_at": "2026-11-27T12:00:00.000000000Z",
            "findings": [{"owner": long, "due": long, "text": long}] * 9,
        },
    }
    level = {"number": 1, "name": long, "needs": long, "state": "open", "votes": [vote] * 50}
    waiver = {"gate": long, "by": long, "why": long, "at": "", "until": "", "void": long}
    change = {"gate": long, "release": long, "option": long, "then": [long], "now": long}
    metric = {"metric": long, "direction": "higher", "candidate": 1.0, "champion": 2.0}
    crowd = [f"{long}{n}" for n in range(50)]
    return {
        **view,
        "model": long,
        "version": long,
        "environment": long,
        "tier": long,
        "why": long,
        "requester": long,
        "afterRejection": long,
        "round": 2,
        "levels": [{**level, "missing": [{"needs": long}] * 9}] * 3,
        "mayAnswer": crowd,
        "names": dict.fromkeys(crowd, long),
        "gates": [gate(f"{long}{n}", "FAILED", 1.5, 2.5, unit=long) for n in range(1000)],
        "metrics": [{**metric, "metric": f"{n}{long}"} for n in range(100)],
        "waivers": [waiver] * 50,
        "changedSinceFailure": [change] * 50,
        "emergency": {
            "incident": long,
            "people": crowd,
            "until": "2026-11-27T12:00:00.000000000Z",
            "missing": 1,
            "brokenAt": long,
            "review": {"by": None, "overdue": True, "due": long, "at": None},
        },
    }


@pytest.mark.parametrize("state", STATES)
def test_slack_takes_the_most_of_everything(state: str, view_of: Views) -> None:
    view = {**crowded(view_of("asked")), "state": state}
    seats = [{"capacity": "stand-in", "behind": "&" * 600}] * 200
    for drawn in everything(view, seats, "&" * 9000):
        check(drawn)


def test_what_did_not_pass_is_never_clipped_away(view_of: Views) -> None:
    gates = [gate(f"good-{n}", "PASSED", 1.0, 1.0) for n in range(1000)]
    view = {**measured(view_of("asked")), "gates": [*gates, gate("bad", "FAILED")]}
    message = card(view)
    (table,) = [block for block in message.blocks if block["type"] == "table"]
    rows = [row[0]["elements"][0]["elements"][0]["text"] for row in table["rows"]]
    assert len(rows) == 20
    assert rows[1] == "bad"
    assert rows[-3:] == ["rmse", "roc_auc", "and 985 more, on the page"]
    assert "1000 of 1001 gates passed, 1 failed" in message.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("credit_default v2", "credit_default v2"),
        ("a*b_c~d", "a*b_c~d"),
        ("AT&T <x>", "AT&amp;T &lt;x&gt;"),
        ("12:30:45 UTC", "12:30:45 UTC"),
        ("two\nlines\t and  more", "two lines and more"),
        ("", "\N{EN DASH}"),
        ("  ", "\N{EN DASH}"),
        ("x" * 99, "x" * 79 + "…"),
    ],
)
def test_ordinary_text_stays_readable(text: str, expected: str) -> None:
    assert safe(text) == expected


@settings(max_examples=100, deadline=None)
@given(text=FILLED, limit=st.integers(2, 100))
def test_safe_text_keeps_its_limit_and_cuts_no_escape(text: str, limit: int) -> None:
    result = safe(text, limit)
    assert 1 <= len(result) <= limit
    assert not re.search(r"&(?!amp;|lt;|gt;)", result)


def test_half_a_character_and_control_characters_are_shown_as_what_they_are() -> None:
    assert clean("a\ud800b\x00c\u202ed\r\ne") == "a�b�c�d\ne"
