"""What the holder of the log's key can forge: kind of edit -> name -> (bundle, edit).

Everything is signed, chained and proved. What is told still has to follow Airlock's rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airlock.domain.promotion.grant import read_own
from tests.contract.bundle_kit import canonical
from tests.independent_checker.forging import BACK, GRANT, SIGNED, Body, Insider

Edit = Callable[[Insider], object]
LONG_AGO, FAR = "2020-01-01T00:00:00.000000000Z", "2099-01-01T00:00:00.000000000Z"


def vote(number: int = 0, **changes: Any) -> Edit:
    return lambda forger: forger.at("VoteCast", number)["data"].update(changes)


def voter(number: int = 0, **changes: Any) -> Edit:
    return lambda forger: forger.at("VoteCast", number)["who"].update(changes)


def data(what: str, **changes: Any) -> Edit:
    return lambda forger: forger.at(what)["data"].update(changes)


def who(what: str, **changes: Any) -> Edit:
    return lambda forger: forger.at(what)["who"].update(changes)


def result(**changes: Any) -> Edit:
    return lambda forger: forger.at("GatesJudged")["data"]["results"][0].update(changes)


def around(what: str, **changes: Any) -> Edit:
    return lambda forger: forger.around(what)["data"].update(changes)


def said(what: str, when: str, **changes: Any) -> Edit:
    return lambda forger: forger.at(what)[when].update(changes)


def drop(what: str, number: int = 0) -> Edit:
    """Leave an event out; no entry says any more what state it led to."""

    def edit(forger: Insider) -> None:
        forger.drop(what, number)
        forger.silent()

    return edit


def again(what: str) -> Edit:
    def edit(forger: Insider) -> None:
        forger.again(what)
        forger.silent()

    return edit


def before(what: str, other: str) -> Edit:
    def edit(forger: Insider) -> None:
        forger.before(what, other)
        forger.silent()

    return edit


def policy(change: Callable[[Body], object], name: str = "policy") -> Edit:
    """Write other rules, registered and in the subject; the grant is signed for that."""

    def edit(forger: Insider) -> None:
        forger.document(name, change)
        _sign_again(forger)

    return edit


def subject(**changes: str) -> Edit:
    def edit(forger: Insider) -> None:
        forger.subject(**changes)
        _sign_again(forger)

    return edit


def _sign_again(forger: Insider) -> None:
    asked = forger.at("ReleaseRequested")["data"]
    names = ("model", "version", "environment", "artifact_digest", "policy_digest")
    if GRANT in forger.files:
        claims = {name: asked["subject"][name] for name in names}
        forger.grant(**claims, subject_digest=asked["subjectDigest"])


def grant(where: str = GRANT, **claims: Any) -> Edit:
    return lambda forger: forger.grant(where, **claims)


def longer_grant(forger: Insider) -> None:
    known = read_own(forger.files[GRANT].decode())
    forger.grant(expires_at=known.expires_at + timedelta(days=14))


def short_grant(forger: Insider) -> None:
    known = read_own(forger.files[GRANT].decode())
    forger.grant(expires_at=known.issued_at)


def no_grant(forger: Insider) -> None:
    del forger.files[GRANT]


def no_rights(forger: Insider) -> None:
    forger.context = [one for one in forger.context if one["what"] != "RightsChanged"]


def ended_delegation(forger: Insider) -> None:
    one = forger.around("Delegated")
    forger.context.append({**one, "what": "DelegationEnded", "seq": 9_999, "data": {}})


def other_rights(forger: Insider) -> None:
    for one in forger.context:
        if one["what"] == "RightsChanged":
            one["new"] = {"active": True, "roles": ["viewer"]}


def noise(forger: Insider) -> None:
    one = forger.around("EvidenceExported")
    forger.context.append({**one, "what": "LogRead", "seq": 9_999})


def export_of_another(forger: Insider) -> None:
    forger.around("EvidenceExported")["resource"] = "release/rel-other"


def no_results(forger: Insider) -> None:
    forger.at("GatesJudged")["data"]["results"] = []


def failed_gate_promoted(forger: Insider) -> None:
    """A release that its gates had blocked, opened without anybody's waiver."""
    forger.drop("WaiverGranted")
    forger.silent()


