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
from airlock_evidence.told import Content, ReleaseState, Vote

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


def fold(contents: Sequence[Content]) -> ReleaseState:
    """Return the release that a stream describes.

    Raises:
        Failed: naming the first event that cannot follow those before it.
    """
    release = ReleaseState()
    for content in contents:
        try:
            _next(release, content)
        except _Wrong as error:
            raise Failed(_where(content), str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Failed(_where(content), f"is malformed: {error!r}") from error
        release.events.append(content)
    if not release.events:
        raise Failed("log/stream.jsonl", "is empty: there is no release in it")
    if _unheard(release):
        raise Failed(_where(release.events[-1]), "is a no, and the release did not end with it")
    return release


def _next(release: ReleaseState, content: Content) -> None:
    event = content["what"]
    _demand(
        release.state != "" or event == "ReleaseRequested", "comes before the release was asked for"
    )
    _demand(not _unheard(release) or event == "ReleaseRejected", "comes after a no, which is final")
    before, step = _place(release), _STEPS.get(event)
    if step is not None:
        step(release, content)
    _check_said(content, "old", before)
    _check_said(content, "new", _place(release))


def _unheard(release: ReleaseState) -> bool:
    """Say whether somebody said no and the release has not ended."""
    return (
        bool(release.votes)
        and release.votes[-1].decision == "reject"
        and release.state != "REJECTED"
    )


def _place(release: ReleaseState) -> dict[str, Any]:
    return {"state": release.state, "level": release.level, "round": release.round}


def _check_said(content: Content, when: str, place: dict[str, Any]) -> None:
    """Check what an entry says of the state, if it says anything."""
    stated = content.get(when)
    if stated and "state" in stated:
        _demand(stated == place, f"says {when} {stated}, the events lead to {place}")


class _Wrong(Exception):
    """This event cannot follow."""


def _where(content: Content) -> str:
    return f"log entry {content.get('stream')} {content.get('seq')} ({content.get('what')})"


def _demand(good: bool, why: str) -> None:
    if not good:
        raise _Wrong(why)


def _move(release: ReleaseState, state: str) -> None:
    allowed = state in _MOVES.get(release.state, frozenset())
    _demand(allowed, f"a release that is {release.state} cannot become {state}")
    release.state, release.level = state, 0


def _requested(release: ReleaseState, content: Content) -> None:
    data = content["data"]
    _demand(release.state == "", "the release was asked for before")
    release.id, release.state, release.opened_at = data["id"], "REQUESTED", content["at"]
    release.origin, release.location = data["origin"], data["location"]
    release.requester, release.tier = data["requester"], data["tier"]
    release.attempt_of, release.why = data.get("attempt_of", ""), content["why"]
    release.subject = dict(data["subject"])
    release.excluded = dict(data.get("excluded", {}))
    release.unknown_authors = list(data.get("unknownAuthors", []))
    _demand(release.id == content["stream"], f"asks for {release.id}, which is another release")
    _demand(release.digest == data["subjectDigest"], "the subject is not what its digest says")


def _gates_judged(release: ReleaseState, content: Content) -> None:
    release.gates = [dict(result) for result in content["data"]["results"]]
    release.gates_origin, release.gates_subject = release.origin, release.digest
    release.gate_evidence |= {digest for result in release.gates for digest in result["evidence"]}


def _opened(release: ReleaseState, content: Content) -> None:
    _demand_waiver(release)
    level = content["data"]["level"]
    first = release.state != "AWAITING_APPROVAL"
    due = 1 if first else release.level + 1
    _demand(level == due, f"opens level {level}, level {due} was next")
    _demand(first or release.level in release.complete, f"level {release.level} was not complete")
    _move(release, "AWAITING_APPROVAL")
    release.level, release.level_opened_at = level, content["at"]
    release.complete = [] if first else release.complete


def _voted(release: ReleaseState, content: Content) -> None:
    data, actor = content["data"], content["who"]
    vote = Vote(
        person=actor["id"],
        roles=tuple(actor["roles"]),
        level=data["level"],
        name=data.get("name", ""),
        round=data["round"],
        decision=data["decision"],
        capacity=data.get("capacity", "own"),
        behind=data.get("behind", ""),
        channel=content["channel"],
        at=content["at"],
        opened_at=release.level_opened_at,
        subject_digest=data["subjectDigest"],
        reason=content["why"],
        conditions=dict(data.get("conditions", {})),
        seq=content["seq"],
    )
    _demand(release.state == "AWAITING_APPROVAL", "votes, but no level is open")
    _demand(
        (vote.level, vote.round) == (release.level, release.round), "votes where nothing is open"
    )
    _demand(
        vote.subject_digest == release.digest, "votes on another subject than the one shown then"
    )
    _demand(vote.decision in ("approve", "reject"), "is neither an approval nor a rejection")
    _demand(not vote.person.startswith("system:"), "is the vote of a program, not of a person")
    used = {person for earlier in release.votes_now() for person in earlier.people}
    _demand(not vote.people & used, f"{', '.join(sorted(vote.people & used))} answered before")
    barred = {release.requester, *release.excluded}
    own = ", ".join(sorted(vote.people & barred))
    _demand(not own, f"{own} may not judge own work")
    release.votes.append(vote)


def _completed(release: ReleaseState, content: Content) -> None:
    level = content["data"]["level"]
    _demand(level == release.level > 0, f"completes level {level}, level {release.level} is open")
    release.complete.append(level)


def _demand_waiver(release: ReleaseState) -> None:
    _demand(
        release.state != "BLOCKED" or bool(release.waivers), "opens what is blocked, without waiver"
    )


def _approved(release: ReleaseState, content: Content) -> None:
    _demand_waiver(release)
    emergency = bool(content["data"].get("emergency"))
    if emergency:
        _demand(bool(release.emergency), "is an emergency nobody has declared")
    else:
        release.emergency = {}
        complete = release.state in ("REQUESTED", "BLOCKED") or release.level in release.complete
        _demand(complete, f"approves before level {release.level} is complete")
    _move(release, "APPROVED")
    release.approved_at, release.why = content["at"], content["why"]


def _ended(release: ReleaseState, content: Content) -> None:
    if content["what"] == "ReleaseRejected":
        no = release.votes and release.votes[-1].decision == "reject"
        _demand(bool(no), "rejects although nobody said no")
    _move(release, _ENDS[content["what"]])
    release.why = content["why"]


def _granted(release: ReleaseState, content: Content) -> None:
    data, attempt = content["data"], release.attempt
    issued = {**data, "at": content["at"], "round": release.round}
    if data.get("purpose") == "rollback":
        _demand(bool(attempt), "issues a grant to go back while nobody does")
        _demand(data["grant"] == attempt.get("grant"), "issues a grant for another attempt")
        back = {name: attempt[name] for name in ("to", "by", "why")}
        release.rollbacks.append({**issued, **back, "version": attempt["after"]})
        return
    current = [grant for grant in release.grants if grant["round"] == release.round]
    if "purpose" in data:
        _demand(
            release.state == "PROMOTING", f"issues a grant while the release is {release.state}"
        )
        _demand(data["grant"] == attempt.get("grant"), "issues a grant for another attempt")
        _demand(all(grant["grant"] != data["grant"] for grant in current), "issues a grant twice")
    else:
        _demand(release.state == "APPROVED", f"issues a grant while the release is {release.state}")
        _demand(not current, "issues a second grant")
    release.grants.append(issued)


def _started(release: ReleaseState, content: Content) -> None:
    data = content["data"]
    for vote in release.votes_now():
        end = vote.conditions.get("expires_at")
        over = end is not None and end <= content["at"]
        _demand(not over, f"promotes although the approval of {vote.person} was over at {end}")
    if "until" in data:
        _move(release, "PROMOTING")
        release.attempt = dict(data)
    else:
        _demand(release.state == "APPROVED", f"promotes while the release is {release.state}")
        issued = {grant["grant"] for grant in release.grants if grant["round"] == release.round}
        _demand(data["grant"] in issued, "spends a grant that was not issued")
    release.started.append({**data, "at": content["at"]})


def _attempt_ended(release: ReleaseState, content: Content) -> None:
    back = content["what"] == "RollbackEnded"
    ends = content["data"]["grant"]
    _demand(ends == release.attempt.get("grant"), "ends an attempt that nobody has begun")
    _demand(back == (release.state == "PROMOTED"), f"ends an attempt while {release.state}")
    if not back:
        _move(release, "APPROVED")
    release.attempt = {}
    release.ended.add(ends)


def _promoted(release: ReleaseState, content: Content) -> None:
    spent = content["data"]["grant"]
    begun = {attempt["grant"] for attempt in release.started}
    _demand(spent in begun, "promotes without having spent the grant")
    _demand(spent not in release.ended, "promotes with a grant that was revoked")
    if release.state == "APPROVED":
        lasting = [
            attempt
            for attempt in release.started
            if attempt["grant"] == spent and "until" in attempt
        ]
        _demand(not lasting, "promotes with the grant of an attempt that is over")
        release.state = "PROMOTING"
    elif release.state == "PROMOTING":
        _demand(spent == release.attempt.get("grant"), "promotes with another attempt's grant")
        issued = {grant["grant"] for grant in release.grants}
        _demand(spent in issued, "promotes with a grant that was not issued")
    _move(release, "PROMOTED")
    release.attempt = {}
    release.promotion = {**content["data"], "at": content["at"]}


def _back_granted(release: ReleaseState, content: Content) -> None:
    _demand(release.state == "PROMOTED", f"allows a rollback while the release is {release.state}")
    person = content["who"]["id"]
    release.rollbacks.append(
        {**content["data"], "at": content["at"], "by": person, "why": content["why"]}
    )


def _back_allowed(release: ReleaseState, content: Content) -> None:
    _demand(release.state == "PROMOTED", f"allows a rollback while the release is {release.state}")
    person = content["who"]["id"]
    release.back_allowed = {**content["data"], "by": person, "why": content["why"]}


def _back_started(release: ReleaseState, content: Content) -> None:
    data = content["data"]
    if "until" not in data:
        return
    allowed = release.back_allowed
    _demand(release.state == "PROMOTED", f"goes back while the release is {release.state}")
    _demand(bool(allowed), "goes back although nobody has allowed it")
    _demand(data["to"] == allowed["to"], "goes back to another release than was allowed")
    _demand(content["at"] < allowed["until"], f"goes back after {allowed['until']}")
    release.attempt = {**data, "by": allowed["by"], "why": allowed["why"]}


def _rolled_back(release: ReleaseState, content: Content) -> None:
    allowed = {grant["grant"] for grant in release.rollbacks}
    spent = content["data"]["grant"]
    _demand(spent in allowed, "rolls back without a grant for it")
    _demand(spent not in release.ended, "rolls back with a grant that was revoked")
    _move(release, "ROLLED_BACK")
    release.attempt = {}
    release.rollback = {**content["data"], "at": content["at"]}


def _voided(release: ReleaseState, content: Content) -> None:
    data, before = content["data"], release.digest
    _move(release, "VOIDED")
    _demand(before == data["oldDigest"], "voids another subject than the one there was")
    if data["origin"] != release.origin:
        release.excluded = {}  # those of another run; the log does not tell them again
    release.subject = dict(data["subject"])
    release.origin, release.location = data["origin"], data["location"]
    release.requester = data["requester"]
    _demand(release.digest == data["newDigest"], "the new subject is not what its digest says")
    release.round, release.emergency, release.approved_at = release.round + 1, {}, ""
    release.why = content["why"]
    release.voided.append({**data, "at": content["at"], "why": content["why"]})


def _glass(release: ReleaseState, content: Content) -> None:
    _demand(release.state == "AWAITING_APPROVAL", f"breaks the glass while {release.state}")
    data, person = content["data"], content["who"]["id"]
    first = content["what"] == "GlassBroken"
    before = [] if first else list(release.emergency.get("people", []))
    barred = {release.requester, *release.excluded, *(entry["person"] for entry in before)}
    _demand(person not in barred, f"{person} may not break the glass here, or has done so before")
    _demand(not person.startswith("system:"), "is by a program, not by a person")
    entry = {"person": person, "roles": content["who"]["roles"], "at": content["at"]}
    release.emergency = {
        "incident": data["incident"],
        "until": data["until"],
        "people": [*before, {**entry, "reason": content["why"]}],
    }


def _waived(release: ReleaseState, content: Content) -> None:
    data, actor = content["data"], content["who"]
    _demand(
        release.state in ("BLOCKED", "AWAITING_APPROVAL"), f"waives a gate while {release.state}"
    )
    barred = {release.requester, *release.excluded}
    _demand(actor["id"] not in barred, f"{actor['id']} may not judge own work")
    _demand(not actor["id"].startswith("system:"), "is the waiver of a program, not of a person")
    waiver = {"person": actor["id"], "roles": list(actor["roles"]), "why": content["why"]}
    release.waivers.append({**data, **waiver, "at": content["at"]})


def _finding(release: ReleaseState, content: Content) -> None:
    if content["what"] == "FindingRaised":
        release.findings.append({**content["data"], "text": content["why"]})
        return
    for finding in release.findings:
        if finding["finding"] == content["data"]["finding"]:
            finding |= {"closedBy": content["who"]["id"], "closedAt": content["at"]}


def _reviewed(release: ReleaseState, content: Content) -> None:
    review = {"by": content["who"]["id"], "at": content["at"], "note": content["why"]}
    release.reviews.append({**content["data"], **review})


_STEPS: dict[str, Callable[[ReleaseState, Content], None]] = {
    "ReleaseRequested": _requested,
    "GatesJudged": _gates_judged,
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
    "FindingRaised": _finding,
    "FindingClosed": _finding,
    "GlassReviewed": _reviewed,
    **{word: _ended for word in _ENDS},
}
