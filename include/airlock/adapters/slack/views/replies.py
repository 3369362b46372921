"""Answers to the slash command `/airlock`; only whoever typed it sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airlock.adapters.slack.views import gate_table
from airlock.adapters.slack.views.blocks import (
    Part,
    Room,
    actions,
    bounded,
    context,
    fitting,
    header,
    link,
    link_button,
    mrkdwn,
    numbered,
    one_line,
    safe,
    section,
)
from airlock.adapters.slack.views.blocks import plain as text_of
from airlock.adapters.slack.views.card import EVIDENCE, request_text
from airlock.adapters.slack.views.home import MOST, waiting_line
from airlock.adapters.slack.views.parts import (
    ASKING,
    facts,
    full_model,
    identity,
    release_title,
    spoken_label,
)
from airlock.adapters.slack.views.result_view import OUTCOMES
from airlock.adapters.slack.views.result_view import text as outcome_text
from airlock.adapters.slack.views.vote_trail import View, trail

_USAGE = (
    ("/airlock pending", "what waits for you"),
    ("/airlock show ID", "one release"),
    ("/airlock link CODE", "link this account to yours; the page Slack in Airflow shows the code"),
    ("/airlock delegate", "lend your vote for a while"),
)


def pending(items: Sequence[Mapping[str, Any]]) -> Part:
    """Return the list of releases awaiting somebody."""
    if not items:
        return plain("Nothing waits for you.")
    lines = [_pending(item) for item in items[:MOST]]
    left = len(items) - len(lines)
    more = [context(mrkdwn(f"and {left} more, on the page"))] if left else []
    text = f"{len(items)} wait for you"
    return _reply(text, [header(text), *(section(mrkdwn(line)) for line in lines), *more])


def _pending(item: Mapping[str, Any]) -> str:
    page = link(str(item.get("page") or ""), one_line(item["id"], 64))
    return f"{waiting_line(item)}, {page}"


def release_status(view: View) -> Part:
    """Return the status of a release, without buttons that answer: those are on its card."""
    asking = view["state"] == ASKING
    text = request_text(view) if asking else outcome_text(view)
    return _reply(text, fitting(lambda room: _status_blocks(view, room)))


def _status_blocks(view: View, room: Room) -> list[Part]:
    asking = view["state"] == ASKING
    icon, title, _ = OUTCOMES.get(view["state"], ("\N{VERTICAL TRAFFIC LIGHT}", "Waiting", ""))
    page = link_button(
        EVIDENCE, "View evidence", f"View {spoken_label(view)}", str(view.get("page") or "")
    )
    return [
        header(f"{icon} {title}: {release_title(view)}"),
        *full_model(view),
        *([facts(view)] if asking else [section(mrkdwn(outcome_text(view)))]),
        *gate_table.monospaced(view, room),
        *gate_table.waivers(view, room),
        *gate_table.changed(view, room),
        *trail(view, room),
        *actions(page),
        context(mrkdwn(identity(view))),
    ]


def usage() -> Part:
    """Return the usage of the command."""
    lines = "\n".join(f"`{command}` {description}" for command, description in _USAGE)
    commands = ", ".join(command for command, _ in _USAGE)
    return _reply(f"Airlock: {commands}", [section(mrkdwn(lines))])


def plain(text: str) -> Part:
    """Return a sentence, as it is."""
    return _reply(safe(text, 700), [section(text_of(text))])


def _reply(text: str, blocks: Sequence[Part]) -> Part:
    return {"response_type": "ephemeral", "text": bounded(text), "blocks": numbered(blocks)}
