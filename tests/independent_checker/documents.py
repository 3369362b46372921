"""Signed results of gates, grants, and what people read: chapters 10, 11 and 13 of the page."""

import json

from tests.independent_checker.checker import (
    BACK,
    GRANT,
    SIGNED,
    b64,
    canonical,
    demand,
    digest,
    exact,
    keys_of,
    load,
    same,
    seconds,
    verifies,
)


def envelope(where, text, keys, kinds):
    """Return statement and signer of a DSSE envelope that one of the keys has signed."""
    outer, kind = json.loads(text), "application/vnd.in-toto+json"
    payload = b64(outer["payload"])
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    by = [
        one["keyid"]
        for one in outer["signatures"]
        if one["keyid"] in keys and verifies(keys[one["keyid"]], b64(one["sig"]), message)
    ]
    demand(by and outer["payloadType"] == kind, where, "is signed by no key that may sign it")
    statement = json.loads(payload)
    same(where, statement, {"_type": "https://in-toto.io/Statement/v1"})
    demand(statement["predicateType"] in kinds, where, "is a statement of another type")
    return statement, by[0]


def check_signed(s):
    """Check the signed results of gates; whose the keys are is for people to compare."""
    s.signed, found = {}, exact(s.files, SIGNED) if SIGNED in s.files else {}
    keys = keys_of(SIGNED, found.get("keys", {}))
    kinds = [f"urn:airlock:gate-result:v{version}" for version in (1, 2)]
    for one in (one for one in s.results if one["key"] in found.get("results", {})):
        where = f"{SIGNED}, {one['key']}"
        statement, s.signed[one["key"]] = envelope(where, found["results"][one["key"]], keys, kinds)
        run = {"run": s.origin} if statement["predicateType"] == kinds[1] else {}
        artifact, said = {"sha256": s.subject["artifact_digest"][7:]}, statement["predicate"]
        verdict = one["details"].get("waivedVerdict", one["verdict"])
        same(
            where,
            statement,
            {
                "subject": [{"name": "artifact", "digest": artifact}],
                "predicate": {
                    "gate": one["gate"],
                    "key": one["key"],
                    "verdict": verdict,
                    "options": said["options"],
                    "evidence": sorted(one["evidence"]),
                    **run,
                },
            },
        )
    s.notes.append(f"results of gates are signed by {sorted({*s.signed.values()}) or 'nobody'}")


def check_grants(s):
    subject, done, s.claims = s.subject, s.promotion, {}
    right = {
        **{name: subject[name] for name in ("version", "artifact_digest", "policy_digest")},
        "release": s.name,
        "alias": s.place.get("alias") or subject["environment"],
        "rolls_back": "",
        "subject_digest": s.digest,
        "location": s.location,
        "round": s.round,
    }
    right |= {"expected_current": done["before"]} if done else {}
    for where, known in (
        (GRANT, [one for one in s.grants if one["round"] == s.round]),
        (BACK, s.backs),
    ):
        demand((where in s.files) == bool(known), where, "is missing, or the log knows of none")
        if not known:
            continue
        text, issued = s.files[where].decode(), known[-1]
        same(where, {"digest": digest(canonical(text))}, {"digest": issued["envelopeDigest"]})
        statement, by = envelope(where, text, s.trusted, ["urn:airlock:grant:v1"])
        claims = s.claims[where] = statement["predicate"]
        artifact, of = (
            {"sha256": claims["artifact_digest"][7:]},
            f"{claims['model']}/{claims['version']}",
        )
        same(where, statement, {"subject": [{"name": of, "digest": artifact}]})
        at = seconds(claims["issued_at"])
        demand(at <= s.given_up.get(by, at), where, f"is signed by {by}, which had been given up")
        back = {
            "release": issued.get("to"),
            "version": issued.get("after"),
            "rolls_back": s.name,
            "expected_current": subject["version"],
        }
        same(
            where,
            claims,
            {
                "id": issued["grant"],
                "sequence": issued["sequence"],
                "model": subject["model"],
                "environment": subject["environment"],
                **(right if where == GRANT else back),
            },
        )
        begun = [one for one in s.starts if one["grant"] == claims["id"]]
        for one in begun if where == GRANT and done else []:
            ends, until = claims["expires_at"], one.get("until", claims["expires_at"])
            good = seconds(one["at"]) < seconds(ends) == seconds(until)
            demand(good, where, f"ends at {ends}, its attempt, of {one['at']}, at {until}")
            same(
                where,
                done,
                {
                    "grant": claims["id"],
                    "after": claims["version"],
                    "alias": claims["alias"],
                    "sequence": claims["sequence"],
                },
            )


def check_shown(s):
    """Compare the readable documents that are JSON, in what the page says of them."""
    here = {"subject": s.subject, "digest": s.digest, "location": s.location}
    same("subject.json", load(s.files, "subject.json"), here)
    same("gates.json", load(s.files, "gates.json"), {"results": s.gates})
    votes = [one for one in s.stream if one["what"] == "VoteCast"]
    listed = load(s.files, "votes.json")["votes"]
    demand(len(votes) == len(listed), "votes.json", "has more or fewer votes than the log")
    for vote, shown in zip(votes, listed, strict=True):
        same(
            "votes.json",
            shown,
            {
                "person": vote["who"]["id"],
                "roles": vote["who"]["roles"],
                "at": vote["at"],
                "channel": vote["channel"],
                "seq": vote["seq"],
                **{name: vote["data"][name] for name in ("level", "round", "decision")},
            },
        )
    outcome = {
        "release": s.name,
        "state": s.state,
        "round": s.round,
        "tier": s.tier,
        "requester": s.requester,
        "may_not_judge": s.excluded,
        "promotion": s.promotion,
        "rollback": s.rolled_back,
        "grant_claims": s.claims,
    }
    same("outcome.json", load(s.files, "outcome.json"), outcome)
