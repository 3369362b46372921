"""The App Home: a person's inbox. What waits, what was decided, whose vote is lent to whom.

It shows and links; answers are given on the cards and on the page. At most 20 things of each kind
are shown, the rest is on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airlock.adapters.slack.views.blocks import (
    VIEW_BLOCKS,
    Part,
    context,
    header,
    line,
    link,
    link_button,
    mrkdwn,
    numbered,
    one_line,
    plain,
    quote,
    rich,
    rich_when,
    safe,
    section,
    when,
    words,
)
from airlock.adapters.slack.views.card import EVIDENCE
from airlock.adapters.slack.views.parts import spoken, spoken_label

Inbox = Mapping[str, Any]
Item = Mapping[str, Any]

#: Things of one kind that are shown.
MOST = 20
_DECISIONS = {
    "approve": "\N{WHITE HEAVY CHECK MARK} approved",
    "reject": "\N{CROSS MARK} rejected",
}


def home(inbox: Inbox) -> Part:
    """Return somebody's inbox as the view of the App Home."""
    page = str(inbox.get("page") or "")
    blocks = [
        *_kind("Waits for you", inbox["waiting"], _waiting, "Nothing waits for you."),
        *_kind("You decided", inbox["decided"], _decided, "You have not answered anything yet."),
        *_kind("Delegations", inbox["delegations"], _lent, "Nobody lends you a vote, nor you."),
        context(mrkdwn(f"Everything else is {link(page, 'on the page Releases')}.")),
    ]
    return {"type": "home", "blocks": numbered(blocks, VIEW_BLOCKS)}


def waiting_line(item: Item) -> str:
    """Describe a waiting release, for mrkdwn."""
    due = f", answer by {when(item['deadline'])}" if item.get("deadline") else ""
    tier = safe(item["tier"], 20)
    return f"{spoken(item)}, {tier} risk, level {safe(item['level'], 10)}{due}"


def _kind(title: str, items: Sequence[Item], draw: Any, none: str) -> list[Part]:
    drawn = [draw(item) for item in items[:MOST]] or [section(plain(none))]
    left = len(items) - MOST
    more = [context(mrkdwn(f"and {left} more, on the page"))] if left > 0 else []
    return [header(f"{title} ({len(items)})" if items else title), *drawn, *more]


def _waiting(item: Item) -> Part:
    page, says = str(item.get("page") or ""), f"Open {spoken_label(item)}"
    button = link_button(EVIDENCE, "Open", says, page)
    more = {"accessory": button} if button else {}
    return section(mrkdwn(f"{waiting_line(item)}\n{safe(item['id'], 64)}"), **more)


def _decided(item: Item) -> Part:
    word = _DECISIONS.get(str(item["decision"]), safe(item["decision"], 20))
    version = f"{safe(item['model'])} version {safe(item['version'], 20)}"
    page = link(str(item.get("page") or ""), one_line(item["id"], 64))
    return context(mrkdwn(f"{word} {version}, {when(item['at'])}, {page}"))


def _lent(item: Item) -> Part:
    summary = line(
        words(one_line(item["taker"], 80), bold=True),
        words(" answers for "),
        words(one_line(item["giver"], 80), bold=True),
        words(" from "),
        rich_when(item["start"]),
        words(" until "),
        rich_when(item["end"]),
    )
    return rich(summary, *([quote(item["reason"], 300)] if item.get("reason") else []))
