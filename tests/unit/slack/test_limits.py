"""The check itself: a payload that Slack refuses is caught, one that it takes is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.slack.limits import message_problems, problems, view_problems

Part = dict[str, Any]


def text(size: int = 5, kind: str = "plain_text") -> Part:
    return {"type": kind, "text": "x" * size}


def section(**parts: Any) -> Part:
    return {"type": "section", **(parts or {"text": text()})}


def button(**parts: Any) -> Part:
    return {"type": "button", "action_id": "go", "text": text(), **parts}


def actions(*buttons: Part) -> Part:
    return {"type": "actions", "elements": list(buttons)}


def cell(text: str = "x") -> Part:
    line = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "elements": [line]}


def table(rows: int = 2, columns: int = 2, **more: Any) -> Part:
    return {"type": "table", "rows": [[cell()] * columns for _ in range(rows)], **more}


def ask(**element: Any) -> Part:
    return {"type": "input", "label": text(), "element": {"action_id": "a", **element}}


def modal(*blocks: Part, **more: Any) -> Part:
    return {"type": "modal", "title": text(), "submit": text(), "blocks": list(blocks), **more}


def chosen(many: int = 2, size: int = 5, value: int = 5) -> Part:
    option = {"text": text(size), "value": "v" * value}
    return ask(type="static_select", options=[option] * many)


BAD: dict[str, list[Part]] = {
    "no block": [],
    "51 blocks": [section()] * 51,
    "a section of 3001": [section(text=text(3001))],
    "a field of 2001": [section(fields=[text(2001)])],
    "11 fields": [section(fields=[text()] * 11)],
    "a section of nothing": [{"type": "section"}],
    "a header of 151": [{"type": "header", "text": text(151)}],
    "a header in mrkdwn": [{"type": "header", "text": text(kind="mrkdwn")}],
    "an empty text": [section(text=text(0))],
    "a blank text": [section(text={"type": "mrkdwn", "text": " \n"})],
    "26 buttons": [actions(*(button(action_id=str(n)) for n in range(26)))],
    "a button of 76": [actions(button(text=text(76)))],
    "a value of 2001": [actions(button(value="x" * 2001))],
    "an address of 3001": [actions(button(url="https://a" + "x" * 2992))],
    "no address": [actions(button(url="javascript:alert(1)"))],
    "a label of 76": [actions(button(accessibility_label="x" * 76))],
    "an unknown style": [actions(button(style="red"))],
    "action_id twice": [actions(button(), button())],
    "block_id twice": [section(text=text(), block_id="b"), section(text=text(), block_id="b")],
    "block_id of 256": [section(text=text(), block_id="b" * 256)],
    "11 in a context": [{"type": "context", "elements": [text()] * 11}],
    "two tables": [table(), table()],
    "101 rows": [table(rows=101)],
    "21 columns": [table(rows=1, columns=21)],
    "21 column settings": [table(column_settings=[{}] * 21)],
    "an empty cell": [{"type": "table", "rows": [[cell("")]]}],
    "a raw cell": [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}],
    "crooked rows": [{"type": "table", "rows": [[cell()], [cell(), cell()]]}],
    "an empty line": [{"type": "rich_text", "elements": []}],
    "an unknown block": [{"type": "marquee"}],
    "an input in a message": [ask(type="plain_text_input")],
    "too much in all": [section(text=text(2900))] * 4,
}
BAD_VIEWS: dict[str, Part] = {
    "101 blocks": modal(*[section()] * 101),
    "a title of 25": modal(section(), title=text(25)),
    "no title": {"type": "modal", "blocks": [section()]},
    "metadata of 3001": modal(section(), private_metadata="x" * 3001),
    "a table": modal(table()),
    "a question without submit": {
        "type": "modal",
        "title": text(),
        "blocks": [ask(type="plain_text_input")],
    },
    "101 options": modal(chosen(many=101)),
    "no option": modal(chosen(many=0)),
    "an option of 76": modal(chosen(many=1, size=76)),
    "an option's value of 151": modal(chosen(many=1, value=151)),
    "3001 to type": modal(ask(type="plain_text_input", max_length=3001)),
    "a home with submit": {"type": "home", "submit": text(), "blocks": [section()]},
}


@pytest.mark.parametrize("blocks", BAD.values(), ids=BAD)
def test_a_bad_message_is_caught_once(blocks: list[Part]) -> None:
    assert len(problems(blocks)) == 1


@pytest.mark.parametrize("view", BAD_VIEWS.values(), ids=BAD_VIEWS)
def test_a_bad_view_is_caught_once(view: Part) -> None:
    assert len(view_problems(view)) == 1


@pytest.mark.parametrize("text", ["", "x" * 4001])
def test_a_text_that_cannot_be_changed_any_more_is_caught(text: str) -> None:
    assert len(message_problems(text, [section()])) == 1


def test_what_is_just_allowed_passes() -> None:
    most = [
        {"type": "header", "text": text(150)},
        section(text=text(3000), block_id="b" * 255),
        section(fields=[text(kind="mrkdwn")] * 10),
        actions(button(value="x" * 2000, accessibility_label="x" * 75, text=text(75))),
        table(rows=20, columns=20),
        *[section()] * 45,
    ]
    assert message_problems("x" * 4000, most) == []
    assert view_problems(modal(*[section()] * 99, chosen(many=100, size=75, value=150))) == []
