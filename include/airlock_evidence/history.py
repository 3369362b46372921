"""One sentence for one event of a release's log; an unknown event still gets one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from airlock_evidence.words import apart, optional, short

Content = Mapping[str, Any]


def sentence(content: Content) -> str:
    """Describe an event, without who and when."""
    data, why = content["data"], str(content["why"])
    say = _WORDS.get(content["what"])
    try:
        phrase = say(data) if say else apart(content["what"])
    except (KeyError, TypeError, AttributeError):  # an older event with other fields
        phrase = apart(content["what"])
    return f"{phrase}: {why}" if why else phrase


def _requested(data: Content) -> str:
    subject = data["subject"]
    return f"asked to release version {subject['version']} ({short(data['subjectDigest'])})"


def _gates_judged(data: Content) -> str:
    counts = Counter(str(result["verdict"]).lower() for result in data["results"])
    return "gates judged: " + (", ".join(f"{n} {v}" for v, n in sorted(counts.items())) or "none")


def _vote(data: Content) -> str:
    did = "approved" if data["decision"] == "approve" else "rejected"
    behind = str(data.get("behind", "")).replace("role/", "the ", 1)
    principal = f" for {behind}" if behind else ""
    tied = ", under conditions" if data.get("conditions") else ""
    return f"{did} at level {data['level']}{principal}{tied}"


def _moved(data: Content) -> str:
    return f"alias {data['alias']} moved from {optional(data['before'])} to {data['after']}"


_WORDS: dict[str, Callable[[Content], str]] = {
    "ReleaseRequested": _requested,
    "GatesJudged": _gates_judged,
    "VoteCast": _vote,
    "VoteRefused": lambda _: "tried to answer and was refused",
    "LevelOpened": lambda data: f"level {data['level']} ({data['name']}) opened",
    "LevelCompleted": lambda data: f"level {data['level']} is complete",
    "LevelReminded": lambda data: f"level {data['level']} still waits, reminder {data['number']}",
    "GrantIssued": lambda data: f"grant {data['grant']} issued, signed with key {data['key']}",
    "PromotionEnded": lambda data: f"promotion ended without a move, grant {data['grant']} revoked",
    "PromotionStarted": lambda data: f"promotion started with grant {data['grant']}",
    "ReleasePromoted": _moved,
    "ReleaseVoided": lambda data: f"every answer is void, changed: {', '.join(data['differs'])}",
    "GlassBroken": lambda data: f"broke the glass for {data['incident']}",
    "GlassConfirmed": lambda data: f"broke the glass for {data['incident']} too",
    "RollbackAllowed": lambda data: f"allowed going back to version {data['version']}",
    "RollbackEnded": lambda data: f"going back ended without a move, grant {data['grant']} revoked",
    "RollbackGranted": lambda data: f"allowed going back to version {data['version']}",
    "ReleaseRolledBack": _moved,
    "WaiverGranted": lambda data: f"waived {data['gate']} until {data['until'][:10]}",
    "FindingRaised": lambda data: f"{data['owner']} has to mend by {data['due'][:10]}",
}
