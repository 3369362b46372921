"""What the log tells about a release: its stream, folded event by event.

Rules, all checked on the way (the first event that breaks one is named):
* The first event asks for the release; states move as Airlock's rules allow, levels open in order.
* A vote is cast at the open level, in the round that is open, for the digest of the subject as it
  is then, by a person who has not answered yet, in person or through somebody else, and who may
  judge it (not the requester, nobody who was excluded).
* A level is complete, a release approved and a grant issued only after what has to come before.
* A no is final: nothing follows it but the event that ends the release. An approval with an end
  starts no promotion after it.
* What an entry says of the state before and after it is what the events lead to.
* A grant is issued to an attempt that has the release to itself; one that ended moved nothing.
  Before ADR 0040 it was issued once, at approval, and an attempt had no name and no end: such a log
  is read as it was written.

Whether the votes fill the seats of the policy is checked in `levels`, the grant in `claims`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airlock_evidence.archive import Failed
from airlock_evidence.told import Content, Told, Vote

_MOVES: dict[str, frozenset[str]] = {
    "REQUESTED": frozenset({"BLOCKED", "AWAITING_APPROVAL", "APPROVED"}),
    "BLOCKED": frozenset({"AWAITING_APPROVAL", "APPROVED"}),
    "AWAITING_APPROVAL": frozenset(
        [
            "AWAITING_APPROVAL",
            "APPROVED",
            "VOIDED",
            "REJECTED",
            "WITHDRAWN",
            "SUPERSEDED",
            "EXPIRED",
        ]
    ),
    "APPROVED": frozenset(["PROMOTING", "WITHDRAWN", "SUPERSEDED", "EXPIRED", "VOIDED"]),
    "PROMOTING": frozenset({"APPROVED", "PROMOTED"}),
    "VOIDED": frozenset({"AWAITING_APPROVAL"}),
    "PROMOTED": frozenset({"ROLLED_BACK"}),
}
_ENDS = {
    "ReleaseBlocked": "BLOCKED",
    "ReleaseRejected": "REJECTED",
    "ReleaseWithdrawn": "WITHDRAWN",
    "ReleaseSuperseded": "SUPERSEDED",
    "ReleaseExpired": "EXPIRED",
}


def fold(contents: Sequence[Content]) -> Told:
    """Return what a stream tells.

    Raises:
        Failed: naming the first event that cannot follow those before it.
    """
    told = Told()
    for content in contents:
        try:
            _next(told, content)
        except _Wrong as error:
            raise Failed(_where(content), str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Failed(_where(content), f"is malformed: {error!r}") from error
        told.events.append(content)
    if not told.events:
        raise Failed("log/stream.jsonl", "is empty: there is no release in it")
    if _unheard(told):
        raise Failed(_where(told.events[-1]), "is a no, and the release did not end with it")
    return told


def _next(told: Told, content: Content) -> None:
    what = content["what"]
    _demand(
        told.state != "" or what == "ReleaseRequested", "comes before the release was asked for"
    )
    _demand(not _unheard(told) or what == "ReleaseRejected", "comes after a no, which is final")
    before, step = _place(told), _STEPS.get(what)
    if step is not None:
        step(told, content)
    _check_said(content, "old", before)
    _check_said(content, "new", _place(told))


def _unheard(told: Told) -> bool:
    """Say whether somebody said no and the release has not ended."""
    return bool(told.votes) and told.votes[-1].decision == "reject" and told.state != "REJECTED"


def _place(told: Told) -> dict[str, Any]:
    return {"state": told.state, "level": told.level, "round": told.round}


def _check_said(content: Content, when: str, place: dict[str, Any]) -> None:
    """Check what an entry says of the state, if it says anything."""
    said = content.get(when)
    if said and "state" in said:
        _demand(said == place, f"says {when} {said}, the events lead to {place}")


class _Wrong(Exception):
    """This event cannot follow."""


def _where(content: Content) -> str:
    return f"log entry {content.get('stream')} {content.get('seq')} ({content.get('what')})"


def _demand(good: bool, why: str) -> None:
    if not good:
        raise _Wrong(why)


def _move(told: Told, state: str) -> None:
    allowed = state in _MOVES.get(told.state, frozenset())
    _demand(allowed, f"a release that is {told.state} cannot become {state}")
    told.state, told.level = state, 0


def _requested(told: Told, content: Content) -> None:
    data = content["data"]
    _demand(told.state == "", "the release was asked for before")
    told.id, told.state, told.opened_at = data["id"], "REQUESTED", content["at"]
    told.origin, told.location = data["origin"], data["location"]
    told.requester, told.tier = data["requester"], data["tier"]
    told.attempt_of, told.why = data.get("attempt_of", ""), content["why"]
    told.subject = dict(data["subject"])
    told.excluded = dict(data.get("excluded", {}))
    told.unknown_authors = list(data.get("unknownAuthors", []))
    _demand(told.id == content["stream"], f"asks for {told.id}, which is another release")
    _demand(told.digest == data["subjectDigest"], "the subject is not what its digest says")


def _judged(told: Told, content: Content) -> None:
    told.gates = [dict(result) for result in content["data"]["results"]]
    told.gates_origin, told.gates_subject = told.origin, told.digest
    told.judged |= {digest for result in told.gates for digest in result["evidence"]}


def _opened(told: Told, content: Content) -> None:
    _demand_waiver(told)
    level = content["data"]["level"]
    first = told.state != "AWAITING_APPROVAL"
    due = 1 if first else told.level + 1
    _demand(level == due, f"opens level {level}, level {due} was next")
    _demand(first or told.level in told.complete, f"level {told.level} was not complete")
    _move(told, "AWAITING_APPROVAL")
    told.level, told.level_opened_at = level, content["at"]
    told.complete = [] if first else told.complete


def _voted(told: Told, content: Content) -> None:
    data, who = content["data"], content["who"]
    vote = Vote(
        person=who["id"],
        roles=tuple(who["roles"]),
        level=data["level"],
        name=data.get("name", ""),
        round=data["round"],
        decision=data["decision"],
        capacity=data.get("capacity", "own"),
        behind=data.get("behind", ""),
        channel=content["channel"],
        at=content["at"],
        opened_at=told.level_opened_at,
        subject_digest=data["subjectDigest"],
        reason=content["why"],
        conditions=dict(data.get("conditions", {})),
        seq=content["seq"],
    )
    _demand(told.state == "AWAITING_APPROVAL", "votes, but no level is open")
    _demand((vote.level, vote.round) == (told.level, told.round), "votes where nothing is open")
    _demand(vote.subject_digest == told.digest, "votes on another subject than the one shown then")
    _demand(vote.decision in ("approve", "reject"), "is neither an approval nor a rejection")
    _demand(not vote.person.startswith("system:"), "is the vote of a program, not of a person")
    used = {person for one in told.votes_now() for person in one.people}
    _demand(not vote.people & used, f"{', '.join(sorted(vote.people & used))} answered before")
    barred = {told.requester, *told.excluded}
    own = ", ".join(sorted(vote.people & barred))
    _demand(not own, f"{own} may not judge own work")
    told.votes.append(vote)


def _completed(told: Told, content: Content) -> None:
    level = content["data"]["level"]
    _demand(level == told.level > 0, f"completes level {level}, level {told.level} is open")
    told.complete.append(level)


def _demand_waiver(told: Told) -> None:
    _demand(told.state != "BLOCKED" or bool(told.waivers), "opens what is blocked, without waiver")


def _approved(told: Told, content: Content) -> None:
    _demand_waiver(told)
    emergency = bool(content["data"].get("emergency"))
    if emergency:
        _demand(bool(told.emergency), "is an emergency nobody has declared")
    else:
        told.emergency = {}
        done = told.state in ("REQUESTED", "BLOCKED") or told.level in told.complete
        _demand(done, f"approves before level {told.level} is complete")
    _move(told, "APPROVED")
    told.approved_at, told.why = content["at"], content["why"]


def _ended(told: Told, content: Content) -> None:
    if content["what"] == "ReleaseRejected":
        no = told.votes and told.votes[-1].decision == "reject"
        _demand(bool(no), "rejects although nobody said no")
    _move(told, _ENDS[content["what"]])
    told.why = content["why"]


def _granted(told: Told, content: Content) -> None:
    data, attempt = content["data"], told.attempt
    issued = {**data, "at": content["at"], "round": told.round}
    if data.get("purpose") == "rollback":
        _demand(bool(attempt), "issues a grant to go back while nobody does")
        _demand(data["grant"] == attempt.get("grant"), "issues a grant for another attempt")
        back = {name: attempt[name] for name in ("to", "by", "why")}
        told.rollbacks.append({**issued, **back, "version": attempt["after"]})
        return
    known = [one for one in told.grants if one["round"] == told.round]
    if "purpose" in data:
        _demand(told.state == "PROMOTING", f"issues a grant while the release is {told.state}")
        _demand(data["grant"] == attempt.get("grant"), "issues a grant for another attempt")
        _demand(all(one["grant"] != data["grant"] for one in known), "issues a grant twice")
    else:
        _demand(told.state == "APPROVED", f"issues a grant while the release is {told.state}")
        _demand(not known, "issues a second grant")
    told.grants.append(issued)


def _started(told: Told, content: Content) -> None:
    data = content["data"]
    for vote in told.votes_now():
        end = vote.conditions.get("expires_at")
        over = end is not None and end <= content["at"]
        _demand(not over, f"promotes although the approval of {vote.person} was over at {end}")
    if "until" in data:
        _move(told, "PROMOTING")
        told.attempt = dict(data)
    else:
        _demand(told.state == "APPROVED", f"promotes while the release is {told.state}")
        known = {one["grant"] for one in told.grants if one["round"] == told.round}
        _demand(data["grant"] in known, "spends a grant that was not issued")
    told.started.append({**data, "at": content["at"]})


def _attempt_ended(told: Told, content: Content) -> None:
    back = content["what"] == "RollbackEnded"
    ends = content["data"]["grant"]
    _demand(ends == told.attempt.get("grant"), "ends an attempt that nobody has begun")
    _demand(back == (told.state == "PROMOTED"), f"ends an attempt while {told.state}")
    if not back:
        _move(told, "APPROVED")
    told.attempt = {}
    told.ended.add(ends)


def _promoted(told: Told, content: Content) -> None:
    spent = content["data"]["grant"]
    begun = {one["grant"] for one in told.started}
    _demand(spent in begun, "promotes without having spent the grant")
    _demand(spent not in told.ended, "promotes with a grant that was revoked")
    if told.state == "APPROVED":
        lasting = [one for one in told.started if one["grant"] == spent and "until" in one]
        _demand(not lasting, "promotes with the grant of an attempt that is over")
        told.state = "PROMOTING"
    elif told.state == "PROMOTING":
        _demand(spent == told.attempt.get("grant"), "promotes with another attempt's grant")
        known = {one["grant"] for one in told.grants}
        _demand(spent in known, "promotes with a grant that was not issued")
    _move(told, "PROMOTED")
    told.attempt = {}
    told.promotion = {**content["data"], "at": content["at"]}


def _back_granted(told: Told, content: Content) -> None:
    _demand(told.state == "PROMOTED", f"allows a rollback while the release is {told.state}")
    who = content["who"]["id"]
    told.rollbacks.append(
        {**content["data"], "at": content["at"], "by": who, "why": content["why"]}
    )


def _back_allowed(told: Told, content: Content) -> None:
    _demand(told.state == "PROMOTED", f"allows a rollback while the release is {told.state}")
    who = content["who"]["id"]
    told.back_allowed = {**content["data"], "by": who, "why": content["why"]}


def _back_started(told: Told, content: Content) -> None:
    data = content["data"]
    if "until" not in data:
        return
    allowed = told.back_allowed
    _demand(told.state == "PROMOTED", f"goes back while the release is {told.state}")
    _demand(bool(allowed), "goes back although nobody has allowed it")
    _demand(data["to"] == allowed["to"], "goes back to another release than was allowed")
    _demand(content["at"] < allowed["until"], f"goes back after {allowed['until']}")
    told.attempt = {**data, "by": allowed["by"], "why": allowed["why"]}


def _rolled_back(told: Told, content: Content) -> None:
    allowed = {one["grant"] for one in told.rollbacks}
    spent = content["data"]["grant"]
    _demand(spent in allowed, "rolls back without a grant for it")
    _demand(spent not in told.ended, "rolls back with a grant that was revoked")
    _move(told, "ROLLED_BACK")
    told.attempt = {}
    told.rollback = {**content["data"], "at": content["at"]}


def _voided(told: Told, content: Content) -> None:
    data, before = content["data"], told.digest
    _move(told, "VOIDED")
    _demand(before == data["oldDigest"], "voids another subject than the one there was")
    if data["origin"] != told.origin:
        told.excluded = {}  # those of another run; the log does not tell them again
    told.subject = dict(data["subject"])
    told.origin, told.location = data["origin"], data["location"]
    told.requester = data["requester"]
    _demand(told.digest == data["newDigest"], "the new subject is not what its digest says")
    told.round, told.emergency, told.approved_at = told.round + 1, {}, ""
    told.why = content["why"]
    told.voided.append({**data, "at": content["at"], "why": content["why"]})


def _glass(told: Told, content: Content) -> None:
    _demand(told.state == "AWAITING_APPROVAL", f"breaks the glass while {told.state}")
    data, person = content["data"], content["who"]["id"]
    first = content["what"] == "GlassBroken"
    before = [] if first else list(told.emergency.get("people", []))
    barred = {told.requester, *told.excluded, *(one["person"] for one in before)}
    _demand(person not in barred, f"{person} may not break the glass here, or has done so before")
    _demand(not person.startswith("system:"), "is by a program, not by a person")
    who = {"person": person, "roles": content["who"]["roles"], "at": content["at"]}
    told.emergency = {
        "incident": data["incident"],
        "until": data["until"],
        "people": [*before, {**who, "reason": content["why"]}],
    }


def _waived(told: Told, content: Content) -> None:
    data, who = content["data"], content["who"]
    _demand(told.state in ("BLOCKED", "AWAITING_APPROVAL"), f"waives a gate while {told.state}")
    barred = {told.requester, *told.excluded}
    _demand(who["id"] not in barred, f"{who['id']} may not judge own work")
    _demand(not who["id"].startswith("system:"), "is the waiver of a program, not of a person")
    said = {"person": who["id"], "roles": list(who["roles"]), "why": content["why"]}
    told.waivers.append({**data, **said, "at": content["at"]})


def _found(told: Told, content: Content) -> None:
    if content["what"] == "FindingRaised":
        told.findings.append({**content["data"], "text": content["why"]})
        return
    for one in told.findings:
        if one["finding"] == content["data"]["finding"]:
            one |= {"closedBy": content["who"]["id"], "closedAt": content["at"]}


def _reviewed(told: Told, content: Content) -> None:
    said = {"by": content["who"]["id"], "at": content["at"], "note": content["why"]}
    told.reviews.append({**content["data"], **said})


_STEPS: dict[str, Callable[[Told, Content], None]] = {
    "ReleaseRequested": _requested,
    "GatesJudged": _judged,
    "LevelOpened": _opened,
    "VoteCast": _voted,
    "LevelCompleted": _completed,
    "ReleaseApproved": _approved,
    "GrantIssued": _granted,
    "PromotionStarted": _started,
    "PromotionEnded": _attempt_ended,
    "ReleasePromoted": _promoted,
    "RollbackGranted": _back_granted,
    "RollbackAllowed": _back_allowed,
    "RollbackStarted": _back_started,
    "RollbackEnded": _attempt_ended,
    "ReleaseRolledBack": _rolled_back,
    "ReleaseVoided": _voided,
    "GlassBroken": _glass,
    "GlassConfirmed": _glass,
    "WaiverGranted": _waived,
    "FindingRaised": _found,
    "FindingClosed": _found,
    "GlassReviewed": _reviewed,
    **{word: _ended for word in _ENDS},
}
