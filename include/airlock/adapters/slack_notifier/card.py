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

from airlock.adapters.slack_notifier import measured
from airlock.adapters.slack_notifier.answers import (
    View,
    called,
    level_words,
    name,
    named,
    needed,
    trail,
)
from airlock.adapters.slack_notifier.kit import (
    NONE,
    Part,
    actions,
    bounded,
    button,
    clip,
    context,
    fields,
    header,
    length,
    line,
    link,
    link_button,
    mrkdwn,
    numbered,
    one_line,
    packed,
    plain,
    quote,
    rich,
    safe,
    section,
    utc,
    when,
    words,
)
from airlock.domain.digest import short
from airlock.ports.chat import Said

APPROVE, REJECT = "airlock.approve", "airlock.reject"
EVIDENCE, REVIEW = "airlock.evidence", "airlock.review"
ASKING = "AWAITING_APPROVAL"

#: State -> icon, what a headline says, what a sentence says.
OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "REQUESTED": ("\N{CLOCK FACE FOUR OCLOCK}", "Requested", "was requested"),
    "BLOCKED": ("\N{NO ENTRY}", "Blocked", "was blocked by a gate"),
    "APPROVED": ("\N{WHITE HEAVY CHECK MARK}", "Approved", "was approved"),
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
_TIERS = {
    "high": "\N{LARGE RED CIRCLE} high",
    "medium": "\N{LARGE ORANGE CIRCLE} medium",
    "low": "\N{LARGE GREEN CIRCLE} low",
}
_WARNING = "\N{WARNING SIGN}\N{VARIATION SELECTOR-16}"
#: So much of a model's name fits into a headline.
MODEL, SHORT = 70, 20


def card(view: View) -> Said:
    """Return the card of a release, in any state."""
    if view["state"] != ASKING:
        return Said(outcome_text(view), numbered(_outcome(view)))
    before, after = _request(view), _rest(view)
    return Said(
        request_text(view),
        numbered([*before, measured.table(view), *after]),
        numbered([*before, *measured.monospaced(view), *after]),
    )


def what(view: View, model: int = MODEL) -> str:
    """Say what is to be released, as data."""
    return (
        f"{one_line(view['model'], model)} v{one_line(view['version'], SHORT)} "
        f"\N{RIGHTWARDS ARROW} {one_line(view['environment'], SHORT)}"
    )


def spoken(view: View) -> str:
    """Say what is to be released in words, for mrkdwn."""
    return (
        f"{safe(view['model'], 80)} version {safe(view['version'], SHORT)} into "
        f"{safe(view['environment'], 40)}"
    )


def request_text(view: View) -> str:
    """State the whole request in one paragraph, without mentions: they are in the card."""
    due = f" Answer by {utc(view['deadline'])}." if view.get("deadline") else ""
    again = f" Round {view['round']}: earlier answers are void." if view["round"] > 1 else ""
    why = f" {safe(view['why'], 200)}." if view["why"] else ""
    return bounded(
        f"Approve? {spoken(view)}, {safe(view['tier'])} risk. Level {safe(level_words(view))}, "
        f"needs {safe(needed(view), 120)}. May answer: {named(view, view['mayAnswer'])}.{due}"
        f"{again} {measured.summary(view).capitalize()}. Asked for by "
        f"{safe(name(view, view['requester']))}.{why} Subject {_digest(view)}, release "
        f"{safe(view['id'])}."
    )


def outcome_text(view: View) -> str:
    """State the outcome in one paragraph."""
    _, _, said = OUTCOMES.get(view["state"], ("", "", "has moved"))
    why = f": {safe(view['why'], 300)}" if view["why"] else ""
    return bounded(
        f"{spoken(view)} {said}{why}. Release {safe(view['id'])}, subject {_digest(view)}."
    )


def carried(view: View) -> dict[str, Any]:
    """Return what somebody who presses a button was looking at."""
    return {
        "release": view["id"],
        "round": view["round"],
        "level": view["level"],
        "digest": view["subject"]["digest"],
    }


def _digest(view: View) -> str:
    return safe(short(str(view["subject"]["digest"])), 20)


def _request(view: View) -> list[Part]:
    """Return everything above the table."""
    return [
        header(f"\N{VERTICAL TRAFFIC LIGHT} Approve? {what(view)}"),
        *full_model(view),
        *_warnings(view),
        facts(view),
        *_why(view, f"Why {name(view, view['requester'])} asks for it"),
        section(mrkdwn(f"*{measured.summary(view).capitalize()}*")),
    ]


def _rest(view: View) -> list[Part]:
    """Return everything below the table."""
    return [
        *measured.waivers(view),
        *measured.changed(view),
        *trail(view),
        *_buttons(view),
        context(mrkdwn(_small_print(view))),
    ]


