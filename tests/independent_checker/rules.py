"""What a bundle tells, judged by chapters 9 to 13 of docs/reference/evidence-format.md alone.

`python -m tests.independent_checker.rules BUNDLE KEY.pem ...` prints GOOD, BAD or UNKNOWN and why
(exit code 0, 1, 3).
"""

import sys
import zipfile
from itertools import permutations, product
from pathlib import Path

from tests.independent_checker.checker import (
    SIGNED,
    STREAM,
    Verdict,
    b64,
    check,
    demand,
    load,
    same,
    seconds,
    sha,
)
from tests.independent_checker.documents import check_grants, check_shown, check_signed
from tests.independent_checker.story import WAITS, fold

HIGHER = ("roc_auc", "average_precision", "accuracy", "f1", "r2")
LOWER = ("log_loss", "brier", "rmse", "mae")


def judge(files, trusted, witnesses=()):
    """Return GOOD, BAD or UNKNOWN, why, and what is to be noted."""
    try:
        s = check(files, trusted, witnesses)
        fold(s)
        s.policy = load(files, "policy.json")
        s.spec, s.access = s.policy["approval"]["spec"], s.policy["access"]["spec"]
        s.pipeline = load(s.files, "pipeline.json")
        s.place = s.spec["environments"][s.subject["environment"]]
        for part in (
            check_signed,
            check_gates,
            check_people,
            check_risk,
            check_grants,
            check_shown,
        ):
            part(s)
    except Verdict as verdict:
        return (*verdict.args, [])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return "BAD", f"the bundle: is malformed, {error!r}", []
    return "GOOD", f"{s.name} is {s.state}", [*s.notes, "documents for people: not all compared"]


def weight(s, gate):
    return s.spec.get("enforcement", {}).get(gate, {}).get(s.tier, "hard")


def waived(s, one):
    """Say whether a result has a waiver that was in force whenever it counted."""
    able = {role for role, what in s.access["roles"].items() if "gate:waive" in what["permissions"]}
    good = [
        w
        for w in s.waivers
        if (w["gate"], w["artifactDigest"], {*w["evidence"]})
        == (one["key"], s.subject["artifact_digest"], {*one["evidence"]})
        and able & {*w["roles"]}
        and w["person"] not in {s.requester, *s.excluded}
        and seconds(w["until"]) <= seconds(w["at"]) + 90 * 86400
    ]
    moments = [v.at for v in s.now if v.d["decision"] == "approve"] + [
        one["at"] for one in s.starts
    ]
    moments += [s.approved] if s.approved else []
    covered = all(any(w["at"] <= at < w["until"] for w in good) for at in moments)
    return weight(s, one["gate"]) == "soft" and good and covered


def judge_again(s, gate, one):
    simple = {*gate} == {"gate", "metric", "threshold"} and gate["metric"] in HIGHER + LOWER
    if gate["gate"] != "metrics-threshold" or not simple or len(one["evidence"]) != 1:
        s.notes.append(f"{one['key']} was not judged again")
        return
    facts, limit = s.evidence[one["evidence"][0]]["facts"], gate["threshold"]
    found = facts["candidate"]["metrics"][gate["metric"]]
    good = found >= limit if gate["metric"] in HIGHER else found <= limit
    verdict = one["details"].get("waivedVerdict", one["verdict"])
    same(
        f"gates.json, {one['key']}",
        {**one, "verdict": verdict},
        {
            "verdict": "PASSED" if good else "FAILED",
            "measured": found,
            "threshold": limit,
            "n": facts["rows"],
        },
    )


def check_gates(s):
    wanted = {
        ":".join([one["gate"], *([one["metric"]] if "metric" in one else [])]): one
        for one in s.pipeline["spec"]["gates"]
    }
    if s.gates and s.under != s.origin:
        raise Verdict("UNKNOWN", "the log has no results of the candidate that took over")
    demand(s.gates or s.state == "REQUESTED", "gates.json", "no gate was judged")
    for one in s.gates:
        where, about = f"gates.json, {one['key']}", s.subject["artifact_digest"]
        demand({*one["evidence"]} <= {*s.evidence}, where, "its evidence is missing")
        right = {s.evidence[name]["artifactDigest"] for name in one["evidence"]} == {about}
        demand(one["verdict"] != "PASSED" or right, where, "is PASSED on other evidence")
        demand(one["verdict"] != "WAIVED" or waived(s, one), where, "has no waiver that counts")
        went_on = (
            s.state not in ("REQUESTED", "BLOCKED", WAITS) and weight(s, one["gate"]) != "advisory"
        )
        signed = SIGNED not in s.files or one["key"] in s.signed or not went_on
        demand(signed, f"{SIGNED}, {one['key']}", "the result is not signed")
        judge_again(s, wanted.get(one["key"], one), one)
    idle = s.round > 1 and not (s.now or s.approved or s.emergency)
    if s.state in ("REQUESTED", "BLOCKED") or not s.place["gates"] or idle:
        return
    missing = {*wanted} - {one["key"] for one in s.gates}
    demand(not missing, "gates.json", f"has no result of {', '.join(sorted(missing))}")
    counts = [one for one in s.gates if weight(s, one["gate"]) != "advisory"]
    shut = [
        one["key"]
        for one in counts
        if one["verdict"] not in ("PASSED", "WAIVED") and not waived(s, one)
    ]
    demand(counts and not shut, "gates.json", f"the release went on although {shut} did not open")


