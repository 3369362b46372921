"""Everything that can be drawn of a release, and both checks of whatever it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airlock.adapters.slack.views import forms, notices, replies
from airlock.adapters.slack.views.card import card
from airlock.adapters.slack.views.home import home
from airlock.ports.chat import ChatMessage
from tests.unit.slack.checks import check_reply, check_said, check_view
from tests.unit.slack.views import INBOX, View


def everything(view: View, seats: Any, text: str) -> Iterator[ChatMessage | View]:
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
    yield from (
        replies.pending([item]),
        replies.release_status(view),
        replies.plain(text),
        replies.usage(),
    )


def check(drawn: ChatMessage | Mapping[str, Any]) -> None:
    if isinstance(drawn, ChatMessage):
        check_said(drawn)
    elif "response_type" in drawn:
        check_reply(drawn)
    else:
        check_view(drawn)