def no_that_ended_nothing(forger: Insider) -> None:
    forger.drop("ReleaseRejected")


def went_on_after_a_no(forger: Insider) -> None:
    """A no at the first level, and the glass is broken over it."""
    one = forger.at("GlassBroken")
    level, asked = forger.at("LevelOpened"), forger.at("ReleaseRequested")
    no = {
        "decision": "reject",
        "level": 1,
        "name": "lead",
        "round": 1,
        "subjectDigest": asked["data"]["subjectDigest"],
    }
    cast = {**one, "what": "VoteCast", "data": no, "who": {"id": "luis", "roles": []}}
    forger.stream.insert(
        forger.stream.index(level) + 1, {**cast, "old": level["new"], "new": level["new"]}
    )


def ended_and_promoted(forger: Insider) -> None:
    begun = forger.at("PromotionStarted")
    named = {name: begun["data"][name] for name in ("grant", "attempt")}
    promoted = forger.stream.index(forger.at("ReleasePromoted"))
    forger.stream.insert(promoted, {**begun, "what": "PromotionEnded", "data": named})
    forger.silent()


def lower_tier(forger: Insider) -> None:
    """The requester says low, the facts say high: two levels less."""
    forger.at("ReleaseRequested")["data"]["tier"] = "low"
    at = next(n for n, one in enumerate(forger.stream) if one["what"] == "LevelCompleted")
    approved = forger.stream.index(forger.at("ReleaseApproved"))
    del forger.stream[at + 1 : approved]
    forger.at("ReleaseApproved")["old"]["level"] = 1


def one_level_only(forger: Insider) -> None:
    at = next(n for n, one in enumerate(forger.stream) if one["what"] == "LevelCompleted")
    approved = forger.stream.index(forger.at("ReleaseApproved"))
    del forger.stream[at + 1 : approved]
    forger.at("ReleaseApproved")["old"]["level"] = 1


def expired_approval(forger: Insider) -> None:
    forger.at("VoteCast")["data"]["conditions"]["expires_at"] = forger.at("VoteCast")["at"]


def another_pipeline(forger: Insider) -> None:
    """The pipeline of a model without risk, for the subject of another."""
    forger.document("pipeline", lambda one: one["metadata"].update(name="other"))
    _sign_again(forger)


def unsigned_gate(forger: Insider) -> None:
    found = json.loads(forger.files[SIGNED])
    forger.files[SIGNED] = canonical({**found, "results": {}})


def rule(change: Callable[[list[Body]], object]) -> Edit:
    def edit(document: Body) -> None:
        change(document["approval"]["spec"]["tiers"]["high"]["levels"])

    return policy(edit)


