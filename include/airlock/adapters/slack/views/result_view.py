"""A release nobody is asked about any more, or not yet: what happened and what follows.

No table and no buttons: nothing is left to press. The trail stays, and the way to the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.adapters.slack.views import gate_table
from airlock.adapters.slack.views.blocks import (
    Part,
    Room,
    bounded,
    context,
    header,
    link,
    mrkdwn,
    quote,
    rich,
    safe,
    section,
    when,
)
from airlock.adapters.slack.views.parts import (
    WARNING,
    digest,
    full_model,
    identity,
    release_title,
    serving,
    spoken,
    tier,
)
from airlock.adapters.slack.views.vote_trail import View, name, named, trail

#: State -> icon, what a headline says, what a sentence says.
OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "REQUESTED": ("\N{CLOCK FACE FOUR OCLOCK}", "Requested", "was requested"),
    "BLOCKED": ("\N{NO ENTRY}", "Blocked", "was blocked by a gate"),
    "APPROVED": ("\N{WHITE HEAVY CHECK MARK}", "Approved", "was approved"),
    "PROMOTING": ("\N{HOURGLASS WITH FLOWING SAND}", "Being promoted", "is being promoted"),
    "PROMOTED": ("\N{ROCKET}", "Released", "was released"),
    "REJECTED": ("\N{CROSS MARK}", "Rejected", "was rejected"),
    "WITHDRAWN": ("\N{NO ENTRY SIGN}", "Withdrawn", "was withdrawn"),
    "VOIDED": ("\N{CLOCKWISE DOWNWARDS AND UPWARDS OPEN CIRCLE ARROWS}", "Void", "is void"),
    "ROLLED_BACK": (
        "\N{BLACK LEFT-POINTING DOUBLE TRIANGLE}",
        "Rolled back",
        "was rolled back",
    ),
    "SUPERSEDED": (
        "\N{BLACK RIGHT-POINTING DOUBLE TRIANGLE}",
        "Superseded",
        "was superseded by a newer candidate",
    ),
    "EXPIRED": ("\N{HOURGLASS}", "Expired", "has expired"),
}


def text(view: View) -> str:
    """State the outcome in one paragraph."""
    _, _, clause = OUTCOMES.get(view["state"], ("", "", "has moved"))
    why = f": {safe(view['why'], 300)}" if view["why"] else ""
    return bounded(
        f"{spoken(view)} {clause}{why}. Release {safe(view['id'])}, subject {digest(view)}."
    )


def blocks(view: View, room: Room) -> list[Part]:
    """Return the card of a release nobody is asked about."""
    icon, title, _ = OUTCOMES.get(view["state"], (WARNING, view["state"].capitalize(), ""))
    glass = view.get("emergency") or {}
    if view["state"] in ("APPROVED", "PROMOTED") and glass.get("brokenAt") and glass.get("until"):
        icon, title = "\N{POLICE CARS REVOLVING LIGHT}", f"{title} in an emergency"
    request = f"{tier(view)} risk, asked for by {safe(name(view, view['requester']))}"
    blocked = gate_table.blocking(view) if view["state"] == "BLOCKED" else []
    return [
        header(f"{icon} {title}: {release_title(view)}"),
        *full_model(view),
        section(mrkdwn(f"{request}. {_now(view)}")),
        *([rich(quote(view["why"], 2 * room.reason_length))] if view["why"] else []),
        *blocked,
        *_glass(view, glass),
        *gate_table.waivers(view, room),
        *gate_table.changed(view, room),
        *trail(view, room),
        context(mrkdwn(f"{identity(view)} \N{MIDDLE DOT} {_evidence(view)}")),
    ]


def _evidence(view: View) -> str:
    return link(str(view.get("page") or ""), "evidence, approvals and log")


def _now(view: View) -> str:
    """State the consequence of the state, in words of ours."""
    state, served = view["state"], serving(view)
    if state == "APPROVED":
        end = view.get("approvedUntil")
        until = f" until {when(end)}" if end else ""
        return f"It may be promoted{until}; nothing has moved yet."
    if state in ("PROMOTED", "ROLLED_BACK"):
        return f"Serving in {safe(view['environment'], 40)} now: {served}."
    if state == "PROMOTING":
        return "Its alias is being moved right now."
    if state in ("REQUESTED", "VOIDED"):
        return "Nobody can answer yet."
    return f"Nothing was released. Serving in {safe(view['environment'], 40)}: {served}."


def _glass(view: View, glass: Mapping[str, Any]) -> list[Part]:
    if not glass.get("incident"):
        return []
    review = glass.get("review") or {}
    if review.get("by"):
        after = f"Reviewed by {safe(name(view, review['by']))}, {when(review['at'])}."
    elif review:
        word = "overdue since" if review["overdue"] else "due before"
        after = f"The review by somebody who was not involved is {word} {when(review['due'])}."
    else:
        after = ""
    people = named(view, glass["people"])
    sentence = (
        f"*Emergency* {safe(glass['incident'], 100)}: the glass was broken by {people}. {after}"
    )
    return [section(mrkdwn(f"{WARNING} {sentence.strip()}"))]
