"""The log in words: one sentence per event, the same on the page and in the terminal.

An event this module does not know still gets a sentence. It reads the content of an entry
(`airlock.domain.log.audit`), and nothing else.
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


def _requested(data: Content, content: Content) -> str:
    subject = data["subject"]
    again = f", {content['why']}" if content["why"] else ""
    return (
        f"asked to release {subject['model']} version {subject['version']} into "
        f"{subject['environment']} ({data['tier']} risk, subject {short(data['subjectDigest'])})"
        f"{again}"
    )


def _gate_counts(data: Content, _: Content) -> str:
    counts = Counter(str(result["verdict"]).lower() for result in data["results"])
    return "gates judged: " + (", ".join(f"{n} {v}" for v, n in sorted(counts.items())) or "none")


def _vote(data: Content, content: Content) -> str:
    did = "approved" if data["decision"] == "approve" else "rejected"
    behind = str(data.get("behind", ""))
    role = behind.removeprefix("role/")
    on_behalf = (
        f", standing in for the {role}" if role != behind else f" for {behind}" if behind else ""
    )
    tied = ", under conditions" if data.get("conditions") else ""
    return f"{did} at level {data['level']}{on_behalf}{tied}: {content['why']}"


def _voided(data: Content, content: Content) -> str:
    voters = ", ".join(data["voters"]) or "nobody had answered yet"
    return (
        f"every answer is void, the subject changed from {short(data['oldDigest'])} to "
        f"{short(data['newDigest'])} ({', '.join(data['differs'])}; answered: {voters}): "
        f"{content['why']}"
    )


def _refused(_: Content, content: Content) -> str:
    return f"tried to answer and was refused: {content['why']}"


def _opened(data: Content, _: Content) -> str:
    return f"level {data['level']} ({data['name']}) opened"


def _undelivered(data: Content, content: Content) -> str:
    ended = "waits until somebody mends this" if data.get("kept") else "given up"
    return f"{data['kind']} {ended}: {content['why']}"


def _promoted(data: Content, _: Content) -> str:
    before = data["before"] or "nothing"
    return f"alias {data['alias']} moved from {before} to version {data['after']}"


def _rights(_: Content, content: Content) -> str:
    def describe(rights: Content | None) -> str:
        if rights is None:
            return "unknown"
        roles = ", ".join(rights["roles"]) or "no role"
        return roles if rights["active"] else f"not active ({roles})"

    person = str(content["resource"]).removeprefix("user/")
    return f"rights of {person}: {describe(content['old'])}, now {describe(content['new'])}"


_WORDS: Mapping[str, Callable[[Content, Content], str]] = {
    "ReleaseRequested": _requested,
    "GatesJudged": _gate_counts,
    "VoteCast": _vote,
    "VoteRefused": _refused,
    "LevelOpened": _opened,
    "LevelCompleted": lambda data, _: f"level {data['level']} is complete",
    "ReleaseApproved": lambda _, content: f"approved: {content['why']}",
    "ReleaseBlocked": lambda _, content: f"blocked: {content['why']}",
    "ReleaseRejected": lambda _, content: f"ended: {content['why']}",
    "ReleaseWithdrawn": lambda _, content: f"ended: {content['why']}",
    "ReleaseSuperseded": lambda _, content: f"ended: {content['why']}",
    "ReleaseExpired": lambda _, content: f"expired: {content['why']}",
    "LevelReminded": lambda data, _: (
        f"level {data['level']} still waits: reminder {data['number']}"
        + (f", level {data['nextLevel']} informed" if data["nextLevel"] else "")
    ),
    "DeliveryOverdue": lambda _, content: f"alarm: {content['why']}",
    "DeliveryFailed": _undelivered,
    "WithdrawalRefused": lambda _, content: f"tried to withdraw and was refused: {content['why']}",
    "PromotionRefused": lambda _, content: f"promotion refused: {content['why']}",
    "GrantIssued": lambda data, _: f"grant {data['grant']} issued, signed with key {data['key']}",
    "RightsChanged": _rights,
    "SlackAnswer": lambda data, _: (
        f"answered {data['release']} ({data['decision']}) in Slack, as {data['account']} of "
        f"{data['team']}, having seen {short(data['subjectDigest'])}"
    ),
    "SlackRefused": lambda data, content: f"Slack, {data['about']}: refused, {content['why']}",
    "AccessRefused": lambda _, content: f"was refused: {content['why']}",
    "Registered": lambda _, content: (
        f"{content['resource']} registered as {short(content['new']['digest'])}"
    ),
    "LogRead": lambda data, _: (
        "read the evidence report"
        if "report" in data
        else "read the log" + (f": {data['entries']} entries" if "entries" in data else "")
    ),
    "LogVerified": lambda data, _: (
        f"checked the log: {data['events']} events, {data['damages']} damages"
    ),
    "PersonalTextErased": lambda data, content: (
        f"erased what {data['person']} had written ({data['texts']} texts): {content['why']}"
    ),
    "LogExported": lambda _, content: f"took the log away: {content['why']}",
    "EvidenceExported": lambda data, content: (
        f"took the evidence of {data['release']} away: {content['why']}"
    ),
    "AuditLag": lambda _, content: f"alarm: {content['why']}",
    "CheckpointRefused": lambda _, content: f"alarm: {content['why']}",
    "KeyRotated": lambda data, _: f"key {data['old']} given up, {data['new']} signs from now on",
    "PromotionStarted": lambda data, _: f"promotion started with grant {data['grant']}",
    "ReleasePromoted": _promoted,
    "ReleaseVoided": _voided,
    "FindingRaised": lambda data, content: (
        f"{data['finding']}: {data['owner']} has to mend by {data['due']}: {content['why']}"
    ),
    "FindingClosed": lambda data, content: f"closed {data['finding']}: {content['why']}",
    "GlassBroken": lambda data, content: (
        f"broke the glass for {data['incident']}, alone so far: {content['why']}"
    ),
    "GlassConfirmed": lambda data, content: (
        f"broke the glass for {data['incident']} too: {content['why']}"
    ),
    "WaiverGranted": lambda data, content: (
        f"waived {data['gate']} ({data['verdict']}) until {data['until']}: {content['why']}"
    ),
    "WaiverRefused": lambda _, content: f"tried to waive a gate: {content['why']}",
    "BreakGlassRefused": lambda _, content: f"tried to break the glass: {content['why']}",
    "GlassReviewed": lambda data, content: (
        f"reviewed the emergency {data['incident']}{' (late)' if data['late'] else ''}: "
        f"{content['why']}"
    ),
    "ReviewOverdue": lambda data, content: (
        f"alarm, day {data['number']}: {content['why']}, due {data['reviewDue']}"
    ),
    "ReviewRefused": lambda _, content: f"tried to review and was refused: {content['why']}",
    "RollbackGranted": lambda data, content: (
        f"allowed going back to version {data['version']} ({data['to']}): {content['why']}"
    ),
    "PromotionEnded": lambda data, content: (
        f"the alias was not moved, grant {data['grant']} is revoked: {content['why']}"
    ),
    "RollbackAllowed": lambda data, content: (
        f"allowed going back to version {data['version']} ({data['to']}) until "
        f"{data['until']}: {content['why']}"
    ),
    "RollbackEnded": lambda data, content: (
        f"the alias was not moved back, grant {data['grant']} is revoked: {content['why']}"
    ),
    "RollbackStarted": lambda data, _: f"rollback started with grant {data['grant']}",
    "RollbackRefused": lambda _, content: f"rollback refused: {content['why']}",
    "ReleaseRolledBack": lambda data, _: (
        f"alias {data['alias']} moved back from {data['before']} to version {data['after']}"
    ),
    "Delegated": lambda data, content: (
        f"{data['taker']} may answer for {data['giver']} from {data['start']} to "
        f"{data['end']}: {content['why']}"
    ),
    "DriftFound": lambda _, content: f"alarm: {content['why']}",
    "DriftMended": lambda data, _: f"over: {data['kind']} of {data['thing']}",
    "AliasSetBack": lambda _, content: (
        f"set {content['resource'].removeprefix('registry/')} back from "
        f"{content['old']['value'] or 'nothing'} to version {content['new']['value']}"
    ),
    "AliasNotSetBack": lambda _, content: f"could not set an alias back: {content['why']}",
    "DelegationEnded": lambda data, _: f"{data['taker']} no longer answers for {data['giver']}",
    "AccountSeen": lambda data, _: f"the account of {data['person']} was seen for the first time",
    "AccountChanged": lambda _, content: f"alarm: {content['why']}",
    "LookAlikeRefused": lambda _, content: f"alarm: {content['why']}",
    "ApproverProposed": lambda data, content: (
        f"proposed {data['person']} as {data['role']} ({data['enrolment']}): {content['why']}"
    ),
    "ApproverConfirmed": lambda data, content: (
        f"confirmed {data['person']} as {data['role']}, whom {data['proposedBy']} had proposed: "
        f"{content['why']}"
    ),
    "ApproverSuspended": lambda data, content: (
        f"suspended {data['person']} as {data['role']}: {content['why']}"
    ),
    "ApproverEnded": lambda data, content: (
        f"ended that {data['person']} is {data['role']}: {content['why']}"
    ),
    "SlackLinked": lambda data, _: (
        f"{data['person']} is {data['account']} in Slack ({data['team']}) from now on"
    ),
    "SlackUnlinked": lambda data, content: (
        f"{data['person']} is no longer {data['account']} in Slack"
        + (f": {content['why']}" if content["why"] else "")
    ),
    "SlackLinkRefused": lambda data, content: (
        f"the Slack account {data['account']} was not linked: {content['why']}"
    ),
}