FORGERIES: dict[str, dict[str, tuple[str, Edit]]] = {
    "a changed vote": {
        "a no for a yes": ("promoted", vote(decision="reject")),
        "a yes for a no": ("rejected", vote(1, decision="approve")),
        "no answer": ("promoted", vote(decision="maybe")),
        "ahead of its level": ("promoted", vote(level=2)),
        "of another round": ("promoted", vote(round=2)),
        "on another subject": ("promoted", vote(subjectDigest="sha256:" + "0" * 64)),
        "a no that ended nothing": ("rejected", no_that_ended_nothing),
        "a no the glass was broken over": ("emergency", went_on_after_a_no),
        "an approval that was over": ("conditional", expired_approval),
    },
    "a vote by who may not": {
        "the requester": ("promoted", voter(id="ana")),
        "a program": ("promoted", voter(id="system:decider")),
        "without a role": ("promoted", voter(roles=[])),
        "with a role nobody asked for": ("promoted", voter(roles=["viewer"])),
        "one person twice": ("promoted", voter(2, id="lena")),
        "the person behind, too": ("delegated", voter(2, id="carla")),
        "an excluded person": (
            "promoted",
            data("ReleaseRequested", excluded={"lena": "has written the code"}),
        ),
        "a delegate of nobody": ("delegated", vote(1, behind="luis")),
        "a delegate of the requester": ("delegated", vote(1, behind="ana")),
        "a delegate too late": ("delegated", around("Delegated", end=LONG_AGO)),
        "a delegate too early": ("delegated", around("Delegated", start=FAR)),
        "another's delegate": ("delegated", around("Delegated", taker="vera")),
        "a delegation that was ended": ("delegated", ended_delegation),
        "a delegate of somebody without the role": ("delegated", other_rights),
        "a delegate of somebody nothing is known of": ("delegated", no_rights),
        "a capacity nobody knows": ("delegated", vote(1, capacity="friend")),
        "no superior": ("stand-in", voter(0, id="dora")),
        "a fallback role not held": ("stand-in", vote(0, capacity="fallback")),
    },
    "a level missing": {
        "never completed": ("promoted", drop("LevelCompleted")),
        "never opened": ("promoted", drop("LevelOpened", 1)),
        "a quorum of one": ("promoted", drop("VoteCast", 3)),
        "approved after the first": ("promoted", one_level_only),
        "approved before the last": ("promoted", before("ReleaseApproved", "LevelCompleted")),
        "a level more in the policy": (
            "promoted",
            rule(lambda levels: levels.append({"name": "board", "rules": [{"role": "board"}]})),
        ),
        "a bigger quorum in the policy": (
            "promoted",
            rule(lambda levels: levels[2]["rules"][0].update(count=3)),
        ),
        "other people in the policy": (
            "promoted",
            rule(lambda levels: levels[0].update(rules=[{"people": ["luis"]}])),
        ),
        "two roles by one person": (
            "promoted",
            rule(
                lambda levels: levels[0].update(
                    rules=[{"allOf": [{"role": "algorithm_lead"}, {"people": ["lena", "luis"]}]}]
                )
            ),
        ),
        "a level without rules": ("promoted", rule(lambda levels: levels[0].update(rules=[]))),
        "a lower tier than its risk": ("promoted", lower_tier),
        "the glass broken by one": ("emergency", drop("GlassConfirmed")),
        "the glass broken by one twice": ("emergency", who("GlassConfirmed", id="lena")),
        "the glass broken without a role": ("emergency", who("GlassConfirmed", roles=["viewer"])),
        "the glass broken by the requester": ("emergency", who("GlassBroken", id="ana")),
        "the glass broken too late": ("emergency", data("GlassConfirmed", until=LONG_AGO)),
        "no glass in the policy": (
            "emergency",
            policy(lambda one: one["approval"]["spec"].pop("breakGlass")),
        ),
    },
    "a state told other than folded": {
        "after the promotion": ("promoted", said("ReleasePromoted", "new", state="REJECTED")),
        "before the approval": ("promoted", said("ReleaseApproved", "old", state="BLOCKED")),
        "another level": ("promoted", said("LevelOpened", "new", level=2)),
        "another round": ("voided", said("ReleaseVoided", "new", round=1)),
    },
    "an event that cannot follow": {
        "asked for twice": ("promoted", again("ReleaseRequested")),
        "never asked for": ("promoted", drop("ReleaseRequested")),
        "promoted twice": ("promoted", again("ReleasePromoted")),
        "never started": ("promoted", drop("PromotionStarted")),
        "never granted": ("promoted", drop("GrantIssued")),
        "granted twice": ("promoted", again("GrantIssued")),
        "granted before the approval": ("promoted", before("GrantIssued", "ReleaseApproved")),
        "never approved": ("promoted", drop("ReleaseApproved")),
        "an attempt that ended and promoted": ("promoted", ended_and_promoted),
        "an attempt nobody began": ("attempted", data("PromotionEnded", grant="grant-x")),
        "rejected by nobody": ("rejected", drop("VoteCast", 1)),
        "blocked, and opened without a waiver": ("waived", failed_gate_promoted),
        "back without permission": ("rolled back", drop("RollbackAllowed")),
        "back to another release": ("rolled back", data("RollbackAllowed", to="rel-x")),
        "back too late": ("rolled back", data("RollbackAllowed", until=LONG_AGO)),
        "back without a start": ("rolled back", drop("RollbackStarted")),
        "another subject voided": ("voided", data("ReleaseVoided", oldDigest="sha256:0")),
        "another subject than its digest": ("voided", data("ReleaseVoided", newDigest="sha256:0")),
        "malformed": ("promoted", lambda forger: forger.at("VoteCast").update(data=None)),
    },
    "a gate result": {
        "another verdict": ("blocked", result(verdict="PASSED")),
        "a better number": ("promoted", result(measured=0.99)),
        "more rows": ("promoted", result(n=10)),
        "another threshold": ("promoted", result(threshold=0.1)),
        "no evidence": ("promoted", result(evidence=[])),
        "evidence that is not here": ("promoted", result(evidence=["sha256:" + "0" * 64])),
        "of another gate": ("promoted", result(key="latency", gate="latency")),
        "none at all": ("promoted", no_results),
        "never told": ("promoted", drop("GatesJudged")),
        "a stricter gate in the pipeline": (
            "promoted",
            policy(lambda one: one["spec"]["gates"][0].update(threshold=0.9), "pipeline"),
        ),
        "a gate more in the pipeline": (
            "promoted",
            policy(
                lambda one: one["spec"]["gates"].append({"gate": "latency", "p95Ms": 1.0}),
                "pipeline",
            ),
        ),
        "signed otherwise": ("signed gates", result(verdict="FAILED")),
        "not signed": ("signed gates", unsigned_gate),
    },
    "a waiver": {
        "of other evidence": ("waived", data("WaiverGranted", evidence=["sha256:0"])),
        "of another artifact": ("waived", data("WaiverGranted", artifactDigest="sha256:0")),
        "of another gate": ("waived", data("WaiverGranted", gate="latency")),
        "by somebody without the right": ("waived", who("WaiverGranted", roles=["viewer"])),
        "by the requester": ("waived", who("WaiverGranted", id="ana")),
        "by a program": ("waived", who("WaiverGranted", id="system:decider")),
        "that was over": ("waived", data("WaiverGranted", until=LONG_AGO)),
        "for years": ("waived", data("WaiverGranted", until=FAR)),
        "of a hard gate": (
            "waived",
            policy(lambda one: one["approval"]["spec"].pop("enforcement")),
        ),
    },
    "a grant": {
        "for another release": ("promoted", grant(release="rel-other")),
        "for another version": ("promoted", grant(version="9")),
        "for another alias": ("promoted", grant(alias="prod")),
        "for another environment": ("promoted", grant(environment="staging")),
        "for another artifact": ("promoted", grant(artifact_digest="sha256:" + "0" * 64)),
        "from elsewhere": ("promoted", grant(location="memory:/elsewhere")),
        "for another subject": ("promoted", grant(subject_digest="sha256:" + "0" * 64)),
        "under another policy": ("promoted", grant(policy_digest="sha256:" + "0" * 64)),
        "of another place in the line": ("promoted", grant(sequence=7)),
        "of another round": ("promoted", grant(round=2)),
        "to go back": ("promoted", grant(rolls_back="rel-other")),
        "from another version": ("promoted", grant(expected_current="4")),
        "that had expired": ("promoted", short_grant),
        "that outlives its attempt": ("promoted", longer_grant),
        "of another kind": (
            "promoted",
            lambda forger: forger.statement(lambda one: one.update(predicateType="urn:x")),
        ),
        "of another name": (
            "promoted",
            lambda forger: forger.statement(lambda one: one["subject"][0].update(name="x/1")),
        ),
        "that is missing": ("promoted", no_grant),
        "back from another release": ("rolled back", grant(BACK, rolls_back="rel-other")),
        "back to another version": ("rolled back", grant(BACK, version="7")),
        "of another alias than was moved": ("promoted", data("ReleasePromoted", alias="prod")),
        "of another version than was moved": ("promoted", data("ReleasePromoted", after="9")),
    },
    "the subject and its documents": {
        "another model than the pipeline's": ("promoted", another_pipeline),
        "another environment than the pipeline's": ("promoted", subject(environment="staging")),
        "a policy nobody registered": (
            "promoted",
            lambda forger: forger.around("Registered")["new"].update(digest="sha256:0"),
        ),
        "an entry that means nothing here": ("promoted", noise),
        "the export of another release": ("promoted", export_of_another),
    },
}
