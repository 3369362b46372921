"""A release, and how events move it along the moves of `airlock.domain.approval.states`.

State is a fold over events: `apply` is the only place where it changes, and it reads nothing but
the event's content. So replaying the log rebuilds the state exactly.

This module has no clock, stores nothing and signs nothing. The commands that make events are in
`airlock.domain.approval.release_request`, `airlock.domain.approval.voting` and
`airlock.domain.promotion.promotion`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from airlock.domain.approval.approval_conditions import UNCONDITIONAL, Conditions
from airlock.domain.approval.policy import Tier
from airlock.domain.approval.states import MOVES as MOVES
from airlock.domain.approval.states import State as State
from airlock.domain.approval.waivers import Waiver
from airlock.domain.digest import digest_json
from airlock.domain.errors import Conflict
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor
from airlock.domain.people.delegation import Capacity, Mandate


class Decision(StrEnum):
    """What a voter answers."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The exact thing that is approved. Change one field and it is another subject."""

    model: str
    version: str
    artifact_digest: str
    data_digest: str
    code_commit: str
    pipeline_digest: str
    policy_digest: str
    environment: str

    @property
    def digest(self) -> str:
        """One digest over all fields; what a voter sees and answers to."""
        return digest_json(self.to_document())

    def to_document(self) -> dict[str, str]:
        """Return the fields as JSON data; they are text, so nothing has to be copied deeply."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's answer at one level."""

    person: str
    level: int
    decision: Decision
    reason: str
    round: int
    channel: str
    at: str
    capacity: Capacity = Capacity.OWN
    behind: str = ""
    conditions: Conditions = UNCONDITIONAL

    @property
    def mandate(self) -> Mandate:
        """As what, and for whom, the person answered."""
        return Mandate(self.person, self.capacity, self.behind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """The glass that was broken: who, for which incident, and until when it allows anything."""

    incident: str
    people: tuple[str, ...]
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The attempt that has a release for itself, and its grant; *until*: when both end."""

    attempt: str
    grant: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPermission:
    """That somebody entitled allowed to go back to an older release, until a time."""

    target: str
    version: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The request to move a subject into an environment. Levels count from 1; 0 is none open."""

    id: str
    origin: str
    subject: Subject
    location: str
    requester: str
    tier: Tier
    state: State
    opened_at: str
    level: int = 0
    level_opened_at: str | None = None
    round: int = 1
    votes: tuple[Vote, ...] = ()
    why: str = ""
    emergency: Emergency | None = None
    #: The rejected release whose bytes this one asks about again.
    attempt_of: str = ""
    waivers: tuple[Waiver, ...] = ()
    #: Who moves the alias right now: to this release, or back from it.
    lease: Lease | None = None
    #: Where to go back to, if that was allowed and is not done.
    rollback: RollbackPermission | None = None

    @property
    def voters(self) -> frozenset[str]:
        """Everybody who has answered in this round, in person or through somebody else."""
        cast = (vote.mandate.people for vote in self.votes if vote.round == self.round)
        return frozenset(person for people in cast for person in people)

    def votes_at(self, level: int) -> tuple[Vote, ...]:
        """The votes cast at one level in this round."""
        return tuple(v for v in self.votes if v.level == level and v.round == self.round)

    def summary(self) -> dict[str, Any]:
        """What an event records as old and new."""
        return {"state": self.state.value, "level": self.level, "round": self.round}


def apply(release: Release | None, content: Mapping[str, Any]) -> Release | None:
    """Return the release after one event, given as the content of its log entry.

    Events that change no state (a refused vote, a read) leave it as it is.
    """
    event_type, data = content["what"], content["data"]
    if event_type == "ReleaseRequested":
        return _requested(content)
    if release is None:
        return None
    if event_type in _FINAL:
        if event_type == "ReleaseApproved" and not data.get("emergency"):
            release = replace(release, emergency=None)  # the levels are complete: no glass needed
        return replace(_moved(release, _FINAL[event_type]), why=content["why"])
    return _APPLY[event_type](release, content) if event_type in _APPLY else release


_FINAL = {
    "ReleaseBlocked": State.BLOCKED,
    "ReleaseApproved": State.APPROVED,
    "ReleaseRejected": State.REJECTED,
    "ReleaseWithdrawn": State.WITHDRAWN,
    "ReleaseSuperseded": State.SUPERSEDED,
    "ReleaseExpired": State.EXPIRED,
}


def _requested(content: Mapping[str, Any]) -> Release:
    data = content["data"]
    return Release(
        id=data["id"],
        origin=data["origin"],
        subject=Subject(**data["subject"]),
        location=data["location"],
        requester=data["requester"],
        tier=Tier(data["tier"]),
        state=State.REQUESTED,
        opened_at=content["at"],
        attempt_of=data.get("attempt_of", ""),
        why=content["why"],
    )


def _emergency(release: Release, content: Mapping[str, Any]) -> Emergency:
    data, first = content["data"], content["what"] == "GlassBroken"
    before = release.emergency.people if release.emergency and not first else ()
    people = (*before, content["who"]["id"])
    return Emergency(incident=data["incident"], people=people, until=data["until"])


def _voided(release: Release, content: Mapping[str, Any]) -> Release:
    data = content["data"]
    return replace(
        _moved(release, State.VOIDED),
        subject=Subject(**data["subject"]),
        origin=data["origin"],
        location=data["location"],
        requester=data["requester"],
        round=release.round + 1,
        emergency=None,
        why=content["why"],
    )


def _vote(content: Mapping[str, Any]) -> Vote:
    data = content["data"]
    return Vote(
        person=content["who"]["id"],
        level=data["level"],
        decision=Decision(data["decision"]),
        reason=content["why"],
        round=data["round"],
        channel=content["channel"],
        at=content["at"],
        capacity=Capacity(data.get("capacity", Capacity.OWN)),
        behind=data.get("behind", ""),
        conditions=Conditions.from_document(data.get("conditions", {})),
    )


def _moved(release: Release, state: State) -> Release:
    if state not in MOVES[release.state]:
        raise Conflict(
            f"release {release.id} is {release.state}: it cannot become {state}",
            next_step="Look at the release again; somebody else has already moved it.",
        )
    return replace(release, state=state, level=0)


def _level_opened(release: Release, content: Mapping[str, Any]) -> Release:
    moved = _moved(release, State.AWAITING_APPROVAL)
    return replace(moved, level=content["data"]["level"], level_opened_at=content["at"])


def _vote_cast(release: Release, content: Mapping[str, Any]) -> Release:
    return replace(release, votes=(*release.votes, _vote(content)))


def _waiver(release: Release, content: Mapping[str, Any]) -> Release:
    data = content["data"]
    new = Waiver(
        gate=data["gate"],
        person=content["who"]["id"],
        reason=content["why"],
        at=content["at"],
        until=data["until"],
        artifact_digest=data["artifactDigest"],
        evidence=tuple(data["evidence"]),
        options=data["options"],
    )
    return replace(release, waivers=(*release.waivers, new))


def _glass(release: Release, content: Mapping[str, Any]) -> Release:
    return replace(release, emergency=_emergency(release, content))


def _started(release: Release, content: Mapping[str, Any]) -> Release:
    """An attempt takes the release; what was begun before ADR 0040 had no lease and no end."""
    data = content["data"]
    if "until" not in data:
        return release
    lease = Lease(attempt=data["attempt"], grant=data["grant"], until=data["until"])
    if content["what"] == "PromotionStarted":
        release = _moved(release, State.PROMOTING)
    return replace(release, lease=lease)


def _attempt_ended(release: Release, content: Mapping[str, Any]) -> Release:
    if content["what"] == "PromotionEnded":
        release = _moved(release, State.APPROVED)
    return replace(release, lease=None)


def _promoted(release: Release, content: Mapping[str, Any]) -> Release:
    if release.state is State.APPROVED:  # before ADR 0040 the state in between had no name
        release = replace(release, state=State.PROMOTING)
    return replace(_moved(release, State.PROMOTED), lease=None, why=content["why"])


def _rollback_allowed(release: Release, content: Mapping[str, Any]) -> Release:
    data = content["data"]
    allowed = RollbackPermission(target=data["to"], version=data["version"], until=data["until"])
    return replace(release, rollback=allowed)


def _rolled_back(release: Release, content: Mapping[str, Any]) -> Release:
    left = replace(release, lease=None, rollback=None, why=content["why"])
    return _moved(left, State.ROLLED_BACK)


_APPLY: Mapping[str, Callable[[Release, Mapping[str, Any]], Release]] = {
    "VoteCast": _vote_cast,
    "LevelOpened": _level_opened,
    "ReleaseVoided": _voided,
    "GlassBroken": _glass,
    "GlassConfirmed": _glass,
    "WaiverGranted": _waiver,
    "PromotionStarted": _started,
    "PromotionEnded": _attempt_ended,
    "ReleasePromoted": _promoted,
    "RollbackAllowed": _rollback_allowed,
    "RollbackStarted": _started,
    "RollbackEnded": _attempt_ended,
    "ReleaseRolledBack": _rolled_back,
}


class Story:
    """Collects the events of one command and the release they lead to, in step."""

    def __init__(self, release: Release | None, actor: Actor, at: str, policy: str) -> None:
        """Start from *release* (None for a new one); *at* is the database's time."""
        self.release = self.before = release
        self.events: list[Event] = []
        self.at = at
        self._actor, self._policy = actor, policy

    def tell(
        self,
        event_type: str,
        data: Mapping[str, Any],
        *,
        why: str = "",
        resource: str = "",
        author: str = "",
    ) -> None:
        """Add one event and move the release along. *author*: who wrote *why*, if not the actor."""
        old = self.release
        event = Event(
            type=event_type,
            actor_id=self._actor.id,
            roles=tuple(sorted(self._actor.roles)),
            channel=self._actor.channel.value,
            resource=resource,
            old=old.summary() if old else None,
            new=None,
            why=why,
            policy=self._policy,
            data=data,
            author=author,
        )
        self.release = new = apply(old, _content(event, self.at))
        if new is not None:
            event = replace(event, resource=resource or f"release/{new.id}", new=new.summary())
        self.events.append(event)

    def retold(self, events: Sequence[Event]) -> Release | None:
        """Return what the release would be if these had been its events."""
        release = self.before
        for event in events:
            release = apply(release, _content(event, self.at))
        return release


def _content(event: Event, at: str) -> dict[str, Any]:
    """Return what `apply` reads of an event."""
    return {
        "what": event.type,
        "who": {"id": event.actor_id},
        "channel": event.channel,
        "at": at,
        "why": event.why,
        "data": event.data,
    }
