"""What every message about a release says in the same words: what it is, and how it stands."""

from __future__ import annotations

from airlock.adapters.slack.views.blocks import (
    Part,
    clip,
    fields,
    length,
    one_line,
    plain,
    safe,
    section,
    when,
)
from airlock.adapters.slack.views.vote_trail import View, called, level_words, name, needed
from airlock.domain.digest import short

#: The only state in which somebody is asked.
ASKING = "AWAITING_APPROVAL"
WARNING = "\N{WARNING SIGN}\N{VARIATION SELECTOR-16}"
#: So much of a model's name, and of a version or an environment, fits into a headline.
MODEL, SHORT = 70, 20
_TIERS = {
    "high": "\N{LARGE RED CIRCLE} high",
    "medium": "\N{LARGE ORANGE CIRCLE} medium",
    "low": "\N{LARGE GREEN CIRCLE} low",
}


def release_title(view: View) -> str:
    """Name the model version and its environment, as data."""
    return (
        f"{one_line(view['model'], MODEL)} v{one_line(view['version'], SHORT)} "
        f"\N{RIGHTWARDS ARROW} {one_line(view['environment'], SHORT)}"
    )


def spoken(view: View) -> str:
    """Name the model version and its environment, for mrkdwn."""
    return (
        f"{safe(view['model'], 80)} version {safe(view['version'], SHORT)} into "
        f"{safe(view['environment'], 40)}"
    )


def spoken_label(view: View) -> str:
    """Name a button's release for a screen reader."""
    return f"{clip(one_line(view['model'], 80), 30)} version {one_line(view['version'], 10)}"


def digest(view: View) -> str:
    """Return the digest as people compare it, for mrkdwn."""
    return safe(short(str(view["subject"]["digest"])), 20)


def identity(view: View) -> str:
    """Say in small print which release of what this is, for mrkdwn."""
    return (
        f"{safe(view['id'], 64)} \N{MIDDLE DOT} subject {digest(view)} \N{MIDDLE DOT} round "
        f"{view['round']}"
    )


def full_model(view: View) -> list[Part]:
    """Return the whole name of a model that a headline cuts off."""
    model = str(view["model"])
    return [section(plain(f"Model: {model}", 400))] if length(model) > MODEL else []


def tier(view: View) -> str:
    """Return the risk tier, for mrkdwn."""
    return _TIERS.get(view["tier"]) or safe(view["tier"], 20)


def facts(view: View) -> Part:
    """Return the tier, the level, its approvers and the deadline."""
    due = when(view["deadline"]) if view.get("deadline") else "no deadline"
    return fields(
        [
            ("Risk tier", tier(view)),
            ("Level", safe(level_words(view))),
            ("May answer", called(view, view["mayAnswer"])),
            ("Still needed", safe(needed(view), 200)),
            ("Answer by", due),
            ("Asked for by", safe(name(view, view["requester"]))),
            ("Serving now", serving(view)),
            ("Compared with", _champion(view)),
        ]
    )


def serving(view: View) -> str:
    """Name the version that serves now, for mrkdwn."""
    version = (view.get("line") or {}).get("version")
    return f"version {safe(version, 40)}" if version else "nothing: first release"


def _champion(view: View) -> str:
    version = view.get("championVersion")
    return f"version {safe(version, 40)}, the champion then" if version else "no champion"
