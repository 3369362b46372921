"""Answers to the slash command `/airlock`; only whoever typed it sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airlock.adapters.slack_notifier import measured
from airlock.adapters.slack_notifier.answers import View, trail
from airlock.adapters.slack_notifier.card import (
    ASKING,
    EVIDENCE,
    OUTCOMES,
    facts,
    full_model,
    identity,
    outcome_text,
    request_text,
    spoken_label,
    what,
)
from airlock.adapters.slack_notifier.home import MOST, waiting_line
from airlock.adapters.slack_notifier.kit import (
    Part,
    actions,
    bounded,
    context,
    header,
    link,
    link_button,
    mrkdwn,
    numbered,
    one_line,
    safe,
    section,
)
from airlock.adapters.slack_notifier.kit import plain as text_of

_USAGE = (
    ("/airlock pending", "what waits for you"),
    ("/airlock show ID", "one release"),
    ("/airlock link CODE", "link this account to yours; the page Slack in Airflow shows the code"),
    ("/airlock delegate", "lend your vote for a while"),
)


def pending(items: Sequence[Mapping[str, Any]]) -> Part:
    """Return what waits for somebody."""
    if not items:
        return plain("Nothing waits for you.")
    lines = [_pending(item) for item in items[:MOST]]
    left = len(items) - len(lines)
    more = [context(mrkdwn(f"and {left} more, on the page"))] if left else []
    text = f"{len(items)} wait for you"
    return _reply(text, [header(text), *(section(mrkdwn(one)) for one in lines), *more])


def _pending(item: Mapping[str, Any]) -> str:
    page = link(str(item.get("page") or ""), one_line(item["id"], 64))
    return f"{waiting_line(item)}, {page}"


def shown(view: View) -> Part:
    """Return where a release is, without buttons that answer: those are on its card."""
    asking = view["state"] == ASKING
    icon, title, _ = OUTCOMES.get(view["state"], ("\N{VERTICAL TRAFFIC LIGHT}", "Waiting", ""))
    page = link_button(
        EVIDENCE, "View evidence", f"View {spoken_label(view)}", str(view.get("page") or "")
    )
    blocks = [
        header(f"{icon} {title}: {what(view)}"),
        *full_model(view),
        *([facts(view)] if asking else [section(mrkdwn(outcome_text(view)))]),
        *measured.monospaced(view),
        *measured.waivers(view),
        *measured.changed(view),
        *trail(view),
        *actions(page),
        context(mrkdwn(identity(view))),
    ]
    return _reply(request_text(view) if asking else outcome_text(view), blocks)


def usage() -> Part:
    """Return what the command can do."""
    lines = "\n".join(f"`{command}` {said}" for command, said in _USAGE)
    said = ", ".join(command for command, _ in _USAGE)
    return _reply(f"Airlock: {said}", [section(mrkdwn(lines))])


def plain(text: str) -> Part:
    """Return a sentence, as it is."""
    return _reply(safe(text, 700), [section(text_of(text))])


def _reply(text: str, blocks: Sequence[Part]) -> Part:
    return {"response_type": "ephemeral", "text": bounded(text), "blocks": numbered(blocks)}
