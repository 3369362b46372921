"""Nothing that somebody else wrote means anything in Slack: no mention, no link, no layout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from airlock.adapters.slack.views.card import card
from airlock.domain.approval.states import State
from airlock.ports.chat import ChatMessage
from tests.unit.slack.checks import check_said
from tests.unit.slack.conftest import Views
from tests.unit.slack.drawing import check, everything
from tests.unit.slack.views import View

HOSTILE = (
    "<!channel> <!here|x> <@U01LENA> <#C1> <https://evil.example|approved> &lt;!everyone&gt; "
    "*bold* _it_ ~no~ `code` ``` :tada: > quoted\n> *Level 9* <!date^1^{date}|x> @channel "
    "https://evil.example \u202edehsilbup\u202c \x00\x1b[0m"
)


def mrkdwn(drawn: ChatMessage | Mapping[str, Any]) -> Iterator[str]:
    """Return every text that Slack parses."""

    def inside(part: Any) -> Iterator[str]:
        if isinstance(part, Mapping):
            if part.get("type") == "mrkdwn":
                assert part["verbatim"] is True
                yield part["text"]
            for value in part.values():
                yield from inside(value)
        elif isinstance(part, list | tuple):
            for child in part:
                yield from inside(child)

    if isinstance(drawn, ChatMessage):
        yield drawn.text
        yield from inside(drawn.blocks)
        yield from inside(drawn.plainer)
    else:
        yield from [drawn["text"]] if "response_type" in drawn else []
        yield from inside(drawn["blocks"])


def meaning(drawn: ChatMessage | Mapping[str, Any]) -> Counter[str]:
    """Count what Slack would make of a message: mentions, links, dates, formats, lines, emoji."""
    counts: Counter[str] = Counter()
    for text in mrkdwn(drawn):
        commands = re.findall(r"<[^<>]*>", text)
        counts.update(re.sub(r"\|.*|\^.*", "", command) for command in commands)
        bare = re.sub(r"<[^<>]*>", "", text)
        assert not re.search("[<>]", bare)
        counts.update(re.findall(r"(?<![0-9A-Za-z])[*_~]|[*_~](?![0-9A-Za-z])|`|\n", bare))
        counts.update(":emoji:" for _ in re.findall(r":(?!\d\d:)[\w+'-]+:", bare))
        counts.update(
            "turned" for _ in re.findall("[\u202a-\u202e\u2066-\u2069\x00-\x09\x1b]", bare)
        )
    return counts


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
    "a name": ("names", "bea"),
    "an account": ("accounts", "carla"),
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
    """Draw both views and check that Slack interprets them alike."""
    seats = [{"capacity": "stand-in", "behind": "luis"}]
    pairs = zip(everything(calm, seats, "said"), everything(hostile, seats, HOSTILE), strict=True)
    for first, other in pairs:
        check(other)
        assert meaning(first) == meaning(other)


@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES)
def test_what_others_wrote_means_nothing(path: tuple[Any, ...], view_of: Views) -> None:
    calm, hostile = (put(full(view_of), path, value) for value in ("harmless", HOSTILE))
    check_the_same(calm, hostile)


@pytest.mark.parametrize(
    "state", [state.value for state in State if state.value != "AWAITING_APPROVAL"]
)
def test_nor_does_it_all_together_in_any_other_state(state: str, view_of: Views) -> None:
    calm, hostile = full(view_of), full(view_of)
    for path in PLACES.values():
        put(calm, path, "harmless")
        put(hostile, path, HOSTILE)
    check_the_same({**calm, "state": state}, {**hostile, "state": state})


def test_an_address_that_is_none_makes_no_link_and_no_button(view_of: Views) -> None:
    for page in ("", "javascript:alert(1)", "https://a b", "https://x|y>", "ftp://x", "https://"):
        view = {**view_of("asked"), "page": page}
        message = card(view)
        check_said(message)
        elements = [element for block in message.blocks for element in block.get("elements", [])]
        assert not [element for element in elements if "url" in element]
        assert not [text for text in mrkdwn(message) if "javascript" in text or "<http" in text]
