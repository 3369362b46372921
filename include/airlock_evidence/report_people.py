"""The part of the report about people: who answered, as what, and who may not."""

from __future__ import annotations

from airlock_evidence.dossier import Dossier
from airlock_evidence.levels import needs
from airlock_evidence.markup import code, pairs, paragraph, pill, section, table, text
from airlock_evidence.told import ROLE, Vote
from airlock_evidence.words import apart, span, when


def approvals(dossier: Dossier) -> str:
    """Return the part about approvals."""
    told, parts = dossier.told, []
    for number_, level in enumerate(dossier.levels, 1):
        state, tone = _state(dossier, number_)
        parts.append(
            f"<h3>Level {number_}: {text(apart(level['name']))} {pill(state, tone)}</h3>\n"
            f'<p class="quiet">needs {text(needs(level))}</p>\n'
        )
        votes = [vote for vote in told.votes_now() if vote.level == number_]
        parts += [_vote(dossier, vote) for vote in votes] or [
            paragraph("Nobody answered.", "quiet")
        ]
    if not dossier.levels:
        parts.append(paragraph("This environment needs no approval by people.", "quiet"))
    before = [vote for vote in told.votes if vote.round != told.round]
    if before:
        parts.append("<h3>Void answers of earlier rounds</h3>\n")
        parts += [_vote(dossier, vote) for vote in before]
    return section("Approvals", *parts, _excluded(dossier), _emergency(dossier))


def _state(dossier: Dossier, level: int) -> tuple[str, str]:
    if level in dossier.told.complete:
        return "complete", "good"
    return ("open", "wait") if dossier.told.level == level else ("not complete", "")


def _vote(dossier: Dossier, vote: Vote) -> str:
    void = vote.round != dossier.told.round
    kind = "void" if void else "no" if vote.decision == "reject" else "yes"
    did = "rejected" if vote.decision == "reject" else "approved"
    roles = ", ".join(apart(role) for role in vote.roles) or "no role"
    shown = [
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
        f"{pairs(shown)}\n</div>\n"
    )


def _behind(dossier: Dossier, vote: Vote) -> str:
    if vote.capacity == "own":
        return ""
    whom = vote.behind.replace(ROLE, "the ", 1) if vote.behind else "nobody"
    held = dossier.rights.roles(vote.principal, vote.at) if vote.principal != vote.person else None
    roles = f" ({', '.join(apart(one) for one in sorted(held))})" if held else ""
    word = {"delegate": "as delegate of", "stand-in": "standing in for", "fallback": "in place of"}
    return f", {word.get(vote.capacity, vote.capacity)} {whom}{roles},"


def _conditions(vote: Vote) -> str:
    said = vote.conditions
    found = []
    if said.get("max_traffic_share"):
        found.append(f"at most {100 * said['max_traffic_share']:g} % of the traffic")
    if said.get("segments"):
        found.append(f"only {', '.join(said['segments'])}")
    if said.get("expires_at"):
        found.append(f"until {when(said['expires_at'])}")
    found += [
        f"{one['owner']} by {one['due'][:10]}: {one['text']}" for one in said.get("findings", [])
    ]
    return "; ".join(found)


def _excluded(dossier: Dossier) -> str:
    barred = {dossier.told.requester: "asked for this release", **dossier.told.excluded}
    rows = [[person, why] for person, why in sorted(barred.items())]
    return "<h3>Who may not judge this release</h3>\n" + table(
        ["Person", "Because this person"], rows
    )


def _emergency(dossier: Dossier) -> str:
    told = dossier.told
    people = told.emergency.get("people", [])
    if not people:
        return ""
    rows = [
        [one["person"], ", ".join(one["roles"]), when(one["at"]), one["reason"]] for one in people
    ]
    rows += [[one["by"], "review", when(one["at"]), one["note"]] for one in told.reviews]
    return "<h3>Breaking the glass</h3>\n" + table(["Person", "As", "When", "Reason"], rows)
