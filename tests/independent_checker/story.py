"""The story of a bundle, folded by chapter 8 of docs/reference/evidence-format.md alone."""

from types import SimpleNamespace

from tests.independent_checker.checker import canonical, demand, digest, same

WAITS = "AWAITING_APPROVAL"
MOVES = {
    "REQUESTED": "BLOCKED AWAITING_APPROVAL APPROVED",
    "BLOCKED": "AWAITING_APPROVAL APPROVED",
    WAITS: "AWAITING_APPROVAL APPROVED VOIDED REJECTED WITHDRAWN SUPERSEDED EXPIRED",
    "APPROVED": "PROMOTING WITHDRAWN SUPERSEDED EXPIRED VOIDED",
    "VOIDED": "AWAITING_APPROVAL",
    "PROMOTING": "APPROVED PROMOTED",
    "PROMOTED": "ROLLED_BACK",
    "": "REQUESTED",
}
ENDS = [
    "REQUESTED",
    "BLOCKED",
    "APPROVED",
    "REJECTED",
    "WITHDRAWN",
    "SUPERSEDED",
    "EXPIRED",
    "VOIDED",
    "PROMOTED",
]
TO = {
    "LevelOpened": WAITS,
    "ReleaseRolledBack": "ROLLED_BACK",
    "PromotionEnded": "APPROVED",
    "PromotionStarted": "PROMOTING",
    **{f"Release{one.title()}": one for one in ENDS},
}


def fold(s):
    vars(s).update(
        state="",
        level=0,
        round=1,
        complete=[],
        gates=[],
        waivers=[],
        grants=[],
        backs=[],
        starts=[],
        ended=[],
        attempt={},
        now=[],
        allowed={},
        promotion={},
        rolled_back={},
        emergency={},
        approved="",
        no=False,
        origin="",
        under="",
        digest="",
        excluded={},
        tier="",
    )
    for entry in s.stream:
        where = f"log entry {entry['seq']} ({entry['what']})"
        for when in ("old", "new"):
            here = {"state": s.state, "level": s.level, "round": s.round}
            said = entry.get(when) or {}
            same(where, {when: said if "state" in said else here}, {when: here})
            if when == "old":
                step(s, entry, entry["data"], entry["what"], entry["who"]["id"], where)
    demand(not s.no, where, "says no, and the release did not end")


