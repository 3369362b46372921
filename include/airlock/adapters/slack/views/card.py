"""The card of a release: one message that is redrawn whenever the release moves.

Rules:
* A card asks as long as an answer is awaited: facts, measurements, trail, buttons. In every other
  state it says what happened: no table, no buttons, but the trail stays, and the way to the page.
* Its text states the whole request or outcome, for phones and screen readers.
* A button carries what its presser was looking at: release, round, level and digest. It proves
  nothing; the form asks the database again.
* Where the policy takes no answer from Slack, the button opens the page, which shows the digest
  and asks for a fresh login.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote as escaped

from airlock.adapters.slack.views import gate_table, result_view
from airlock.adapters.slack.views.blocks import (
    Part,
    Room,
    actions,
    bounded,
    button,
    context,
    fitting,
    header,
    link,
    link_button,
    mrkdwn,
    packed,
    quote,
    rich,
    safe,
    section,
    utc,
    when,
)
from airlock.adapters.slack.views.parts import (
    ASKING,
    WARNING,
    digest,
    facts,
    full_model,
    identity,
    release_title,
    spoken,
    spoken_label,
)
from airlock.adapters.slack.views.vote_trail import View, level_words, name, named, needed, trail
from airlock.ports.chat import ChatMessage

APPROVE, REJECT = "airlock.approve", "airlock.reject"
EVIDENCE, REVIEW = "airlock.evidence", "airlock.review"


def card(view: View) -> ChatMessage:
    """Return the card of a release, in any state."""
    if view["state"] != ASKING:
        return ChatMessage(
            result_view.text(view), fitting(lambda room: result_view.blocks(view, room))
        )
    return ChatMessage(
        request_text(view),
        fitting(lambda room: _request(view, [gate_table.table(view, room)], room)),
        fitting(lambda room: _request(view, gate_table.monospaced(view, room), room)),
    )


def request_text(view: View) -> str:
    """State the whole request in one paragraph, without mentions: they are in the card."""
    due = f" Answer by {utc(view['deadline'])}." if view.get("deadline") else ""
    again = f" Round {view['round']}: earlier answers are void." if view["round"] > 1 else ""
    why = f" Said: {safe(view['why'], 300)}." if view["why"] else ""
    return bounded(
        f"Approve? {spoken(view)}, {safe(view['tier'])} risk. Level {safe(level_words(view))}, "
        f"needs {safe(needed(view), 120)}. May answer: {named(view, view['mayAnswer'])}.{due}"
        f"{again} {gate_table.summary(view).capitalize()}. Asked for by "
        f"{safe(name(view, view['requester']))}.{why} Subject {digest(view)}, release "
        f"{safe(view['id'])}."
    )


def carried(view: View) -> dict[str, Any]:
    """Return the version of the request that a button's card shows."""
    return {
        "release": view["id"],
        "round": view["round"],
        "level": view["level"],
        "digest": view["subject"]["digest"],
    }


def _request(view: View, numbers: list[Part], room: Room) -> list[Part]:
    return [
        header(f"\N{VERTICAL TRAFFIC LIGHT} Approve? {release_title(view)}"),
        *full_model(view),
        *_warnings(view),
        facts(view),
        *([rich(quote(view["why"], 2 * room.reason_length))] if view["why"] else []),
        section(mrkdwn(f"*{gate_table.summary(view).capitalize()}*")),
        *numbers,
        *gate_table.waivers(view, room),
        *gate_table.changed(view, room),
        *trail(view, room),
        *_buttons(view),
        context(mrkdwn(_small_print(view))),
    ]


def _warnings(view: View) -> list[Part]:
    warnings = []
    if view["round"] > 1:
        warnings.append(
            f"*Round {view['round']}*: what is to be released has changed, so every earlier answer "
            "is void. Look at it again."
        )
    if view.get("afterRejection"):
        warnings.append(
            f"*Rejected before*: the same bytes, as {safe(view['afterRejection'], 64)}."
        )
    glass = view.get("emergency") or {}
    if glass.get("incident"):
        warnings.append(
            f"*Emergency* {safe(glass['incident'], 100)}: {named(view, glass['people'])} broke the "
            f"glass{_until(glass)}."
        )
    return [section(mrkdwn(f"{WARNING} {warning}")) for warning in warnings]


def _until(glass: Mapping[str, Any]) -> str:
    until = when(glass["until"]) if glass.get("until") else ""
    if glass.get("missing"):
        return f", {glass['missing']} more must agree" + (f" before {until}" if until else "")
    return f"; it allows a promotion until {until}" if until else ""


def _buttons(view: View) -> list[Part]:
    page, label = str(view.get("page") or ""), spoken_label(view)
    evidence = link_button(EVIDENCE, "View evidence", f"View the evidence of {label}", page)
    if not view["slackMayAnswer"]:
        address = f"{page}/review?digest={escaped(view['subject']['digest'], safe=':')}"
        says = f"Review {label} in Airflow"
        return actions(link_button(REVIEW, "Review in Airflow", says, address, "primary"), evidence)
    value = packed(**carried(view))
    return actions(
        button(APPROVE, "Approve\N{HORIZONTAL ELLIPSIS}", f"Approve {label}", value, "primary"),
        button(REJECT, "Reject\N{HORIZONTAL ELLIPSIS}", f"Reject {label}", value, "danger"),
        evidence,
    )


def _small_print(view: View) -> str:
    page = link(str(view.get("page") or ""), "on the page")
    if view["slackMayAnswer"]:
        how = (
            f"Conditions are set {page}; there you can answer too. Whoever answers for somebody "
            "else, as a delegate or a stand-in, says so in the form."
        )
    else:
        how = f"At this risk tier Slack takes no answer: answer {page}, after logging in again."
    return f"{identity(view)} \N{MIDDLE DOT} The requester cannot answer. {how}"