def held(s, person, at):
    known = [
        one
        for one in s.around
        if one["what"] == "RightsChanged"
        and one["resource"] == f"user/{person}"
        and one["at"] <= at
    ]
    demand(known, "votes.json", f"nothing says which roles {person} held at {at}")
    new = max(known, key=lambda one: one["at"])["new"]
    return {*new["roles"]} if new["active"] else set()


def roles_of(s, vote):
    capacity, behind = vote.d.get("capacity", "own"), vote.behind
    where = f"votes.json, {vote.who} at level {vote.d['level']}"
    if capacity == "own":
        return vote.roles
    if capacity == "delegate":
        ended = [
            e["resource"] for e in s.around if e["what"] == "DelegationEnded" and e["at"] <= vote.at
        ]
        lent = [
            e
            for e in s.around
            if e["what"] == "Delegated"
            and e["resource"] not in ended
            and (e["data"]["giver"], e["data"]["taker"]) == (behind, vote.who)
            and max(e["at"], e["data"]["start"]) <= vote.at < e["data"]["end"]
        ]
        demand(lent, where, f"had no delegation of {behind}")
    elif capacity == "stand-in":
        superior = s.access.get("superiors", {}).get(behind.removeprefix("role/"))
        demand(superior == vote.who, where, f"is not the superior of {behind}")
    else:
        demand(
            capacity == "fallback" and s.spec.get("fallbackRole") in vote.roles,
            where,
            f"may not answer as {capacity}",
        )
    role = behind.removeprefix("role/")
    return held(s, behind, vote.at) if role == behind else {*vote.roles, role}


def ways(rules):
    """Return every list of seats, each one rule for one person, that meets all rules."""
    return [
        [seat for part in way for seat in part]
        for way in product(
            *(
                ways(rule["allOf"])
                if "allOf" in rule
                else [one for part in rule["anyOf"] for one in ways([part])]
                if "anyOf" in rule
                else [[rule] * rule.get("count", 1)]
                for rule in rules
            )
        )
    ]


def met(rules, able):
    def fits(rule, who):
        demand(
            ("role" in rule) != ("people" in rule), "policy.json", f"has an unknown rule: {rule}"
        )
        return rule["role"] in able[who] if "role" in rule else who in rule["people"]

    return any(
        way and all(map(fits, way, some))
        for way in ways(rules)
        for some in permutations(able, len(way))
    )


def check_people(s):
    levels = s.spec["tiers"][s.tier]["levels"] if s.place["people"] else []
    for number in s.complete:
        where, votes = f"votes.json, level {number}", [v for v in s.now if v.d["level"] == number]
        demand(number <= len(levels), where, "is complete, the policy has no such level")
        demand(all(v.d["decision"] == "approve" for v in votes), where, "somebody said no")
        able = {vote.seat: roles_of(s, vote) for vote in votes}
        demand(met(levels[number - 1]["rules"], able), where, f"is not met by {able}")
    if s.approved and s.emergency:
        glass = s.spec.get("breakGlass") or {"roles": [], "people": 99}
        people = [
            who for who, roles in s.emergency["people"].items() if {*roles} & {*glass["roles"]}
        ]
        good = len(people) >= glass.get("people", 2) and s.approved < s.emergency["until"]
        demand(good, STREAM, f"the glass was broken by {people}, or too late")
    elif s.approved:
        demand(
            s.complete == [*range(1, len(levels) + 1)],
            "votes.json",
            f"approved with levels {s.complete} of {len(levels)}",
        )
    for vote in s.now:
        end = vote.d.get("conditions", {}).get("expires_at") or "9"
        late = [one for one in s.starts if one["round"] == s.round and one["at"] >= end]
        demand(not late, STREAM, f"the approval of {vote.who} was over at {end}")


def check_risk(s):
    spec, tiers, risk = s.pipeline["spec"], ["low", "medium", "high"], s.policy["risk"]["spec"]
    fit = [
        rule["tier"]
        for rule in risk["rules"]
        if all(spec["risk"].get(name) == value for name, value in rule["when"].items())
    ]
    tier = [*fit, risk["otherwise"]][0]
    if s.complete or s.approved:
        same(
            "pipeline.json",
            {"model": s.pipeline["metadata"]["name"], **spec},
            {name: s.subject[name] for name in ("model", "environment")},
        )
        demand(
            tiers.index(s.tier) >= tiers.index(tier), STREAM, f"the risk is {tier}, not {s.tier}"
        )


def main(bundle, *pems):
    path = Path(bundle)
    if path.is_dir():
        found = (one for one in path.rglob("*") if one.is_file())
        files = {str(one.relative_to(path)): one.read_bytes() for one in found}
    else:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
            files = {name: packed.read(name) for name in names if names.count(name) == 1}
    raw = [b64("".join(Path(pem).read_text().split("\n")[1:-2]))[12:] for pem in pems]
    word, why, notes = judge(files, {sha(key).hex()[:16]: key for key in raw})
    print("\n".join([*(f"note: {one}" for one in notes), f"{word}: {why}"]))
    return {"GOOD": 0, "BAD": 1, "UNKNOWN": 3}[word]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