def step(s, entry, d, what, who, where):
    def must(good, why):
        demand(good, where, why)

    def unbarred(people):
        own = {*people} & {s.requester, *s.excluded}
        must(
            not own and not who.startswith("system:"), f"{', '.join(own) or who} may not judge this"
        )

    level, was = s.level, s.state
    must(was or what == "ReleaseRequested", "comes before the release was asked for")
    must(not s.no or what == "ReleaseRejected", "comes after a no, which is final")
    lasting = "until" in d or not what.endswith("Started")  # attempts have an end since ADR 0040
    if what in TO and lasting:
        begun = what == "ReleasePromoted" and any("until" not in one for one in s.starts)
        source = "PROMOTING" if begun else was
        must(TO[what] in MOVES.get(source, "").split(), f"{was} cannot become {TO[what]}")
        must(was != "BLOCKED" or s.waivers, "goes on from BLOCKED without a waiver")
        s.state, s.level = TO[what], 0
    match what:
        case "ReleaseRequested" | "ReleaseVoided":
            same(
                where,
                {"id": entry["stream"], "oldDigest": s.digest, **d},
                {"id": entry["stream"], "oldDigest": s.digest},
            )
            s.digest = digest(canonical(d["subject"]))
            same(where, d, {"newDigest" if was else "subjectDigest": s.digest})
            s.excluded = d.get("excluded", s.excluded if d["origin"] == s.origin else {})
            s.subject, s.origin, s.location = d["subject"], d["origin"], d["location"]
            s.requester, s.tier, s.round = (
                d["requester"],
                d.get("tier", s.tier),
                s.round + bool(was),
            )
            s.emergency, s.approved, s.now = {}, "", []
        case "GatesJudged":
            s.gates, s.under = d["results"], s.origin
        case "LevelOpened":
            must(d["level"] == (level + 1 if was == WAITS else 1), "opens a level out of turn")
            must(was != WAITS or level in s.complete, f"level {level} was not complete")
            s.level, s.complete = d["level"], s.complete if was == WAITS else []
        case "VoteCast":
            lent = d.get("behind", "")
            people = [who, *([lent] if lent and not lent.startswith("role/") else [])]
            must(
                was == WAITS and d["decision"] in ("approve", "reject"), "answers what is not open"
            )
            same(where, d, {"level": level, "round": s.round, "subjectDigest": s.digest})
            again = {*people} & {one for vote in s.now for one in vote.people}
            must(not again, f"{', '.join(again)} answered before")
            unbarred(people)
            s.now.append(
                SimpleNamespace(
                    d=d,
                    who=who,
                    behind=lent,
                    people=people,
                    seat=people[-1],
                    at=entry["at"],
                    roles={*entry["who"]["roles"]},
                )
            )
            s.no = d["decision"] == "reject"
        case "LevelCompleted":
            must(d["level"] == level > 0, f"completes level {d['level']}, {level} is open")
            s.complete = [*s.complete, level]
        case "ReleaseApproved":
            must(s.emergency or not d.get("emergency"), "is an emergency nobody has declared")
            must(d.get("emergency") or was != WAITS or level in s.complete, "comes too early")
            s.approved, s.emergency = entry["at"], s.emergency if d.get("emergency") else {}
        case "ReleaseRejected":
            must(s.no, "is a no that nobody said")
            s.no = False
        case "WaiverGranted":
            must(was in ("BLOCKED", WAITS), f"waives a gate of what is {was}")
            unbarred([who])
            s.waivers.append(
                {**d, "person": who, "roles": entry["who"]["roles"], "at": entry["at"]}
            )
        case "GlassBroken" | "GlassConfirmed":
            before = s.emergency["people"] if what == "GlassConfirmed" else {}
            must(was == WAITS and who not in before, f"breaks the glass twice, or of what is {was}")
            unbarred([who])
            s.emergency = {"until": d["until"], "people": {**before, who: entry["who"]["roles"]}}
        case "PromotionStarted":
            issued = [one["grant"] for one in s.grants if one["round"] == s.round]
            must(lasting or (was == "APPROVED" and d["grant"] in issued), "starts without a grant")
            s.attempt, s.starts = d, [*s.starts, {**d, "at": entry["at"], "round": s.round}]
        case "GrantIssued":
            issued = [one["grant"] for one in s.grants if one["round"] == s.round]
            purpose = d.get("purpose")
            good = purpose == "rollback" or (was == "PROMOTING" and d["grant"] not in issued)
            must(
                good if purpose else was == "APPROVED" and not issued,
                "issues a grant twice, or early",
            )
            same(where, d, {"grant": s.attempt.get("grant")} if purpose else {})
            known = s.backs if purpose == "rollback" else s.grants
            one = {**(s.attempt if purpose else {}), **d, "sequence": d["sequence"]}
            known.append({**one, "round": s.round})
        case "RollbackGranted":
            must(was == "PROMOTED", f"goes back from what is {was}")
            s.backs.append({**d, "after": d["version"]})
        case "PromotionEnded" | "RollbackEnded":
            must(what == "PromotionEnded" or was == "PROMOTED", f"ends an attempt while {was}")
            same(where, d, {"grant": s.attempt.get("grant")})
            s.attempt, s.ended = {}, [*s.ended, d["grant"]]
        case "ReleasePromoted" | "ReleaseRolledBack":
            known = s.grants if what == "ReleasePromoted" else s.backs
            good = d["grant"] in [one["grant"] for one in known] and d["grant"] not in s.ended
            must(good and d["grant"] == s.attempt.get("grant"), "moves the alias without a grant")
            s.attempt, done = {}, {**d, "at": entry["at"]}
            s.promotion = done if what == "ReleasePromoted" else s.promotion
            s.rolled_back = done if what == "ReleaseRolledBack" else s.rolled_back
        case "RollbackAllowed":
            must(was == "PROMOTED", f"goes back from what is {was}")
            s.allowed = d
        case "RollbackStarted":
            good = was == "PROMOTED" and d["to"] == s.allowed.get("to")
            good = not lasting or (good and entry["at"] < s.allowed["until"])
            must(good, "goes back without permission")
            s.attempt = d
