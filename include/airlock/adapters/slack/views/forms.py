"""Forms that open in Slack: the answer to a release, a delegation, and what replaces them.

Rules:
* The form repeats what is answered, with the whole digest, and asks for a reason either way. At
  high risk it also asks for a confirmation.
* What the form carries (`private_metadata`) says what was looked at. Who answers is never in it:
  that is whoever Slack says has sent the form.
* Whoever could answer for several seats chooses one; an own role is `-`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airlock.adapters.slack.views import gate_table
from airlock.adapters.slack.views.blocks import (
    VIEW_BLOCKS,
    Part,
    clip,
    context,
    line,
    mrkdwn,
    numbered,
    one_line,
    packed,
    plain,
    rich,
    section,
    words,
)
from airlock.adapters.slack.views.card import carried
from airlock.adapters.slack.views.vote_trail import View, level_words
from airlock.domain.approval.release import Decision
from airlock.domain.digest import short

ANSWER, DELEGATE = "airlock.answer", "airlock.delegate"
#: How an own role is written among the seats.
OWN = "-"
REASON_MIN, REASON_MAX = 10, 2000
#: Slack's limit of a modal's title, an option's text and its value.
_TITLE, _OPTION, _VALUE = 24, 75, 150
_MOST_SEATS = 100


def answer_form(view: View, decision: str, seats: Sequence[Mapping[str, Any]]) -> Part:
    """Return the form for one decision. *seats*: as in the release's document, `yourSeats`."""
    word = "Approve" if Decision(decision) is Decision.APPROVE else "Reject"
    blocks = [
        rich(*(line(words(f"{label}  ", bold=True), value) for label, value in _subject(view))),
        *gate_table.waivers(view),
        *gate_table.changed(view),
        *_seat(seats),
        _reason(f"Why do you {word.lower()} it?"),
        *(_sure(word) if view["tier"] == "high" else []),
        context(mrkdwn(_consequence(decision))),
    ]
    metadata = packed(**carried(view), decision=Decision(decision).value)
    return _modal(ANSWER, f"{word} the release", blocks, word, metadata)


def delegate_form() -> Part:
    """Return the form that lends one's vote for a while."""
    times = {"start": "From", "end": "Until"}
    blocks = [
        _input("taker", "Who answers for you?", {"type": "users_select", "action_id": "taker"}),
        *(
            _input(key, label, {"type": "datetimepicker", "action_id": key})
            for key, label in times.items()
        ),
        _reason("Why?"),
        context(
            mrkdwn(
                "It lends the roles you hold yourself, for at most 90 days. Both names are kept, "
                "and what was lent cannot be lent on."
            )
        ),
    ]
    return _modal(DELEGATE, "Lend your vote", blocks, "Lend")


def confirmed(text: str) -> Part:
    """Return the view that replaces an accepted form."""
    return _note("Done", "\N{WHITE HEAVY CHECK MARK}", text)


def refused(text: str) -> Part:
    """Return the view that replaces a refused form."""
    return _note("Not taken", "\N{NO ENTRY}", text)


def _note(title: str, icon: str, text: str) -> Part:
    blocks = [section(plain(f"{icon} {text}"))]
    return {"type": "modal", "title": plain(title), "close": plain("Close")} | {
        "blocks": numbered(blocks, VIEW_BLOCKS)
    }


def _subject(view: View) -> list[tuple[str, Part]]:
    digest = str(view["subject"]["digest"])
    return [
        ("Model", words(one_line(view["model"], 1000))),
        ("Version", words(one_line(view["version"], 100))),
        ("Into", words(one_line(view["environment"], 100))),
        ("Risk tier", words(one_line(view["tier"], 20))),
        ("Level", words(one_line(level_words(view), 100))),
        ("Round", words(str(view["round"]))),
        ("Release", words(one_line(view["id"], 100))),
        ("Subject", words(short(digest), code=True)),
        ("in full", words(one_line(digest, 100), code=True)),
        ("Gates", words(gate_table.summary(view))),
    ]


def _consequence(decision: str) -> str:
    if Decision(decision) is Decision.REJECT:
        return "One person, one answer. A rejection ends this release, and is part of the record."
    return "One person, one answer, and it is part of the record. Conditions are set on the page."


def _seat(seats: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Ask as whom, unless there is nothing to ask."""
    if not seats or (len(seats) == 1 and not seats[0]["behind"]):
        return []
    options = [
        _option(_seat_words(seat), str(seat["behind"]).strip() or OWN)
        for seat in seats[:_MOST_SEATS]
    ]
    select = {"type": "static_select", "action_id": "seat", "options": options}
    return [_input("seat", "You answer", select | {"initial_option": options[0]})]


def _seat_words(seat: Mapping[str, Any]) -> str:
    behind = str(seat["behind"])
    role = behind.removeprefix("role/")
    if not behind:
        return "in your own role"
    if role != behind:
        return f"in the place of the {role.replace('_', ' ').replace('-', ' ')}"
    return f"for {behind}" if seat["capacity"] == "delegate" else f"in the place of {behind}"


def _sure(word: str) -> list[Part]:
    option = _option(f"I looked at the evidence, and {word.lower()} exactly this subject", "sure")
    boxes = {"type": "checkboxes", "action_id": "sure", "options": [option]}
    return [_input("sure", "High risk: are you sure?", boxes)]


def _reason(label: str) -> Part:
    return _input(
        "reason",
        label,
        {
            "type": "plain_text_input",
            "action_id": "reason",
            "multiline": True,
            "min_length": REASON_MIN,
            "max_length": REASON_MAX,
        },
    )


def _option(text: str, value: str) -> Part:
    return {"text": plain(text, _OPTION), "value": clip(value, _VALUE)}


def _input(block: str, label: str, element: Part) -> Part:
    return {"type": "input", "block_id": block, "label": plain(label), "element": element}


def _modal(
    callback: str, title: str, blocks: Sequence[Part], submit: str, metadata: str = ""
) -> Part:
    modal = {
        "type": "modal",
        "callback_id": callback,
        "title": plain(title, _TITLE),
        "submit": plain(submit, _TITLE),
        "close": plain("Cancel", _TITLE),
        "blocks": numbered(blocks, VIEW_BLOCKS),
    }
    return modal | ({"private_metadata": metadata} if metadata else {})
