"""Who was asked, who may answer and who has answered, as it stands on a card.

Only those who may answer now are mentioned, so that nobody is pinged for what is not theirs. In the
trail people are named, with their ids, because a name alone does not say who it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airlock.adapters.slack.views.blocks import (
    WIDE,
    Part,
    Room,
    context,
    listed,
    mention,
    mrkdwn,
    one_line,
    plain,
    safe,
    when,
)
from airlock.domain.number_format import NONE, number

View = Mapping[str, Any]

#: People named in one place; more are counted.
NAMED = 10
_DOORS = {
    "page": "on the page",
    "api": "by the API",
    "cli": "in a terminal",
    "slack": "in Slack",
    "dag": "by a run",
    "system": "by Airlock",
}


def name(view: View, person: str) -> str:
    """Return somebody's name and id, as data."""
    called = str(view.get("names", {}).get(person) or person)
    return person if called.casefold() == person.casefold() else f"{called} ({person})"


def called(view: View, people: Sequence[str]) -> str:
    """Mention those who have linked an account, name the others, for mrkdwn."""
    accounts = view.get("accounts", {})
    first = people[:NAMED]
    parts = (mention(str(accounts.get(person, ""))) or safe(name(view, person)) for person in first)
    return listed(parts, 700, len(people)) or "nobody"


def named(view: View, people: Sequence[str]) -> str:
    """Name people without a mention, for mrkdwn."""
    parts = (safe(name(view, person), 60) for person in people[:NAMED])
    return listed(parts, 500, len(people)) or "nobody"


def open_level(view: View) -> Mapping[str, Any] | None:
    """Return the level that waits for answers, or None."""
    levels = view.get("levels") or []
    at = int(view.get("level") or 0)
    return levels[at - 1] if 0 < at <= len(levels) else None


def spoken_name(level: Mapping[str, Any]) -> str:
    """Return a level's name as words."""
    return str(level["name"]).replace("-", " ").replace("_", " ")


def level_words(view: View) -> str:
    """Say which level is open, as data."""
    level = open_level(view)
    if level is None:
        return NONE
    return f"{level['number']} of {len(view['levels'])} ({spoken_name(level)})"


def needed(view: View) -> str:
    """State the votes the open level still needs, as data."""
    level = open_level(view)
    if level is None:
        return NONE
    gaps = [str(gap["needs"]) for gap in level.get("missing") or ()]
    return ", ".join(gaps) or str(level["needs"])


def trail(view: View, room: Room = WIDE) -> list[Part]:
    """Return the votes of this round, level by level, oldest first."""
    answers = [
        (level, vote)
        for level in view.get("levels") or []
        for vote in (*level["votes"], *([None] if level["state"] == "skipped" else []))
    ]
    left = len(answers) - room.answers
    more = [context(mrkdwn(f"{left} earlier answers are on the page"))] if left > 0 else []
    visible = answers[max(left, 0) :]
    return more + [
        _vote(view, level, vote, room) if vote else _skipped(level) for level, vote in visible
    ]


def _skipped(level: Mapping[str, Any]) -> Part:
    text = f"Level {level['number']}, {safe(spoken_name(level), 60)}: skipped in an emergency"
    return context(mrkdwn(f"\N{WARNING SIGN}\N{VARIATION SELECTOR-16} {text}"))


def _vote(view: View, level: Mapping[str, Any], vote: Mapping[str, Any], room: Room) -> Part:
    good = vote["decision"] == "approve"
    icon = "\N{WHITE HEAVY CHECK MARK}" if good else "\N{CROSS MARK}"
    word = "approved" if good else "rejected"
    tied = conditions(vote.get("conditions") or {})
    door = _DOORS.get(vote["channel"]) or safe(vote["channel"], 20)
    text = (
        f"{icon} Level {level['number']}, {safe(spoken_name(level), 60)}: *{word}* by "
        f"{safe(name(view, vote['person']))}{_behind(vote)}, {door}, "
        f"{when(vote['at'])}{', *under conditions*' if tied else ''}"
    )
    return context(
        mrkdwn(text),
        plain(quoted(vote["reason"], room.reason_length)),
        *([plain(one_line("; ".join(tied), 2 * room.reason_length))] if tied else []),
    )


def quoted(text: object, limit: int) -> str:
    """Return a person's words in quotation marks, on one line."""
    short = one_line(text, limit)
    return f"\N{LEFT DOUBLE QUOTATION MARK}{short}\N{RIGHT DOUBLE QUOTATION MARK}"


def _behind(vote: Mapping[str, Any]) -> str:
    behind = str(vote.get("behind") or "")
    role = behind.removeprefix("role/")
    if role != behind:
        return f" in the place of the {safe(role.replace('_', ' '), 40)}"
    return f" for {safe(behind, 40)}" if behind else ""


def conditions(tied: Mapping[str, Any]) -> list[str]:
    """Return the conditions of an approval, as data."""
    share, until = tied.get("max_traffic_share"), tied.get("expires_at")
    segments, findings = tied.get("segments") or (), tied.get("findings") or ()
    terms = [f"at most {number(100 * share)} % of the traffic"] if share is not None else []
    if segments:
        terms.append(f"only for {', '.join(map(str, segments))}")
    if until:
        terms.append(f"good until {until}")
    return terms + [
        f"{finding['owner']} mends by {finding['due']}: {finding['text']}" for finding in findings
    ]
