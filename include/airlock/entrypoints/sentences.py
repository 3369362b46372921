"""The log in words: one sentence per event, the same on the page and in the terminal.

An event this module does not know still gets a sentence. It reads the content of an entry
(`airlock.domain.audit`), and nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from airlock.domain.digest import short

Content = Mapping[str, Any]


#: What follows from somebody's action by itself; naming the person again would mislead.
CONSEQUENCES = frozenset(
    {
        "GatesJudged",
        "LevelOpened",
        "LevelCompleted",
        "ReleaseApproved",
        "ReleaseBlocked",
        "ReleaseRejected",
        "GrantIssued",
    }
)


def is_consequence(content: Content) -> bool:
    """Say whether an event follows by itself from the one before it."""
    return content["what"] in CONSEQUENCES


def sentence(content: Content) -> str:
    """Say what happened, without who and when."""
    say = _WORDS.get(content["what"])
    try:
        return say(content["data"], content) if say else _unknown(content)
    except (KeyError, TypeError, AttributeError):  # an older event with other fields
        return _unknown(content)


def _unknown(content: Content) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", str(content["what"])).lower()
    return f"{words}: {content['why']}" if content["why"] else words


def _requested(data: Content, _: Content) -> str:
    subject = data["subject"]
    return (
        f"asked to release {subject['model']} version {subject['version']} into "
        f"{subject['environment']} ({data['tier']} risk, subject {short(data['subjectDigest'])})"
    )


def _judged(data: Content, _: Content) -> str:
    counts = Counter(str(result["verdict"]).lower() for result in data["results"])
    return "gates judged: " + (", ".join(f"{n} {v}" for v, n in sorted(counts.items())) or "none")


def _vote(data: Content, content: Content) -> str:
    did = "approved" if data["decision"] == "approve" else "rejected"
    return f"{did} at level {data['level']}: {content['why']}"


def _refused(_: Content, content: Content) -> str:
    return f"tried to answer and was refused: {content['why']}"


def _opened(data: Content, _: Content) -> str:
    return f"level {data['level']} ({data['name']}) opened"


def _promoted(data: Content, _: Content) -> str:
    before = data["before"] or "nothing"
    return f"alias {data['alias']} moved from {before} to version {data['after']}"


def _rights(_: Content, content: Content) -> str:
    def held(rights: Content | None) -> str:
        if rights is None:
            return "unknown"
        roles = ", ".join(rights["roles"]) or "no role"
        return roles if rights["active"] else f"not active ({roles})"

    person = str(content["resource"]).removeprefix("user/")
    return f"rights of {person}: {held(content['old'])}, now {held(content['new'])}"


_WORDS: Mapping[str, Callable[[Content, Content], str]] = {
    "ReleaseRequested": _requested,
    "GatesJudged": _judged,
    "VoteCast": _vote,
    "VoteRefused": _refused,
    "LevelOpened": _opened,
    "LevelCompleted": lambda data, _: f"level {data['level']} is complete",
    "ReleaseApproved": lambda _, content: f"approved: {content['why']}",
    "ReleaseBlocked": lambda _, content: f"blocked: {content['why']}",
    "ReleaseRejected": lambda _, content: f"ended: {content['why']}",
    "ReleaseWithdrawn": lambda _, content: f"ended: {content['why']}",
    "ReleaseSuperseded": lambda _, content: f"ended: {content['why']}",
    "WithdrawalRefused": lambda _, content: f"tried to withdraw and was refused: {content['why']}",
    "PromotionRefused": lambda _, content: f"promotion refused: {content['why']}",
    "GrantIssued": lambda data, _: f"grant {data['grant']} issued, signed with key {data['key']}",
    "RightsChanged": _rights,
    "AccessRefused": lambda _, content: f"was refused: {content['why']}",
    "Registered": lambda _, content: (
        f"{content['resource']} registered as {short(content['new']['digest'])}"
    ),
    "PromotionStarted": lambda data, _: f"promotion started with grant {data['grant']}",
    "ReleasePromoted": _promoted,
}
