"""The part of the report about people: who answered, as what, and who may not."""

from __future__ import annotations

from airlock_evidence.dossier import Dossier
from airlock_evidence.levels import needs
from airlock_evidence.markup import code, pairs, paragraph, pill, section, table, text
from airlock_evidence.told import ROLE, Vote
from airlock_evidence.words import apart, span, when


def approvals(dossier: Dossier) -> str:
    """Return the part about approvals."""
    release, parts = dossier.release, []
    for number_, level in enumerate(dossier.levels, 1):
        state, tone = _state(dossier, number_)
        parts.append(
            f"<h3>Level {number_}: {text(apart(level['name']))} {pill(state, tone)}</h3>\n"
            f'<p class="quiet">needs {text(needs(level))}</p>\n'
        )
        votes = [vote for vote in release.votes_now() if vote.level == number_]
        parts += [_vote(dossier, vote) for vote in votes] or [
            paragraph("Nobody answered.", "quiet")
        ]
    if not dossier.levels:
        parts.append(paragraph("This environment needs no approval by people.", "quiet"))
    before = [vote for vote in release.votes if vote.round != release.round]
    if before:
        parts.append("<h3>Void answers of earlier rounds</h3>\n")
        parts += [_vote(dossier, vote) for vote in before]
    return section("Approvals", *parts, _excluded(dossier), _emergency(dossier))


def _state(dossier: Dossier, level: int) -> tuple[str, str]:
    if level in dossier.release.complete:
        return "complete", "good"
    return ("open", "wait") if dossier.release.level == level else ("not complete", "")


def _vote(dossier: Dossier, vote: Vote) -> str:
    void = vote.round != dossier.release.round
    kind = "void" if void else "no" if vote.decision == "reject" else "yes"
    did = "rejected" if vote.decision == "reject" else "approved"
    roles = ", ".join(apart(role) for role in vote.roles) or "no role"
    rows = [
        ("Role at that time", roles),
        ("Answered", f"{when(vote.at)}, {span(vote.opened_at, vote.at)} after the level opened"),
        ("Through", vote.channel),
        ("Shown and answered to", code(vote.subject_digest)),
        *([("Round", f"{vote.round}, void")] if void else []),
        *([("Conditions", _conditions(vote))] if vote.conditions else []),
    ]
    return (
        f'<div class="vote {kind}">\n<p><strong>{text(vote.person)}</strong>'
        f"{text(_behind(dossier, vote))} {did}</p>\n<blockquote>{text(vote.reason)}</blockquote>\n"
        f"{pairs(rows)}\n</div>\n"
    )


def _behind(dossier: Dossier, vote: Vote) -> str:
    if vote.capacity == "own":
        return ""
    principal = vote.behind.replace(ROLE, "the ", 1) if vote.behind else "nobody"
    held_roles = (
        dossier.rights.roles(vote.principal, vote.at) if vote.principal != vote.person else None
    )
    roles = f" ({', '.join(apart(role) for role in sorted(held_roles))})" if held_roles else ""
    word = {"delegate": "as delegate of", "stand-in": "standing in for", "fallback": "in place of"}
    return f", {word.get(vote.capacity, vote.capacity)} {principal}{roles},"


def _conditions(vote: Vote) -> str:
    conditions = vote.conditions
    parts = []
    if conditions.get("max_traffic_share"):
        parts.append(f"at most {100 * conditions['max_traffic_share']:g} % of the traffic")
    if conditions.get("segments"):
        parts.append(f"only {', '.join(conditions['segments'])}")
    if conditions.get("expires_at"):
        parts.append(f"until {when(conditions['expires_at'])}")
    parts += [
        f"{finding['owner']} by {finding['due'][:10]}: {finding['text']}"
        for finding in conditions.get("findings", [])
    ]
    return "; ".join(parts)


def _excluded(dossier: Dossier) -> str:
    barred = {dossier.release.requester: "asked for this release", **dossier.release.excluded}
    rows = [[person, why] for person, why in sorted(barred.items())]
    return "<h3>Who may not judge this release</h3>\n" + table(
        ["Person", "Because this person"], rows
    )


def _emergency(dossier: Dossier) -> str:
    release = dossier.release
    people = release.emergency.get("people", [])
    if not people:
        return ""
    rows = [
        [person["person"], ", ".join(person["roles"]), when(person["at"]), person["reason"]]
        for person in people
    ]
    rows += [
        [review["by"], "review", when(review["at"]), review["note"]] for review in release.reviews
    ]
    return "<h3>Breaking the glass</h3>\n" + table(["Person", "As", "When", "Reason"], rows)