def full_model(view: View) -> list[Part]:
    """Return the whole name of a model that a headline cuts off."""
    model = str(view["model"])
    return [section(plain(f"Model: {model}", 700))] if length(model) > MODEL else []


def facts(view: View) -> Part:
    """Return who may answer what until when."""
    due = when(view["deadline"]) if view.get("deadline") else "no deadline"
    return fields(
        [
            ("Risk tier", _TIERS.get(view["tier"], safe(view["tier"]))),
            ("Level", safe(level_words(view))),
            ("May answer", called(view, view["mayAnswer"])),
            ("Still needed", safe(needed(view), 200)),
            ("Answer by", due),
            ("Asked for by", safe(name(view, view["requester"]))),
            ("Serving now", _serving(view)),
            ("Compared with", _champion(view)),
        ]
    )


def _serving(view: View) -> str:
    version = (view.get("line") or {}).get("version")
    return f"version {safe(version, 40)}" if version else "nothing: first release"


def _champion(view: View) -> str:
    version = view.get("championVersion")
    return f"version {safe(version, 40)}, the champion then" if version else "no champion"


def _warnings(view: View) -> list[Part]:
    said = []
    if view["round"] > 1:
        said.append(
            f"*Round {view['round']}*: what is to be released has changed, so every earlier answer "
            "is void. Look at it again."
        )
    if view.get("afterRejection"):
        said.append(f"*Rejected before*: the same bytes, as {safe(view['afterRejection'], 64)}.")
    glass = view.get("emergency") or {}
    if glass.get("incident"):
        said.append(
            f"*Emergency* {safe(glass['incident'], 100)}: {named(view, glass['people'])} broke the "
            f"glass{_until(glass)}."
        )
    return [section(mrkdwn(f"{_WARNING} {one}")) for one in said]


def _until(glass: Mapping[str, Any]) -> str:
    more = f", {glass['missing']} more must agree" if glass.get("missing") else ""
    return more + (
        f"; it allows a promotion until {when(glass['until'])}" if glass["until"] else ""
    )


def _why(view: View, title: str) -> list[Part]:
    if not view["why"]:
        return []
    return [rich(line(words(one_line(title, 120), bold=True)), quote(view["why"], 600))]


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


def spoken_label(view: View) -> str:
    """Say what a button is about to a screen reader."""
    return f"{clip(one_line(view['model'], 80), 30)} version {one_line(view['version'], 10)}"


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


def identity(view: View) -> str:
    """Say in small print which release of what this is, for mrkdwn."""
    return (
        f"{safe(view['id'], 64)} \N{MIDDLE DOT} subject {_digest(view)} \N{MIDDLE DOT} round "
        f"{view['round']}"
    )


def _outcome(view: View) -> list[Part]:
    icon, title, _ = OUTCOMES.get(view["state"], (_WARNING, view["state"].capitalize(), ""))
    glass = view.get("emergency") or {}
    if view["state"] in ("APPROVED", "PROMOTED") and glass.get("brokenAt"):
        icon, title = "\N{POLICE CARS REVOLVING LIGHT}", f"{title} in an emergency"
    tier = _TIERS.get(view["tier"], safe(view["tier"]))
    asked = f"{tier} risk, asked for by {safe(name(view, view['requester']))}"
    blocked = measured.blocking(view) if view["state"] == "BLOCKED" else []
    return [
        header(f"{icon} {title}: {what(view)}"),
        *full_model(view),
        section(mrkdwn(f"{asked}. {_now(view)}")),
        *_why(view, "Why"),
        *blocked,
        *_glass(view, glass),
        *measured.waivers(view),
        *measured.changed(view),
        *trail(view),
        context(mrkdwn(f"{identity(view)} \N{MIDDLE DOT} {_evidence(view)}")),
    ]


def _evidence(view: View) -> str:
    return link(str(view.get("page") or ""), "evidence, approvals and log")


def _now(view: View) -> str:
    """Say what follows from the state, in words of ours."""
    state, serving = view["state"], _serving(view)
    if state == "APPROVED":
        grant = view.get("grant") or {}
        until = f" until {when(grant['expiresAt'])}" if grant.get("valid") else ""
        return f"It may be promoted{until}; nothing has moved yet."
    if state in ("PROMOTED", "ROLLED_BACK"):
        return f"Serving in {safe(view['environment'], 40)} now: {serving}."
    if state in ("REQUESTED", "VOIDED"):
        return "Nobody can answer yet."
    return f"Nothing was released. Serving in {safe(view['environment'], 40)}: {serving}."


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
    who = named(view, glass["people"]) if glass.get("people") else NONE
    said = f"*Emergency* {safe(glass['incident'], 100)}: the glass was broken by {who}. {after}"
    return [section(mrkdwn(f"{_WARNING} {said.strip()}"))]
