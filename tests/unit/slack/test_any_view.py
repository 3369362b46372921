"""Whatever people, models and gates are called and however much there is of it: Slack takes it.

And nothing that somebody else wrote means anything in it: no mention, no link, no layout.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock.adapters.slack_notifier import forms, notices, replies
from airlock.adapters.slack_notifier.card import card
from airlock.adapters.slack_notifier.home import home
from airlock.adapters.slack_notifier.kit import clean, safe
from airlock.ports.chat import Said
from tests.unit.slack.checks import check_reply, check_said, check_view
from tests.unit.slack.conftest import Views
from tests.unit.slack.views import INBOX, SCENES, gate, measured

View = dict[str, Any]

HOSTILE = (
    "<!channel> <!here|x> <@U01LENA> <#C1> <https://evil.example|approved> &lt;!everyone&gt; "
    "*bold* _it_ ~no~ `code` ``` :tada: > quoted\n> *Level 9* <!date^1^{date}|x> @channel "
    "https://evil.example \u202edehsilbup\u202c \x00\x1b[0m"
)
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


def everything(view: View, seats: Any, text: str) -> Iterator[Said | View]:
    """Return everything that can be drawn of a view."""
    people = view["mayAnswer"]
    yield from (card(view), notices.moved(view))
    for about in ("remind", "delivery"):
        yield from (notices.reminder(view, about), notices.escalation(view, about))
    yield from (notices.spoken(view, text, people, about) for about in ("void", text))
    yield from (forms.answer_form(view, decision, seats) for decision in ("approve", "reject"))
    yield from (forms.confirmed(text), forms.refused(text))
    item = {**INBOX["waiting"][0], **{key: view[key] for key in ("model", "version", "tier", "id")}}
    decided = {**INBOX["decided"][0], "model": view["model"], "decision": text}
    lent = {**INBOX["delegations"][0], "giver": text, "taker": text, "reason": text}
    yield home({"waiting": [item], "decided": [decided], "delegations": [lent], "page": text})
    yield from (replies.pending([item]), replies.shown(view), replies.plain(text), replies.usage())


def check(drawn: Said | Mapping[str, Any]) -> None:
    if isinstance(drawn, Said):
        check_said(drawn)
    elif "response_type" in drawn:
        check_reply(drawn)
    else:
        check_view(drawn)


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
    said = card(view)
    (table,) = [block for block in said.blocks if block["type"] == "table"]
    rows = [row[0]["elements"][0]["elements"][0]["text"] for row in table["rows"]]
    assert len(rows) == 20
    assert rows[1] == "bad"
    assert rows[-3:] == ["rmse", "roc_auc", "and 985 more, on the page"]
    assert "1000 of 1001 gates passed, 1 failed" in said.text


def mrkdwn(drawn: Said | Mapping[str, Any]) -> Iterator[str]:
    """Return every text that Slack parses."""

    def inside(part: Any) -> Iterator[str]:
        if isinstance(part, Mapping):
            if part.get("type") == "mrkdwn":
                assert part["verbatim"] is True
                yield part["text"]
            for value in part.values():
                yield from inside(value)
        elif isinstance(part, list | tuple):
            for one in part:
                yield from inside(one)

    if isinstance(drawn, Said):
        yield drawn.text
        yield from inside(drawn.blocks)
        yield from inside(drawn.plainer)
    else:
        yield from [drawn["text"]] if "response_type" in drawn else []
        yield from inside(drawn["blocks"])


def meaning(drawn: Said | Mapping[str, Any]) -> Counter[str]:
    """Count what Slack would make of a message: mentions, links, dates, formats, lines, emoji."""
    found: Counter[str] = Counter()
    for text in mrkdwn(drawn):
        commands = re.findall(r"<[^<>]*>", text)
        found.update(re.sub(r"\|.*|\^.*", "", one) for one in commands)
        bare = re.sub(r"<[^<>]*>", "", text)
        assert not re.search("[<>]", bare)
        found.update(re.findall(r"(?<![0-9A-Za-z])[*_~]|[*_~](?![0-9A-Za-z])|`|\n", bare))
        found.update(":emoji:" for _ in re.findall(r":(?!\d\d:)[\w+'-]+:", bare))
        found.update(
            "turned" for _ in re.findall("[\u202a-\u202e\u2066-\u2069\x00-\x09\x1b]", bare)
        )
    return found


#: Where somebody's words come into a view; what stands at the end of a path is replaced.
PLACES = {
    "the model": ("model",),
    "the version": ("version",),
    "the environment": ("environment",),
    "the tier": ("tier",),
    "why": ("why",),
    "the requester": ("requester",),
    "the rejection": ("afterRejection",),
    "a level": ("levels", 0, "name"),
    "what is needed": ("levels", 0, "missing", 0, "needs"),
    "a gate": ("gates", 0, "key"),
    "what a gate said": ("gates", 0, "message"),
    "a gate's unit": ("gates", 0, "unit"),
    "a gate's weight": ("gates", 0, "enforcement"),
    "a metric": ("metrics", 0, "metric"),
    "somebody who may answer": ("mayAnswer", 0),
    "a name": ("names", "lena"),
    "an account": ("accounts", "lena"),
    "the id": ("id",),
    "the digest": ("subject", "digest"),
    "the deadline": ("deadline",),
    "the champion": ("championVersion",),
    "what is served": ("line", "version"),
    "a voter": ("levels", 0, "votes", 0, "person"),
    "a reason": ("levels", 0, "votes", 0, "reason"),
    "for whom": ("levels", 0, "votes", 0, "behind"),
    "a channel": ("levels", 0, "votes", 0, "channel"),
    "a segment": ("levels", 0, "votes", 0, "conditions", "segments", 0),
    "a finding": ("levels", 0, "votes", 0, "conditions", "findings", 0, "text"),
    "a waiver": ("waivers", 0, "why"),
    "who waived": ("waivers", 0, "by"),
    "why a waiver is void": ("waivers", 0, "void"),
    "an option": ("changedSinceFailure", 0, "then"),
    "the incident": ("emergency", "incident"),
    "who broke the glass": ("emergency", "people", 0),
}


def put(view: View, path: tuple[Any, ...], value: str) -> View:
    """Return a view with something else at the end of a path."""
    at: Any = view
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return view


def full(view_of: Views) -> View:
    """Return a view that has something at every place."""
    view = view_of("second-level")
    view["level"] = 1
    view["levels"][0] = {**view["levels"][0], "missing": [{"needs": "one"}]}
    view["levels"][0]["votes"][0]["behind"] = "luis"
    view["waivers"] = [
        {**view_of("waived")["waivers"][0], "void": "it was about other bytes"},
    ]
    view["changedSinceFailure"] = view_of("lowered")["changedSinceFailure"]
    glass = {"incident": "INC-1", "people": ["lena"], "until": None, "missing": 1}
    return {**view, "emergency": glass, "afterRejection": "rel-9", "why": "because"}


def check_the_same(calm: View, hostile: View) -> None:
    """Draw everything twice: Slack makes the same of both."""
    seats = [{"capacity": "stand-in", "behind": "luis"}]
    pairs = zip(everything(calm, seats, "said"), everything(hostile, seats, HOSTILE), strict=True)
    for one, other in pairs:
        check(other)
        assert meaning(one) == meaning(other)


@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES)
def test_what_others_wrote_means_nothing(path: tuple[Any, ...], view_of: Views) -> None:
    calm, hostile = (put(full(view_of), path, value) for value in ("harmless", HOSTILE))
    check_the_same(calm, hostile)


@pytest.mark.parametrize("state", STATES[1:])
def test_nor_does_it_all_together_in_any_other_state(state: str, view_of: Views) -> None:
    calm, hostile = full(view_of), full(view_of)
    for path in PLACES.values():
        put(calm, path, "harmless")
        put(hostile, path, HOSTILE)
    check_the_same({**calm, "state": state}, {**hostile, "state": state})


def test_an_address_that_is_none_makes_no_link_and_no_button(view_of: Views) -> None:
    for page in ("", "javascript:alert(1)", "https://a b", "https://x|y>", "ftp://x", "https://"):
        view = {**view_of("asked"), "page": page}
        said = card(view)
        check_said(said)
        shown = [one for block in said.blocks for one in block.get("elements", [])]
        assert not [one for one in shown if "url" in one]
        assert not [text for text in mrkdwn(said) if "javascript" in text or "<http" in text]


@pytest.mark.parametrize(
    ("text", "shown"),
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
def test_ordinary_text_stays_readable(text: str, shown: str) -> None:
    assert safe(text) == shown


@settings(max_examples=100, deadline=None)
@given(text=FILLED, limit=st.integers(2, 100))
def test_safe_text_keeps_its_limit_and_cuts_no_escape(text: str, limit: int) -> None:
    shown = safe(text, limit)
    assert 1 <= len(shown) <= limit
    assert not re.search(r"&(?!amp;|lt;|gt;)", shown)


def test_half_a_character_and_control_characters_are_shown_as_what_they_are() -> None:
    assert clean("a\ud800b\x00c\u202ed\r\ne") == "a�b�c�d\ne"
