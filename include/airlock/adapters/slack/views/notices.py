"""What is said beside the card: in its thread, in the channel, in a direct message.

Rules:
* A changed card notifies nobody, so every move is said once more in a short reply.
* A reminder mentions only those who can still answer. Whoever is asked hears what, until when and
  where; the buttons stay on the card, so that no second set of them outlives the answer.
* Time never approves, and every notice about waiting says so.
* *about* is what kind of notice it is, as `services/outbox_messages.py` has it.
* `spoken` says a sentence that was settled before; it is text of people too, so it stays data.
"""

from __future__ import annotations

from collections.abc import Sequence

from airlock.adapters.slack.views.blocks import (
    Part,
    bounded,
    context,
    header,
    link,
    mrkdwn,
    numbered,
    plain,
    safe,
    section,
    utc,
    when,
)
from airlock.adapters.slack.views.parts import ASKING, facts, identity, release_title
from airlock.adapters.slack.views.parts import spoken as subject
from airlock.adapters.slack.views.result_view import OUTCOMES
from airlock.adapters.slack.views.result_view import text as outcome_text
from airlock.adapters.slack.views.vote_trail import View, called, level_words, named, needed
from airlock.ports.chat import ChatMessage

#: About -> icon and headline.
_SPOKEN = {
    "void": (
        "\N{CLOCKWISE DOWNWARDS AND UPWARDS OPEN CIRCLE ARROWS}",
        "Every answer is void",
    ),
    "glass": ("\N{POLICE CARS REVOLVING LIGHT}", "The glass was broken"),
    "handover": ("\N{HANDSHAKE}", "Others have to answer"),
    "alarm": ("\N{BELL}", "Alarm"),
}
_NOBODY_DECIDES = "Nothing is released until somebody answers."


def reminder(view: View, about: str) -> ChatMessage:
    """Return a thread reply that a level still waits."""
    text = f"{_icon(about)} {_waits(view, about)}"
    question = f"{called(view, view['mayAnswer'])}: level {_sentence(view, about)}"
    return ChatMessage(
        bounded(text), numbered([section(mrkdwn(f"{_icon(about)} {question}")), _foot(view)])
    )


def escalation(view: View, about: str) -> ChatMessage:
    """Return a new message, for the channel or one person, that a level waits too long."""
    blocks = [
        header(f"{_icon(about)} Still waiting: {release_title(view)}"),
        section(mrkdwn(f"Level {_sentence(view, about)}")),
        facts(view),
        _foot(view),
    ]
    return ChatMessage(bounded(f"{_icon(about)} {_waits(view, about)}"), numbered(blocks))


def spoken(view: View, text: str, people: Sequence[str], about: str) -> ChatMessage:
    """Return a notice whose sentence was settled when it was posted."""
    icon, title = _SPOKEN.get(about, ("\N{BELL}", "Notice"))
    heard = [section(mrkdwn(f"For {called(view, people)}"))] if people else []
    blocks = [
        header(f"{icon} {title}: {release_title(view)}"),
        section(plain(text)),
        *heard,
        _foot(view),
    ]
    sentence = f"{icon} {title}: {subject(view)}. {safe(text, 600)}"
    return ChatMessage(bounded(sentence), numbered(blocks))


def moved(view: View) -> ChatMessage:
    """Return a short thread reply about where a release is now."""
    if view["state"] == ASKING:
        level = f"level {safe(level_words(view))}"
        again = f"round {view['round']}, " if view["round"] > 1 else ""
        text = f"{subject(view)}: {again}{level} is open. May answer: "
        names, mentions = named(view, view["mayAnswer"]), called(view, view["mayAnswer"])
        due = f" by {utc(view['deadline'])}" if view.get("deadline") else ""
        local_due = f" by {when(view['deadline'])}" if view.get("deadline") else ""
        sentence = f"\N{VERTICAL TRAFFIC LIGHT} {text}{mentions}{local_due}."
        return ChatMessage(
            bounded(f"{text}{names}{due}."), numbered([section(mrkdwn(sentence)), _foot(view)])
        )
    icon, title, _ = OUTCOMES.get(view["state"], ("\N{BELL}", safe(view["state"]), ""))
    blocks = [section(mrkdwn(f"{icon} *{title}*: {subject(view)}. {_asker(view)}"))]
    why = [section(plain(view["why"], 600))] if view["why"] else []
    return ChatMessage(outcome_text(view), numbered([*blocks, *why, _foot(view)]))


def _asker(view: View) -> str:
    return f"Asked for by {called(view, [view['requester']])}."


def _waits(view: View, about: str) -> str:
    due = f" Answer by {utc(view['deadline'])}." if view.get("deadline") else ""
    people = named(view, view["mayAnswer"])
    return (
        f"{subject(view)}: level {safe(level_words(view))} {_how(about)}, needs "
        f"{safe(needed(view), 120)}. May answer: {people}.{due} {_NOBODY_DECIDES}"
    )


def _sentence(view: View, about: str) -> str:
    since = f", open since {when(view['levelOpenedAt'])}" if view.get("levelOpenedAt") else ""
    due = f" Answer by {when(view['deadline'])}." if view.get("deadline") else ""
    return (
        f"{safe(level_words(view))} of {subject(view)} {_how(about)}{since}.{due} {_NOBODY_DECIDES}"
    )


def _icon(about: str) -> str:
    return "\N{BELL}" if about == "delivery" else "\N{HOURGLASS WITH FLOWING SAND}"


def _how(about: str) -> str:
    late = about == "delivery"
    return "could not be told to anybody in time" if late else "still waits"


def _foot(view: View) -> Part:
    page = link(str(view.get("page") or ""), "open the release")
    return context(mrkdwn(f"{identity(view)} \N{MIDDLE DOT} {page}"))
