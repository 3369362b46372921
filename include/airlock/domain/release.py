"""A release and its legal moves.

    REQUESTED -> BLOCKED                     a gate said no, or there were none
    REQUESTED -> AWAITING_APPROVAL           gates open, level 1 opens
    REQUESTED -> APPROVED                    the environment needs gates alone
    AWAITING_APPROVAL -> AWAITING_APPROVAL   a level is complete, the next one opens
    AWAITING_APPROVAL -> APPROVED            the last level is complete
    AWAITING_APPROVAL -> REJECTED            one no, with a reason, is final
    AWAITING_APPROVAL | APPROVED -> WITHDRAWN (requester)
    AWAITING_APPROVAL | APPROVED -> SUPERSEDED (a newer candidate of the same line)
    APPROVED -> PROMOTED                     the grant is spent and the alias moved

State is a fold over events: `apply` is the only place where it changes, and it reads nothing but
the event's content. So replaying the log rebuilds the state exactly.

This module has no clock, stores nothing and signs nothing. The commands that make events are in
`airlock.domain.opening`, `airlock.domain.voting` and `airlock.domain.promoting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from airlock.domain.audit import Event
from airlock.domain.digest import digest_json
from airlock.domain.errors import Conflict
from airlock.domain.people import Actor
from airlock.domain.policy import Tier


class State(StrEnum):
    """Where a release is."""

    REQUESTED = "REQUESTED"  #: asked for, gates not yet counted
    BLOCKED = "BLOCKED"  #: a gate did not open; final
    AWAITING_APPROVAL = "AWAITING_APPROVAL"  #: a level is open
    APPROVED = "APPROVED"  #: everything needed is there; a grant allows the promotion
    PROMOTED = "PROMOTED"  #: the alias points at it, or did until a later release
    REJECTED = "REJECTED"  #: somebody said no; final
    WITHDRAWN = "WITHDRAWN"  #: the requester took it back; final
    SUPERSEDED = "SUPERSEDED"  #: a newer candidate took its place; final

    @property
    def is_open(self) -> bool:
        """Say whether the release still occupies its line (model and environment)."""
        return self in (State.REQUESTED, State.AWAITING_APPROVAL, State.APPROVED)


MOVES: Mapping[State, frozenset[State]] = {
    State.REQUESTED: frozenset({State.BLOCKED, State.AWAITING_APPROVAL, State.APPROVED}),
    State.AWAITING_APPROVAL: frozenset(
        {
            State.AWAITING_APPROVAL,
            State.APPROVED,
            State.REJECTED,
            State.WITHDRAWN,
            State.SUPERSEDED,
        }
    ),
    State.APPROVED: frozenset({State.PROMOTED, State.WITHDRAWN, State.SUPERSEDED}),
    State.BLOCKED: frozenset(),
    State.PROMOTED: frozenset(),
    State.REJECTED: frozenset(),
    State.WITHDRAWN: frozenset(),
    State.SUPERSEDED: frozenset(),
}


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
        return digest_json(asdict(self))


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

    @property
    def voters(self) -> frozenset[str]:
        """Everybody whose vote counts in this round."""
        return frozenset(vote.person for vote in self.votes if vote.round == self.round)

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
    what, data = content["what"], content["data"]
    if what == "ReleaseRequested":
        return _requested(data, content["at"])
    if release is None:
        return None
    if what == "VoteCast":
        return replace(release, votes=(*release.votes, _vote(content)))
    if what == "LevelOpened":
        moved = _moved(release, State.AWAITING_APPROVAL)
        return replace(moved, level=data["level"], level_opened_at=content["at"])
    if what in _FINAL:
        return replace(_moved(release, _FINAL[what]), why=content["why"])
    return release


_FINAL = {
    "ReleaseBlocked": State.BLOCKED,
    "ReleaseApproved": State.APPROVED,
    "ReleaseRejected": State.REJECTED,
    "ReleaseWithdrawn": State.WITHDRAWN,
    "ReleaseSuperseded": State.SUPERSEDED,
    "ReleasePromoted": State.PROMOTED,
}


def _requested(data: Mapping[str, Any], at: str) -> Release:
    return Release(
        id=data["id"],
        origin=data["origin"],
        subject=Subject(**data["subject"]),
        location=data["location"],
        requester=data["requester"],
        tier=Tier(data["tier"]),
        state=State.REQUESTED,
        opened_at=at,
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
    )


def _moved(release: Release, state: State) -> Release:
    if state not in MOVES[release.state]:
        raise Conflict(
            f"release {release.id} is {release.state}: it cannot become {state}",
            next_step="Look at the release again; somebody else has already moved it.",
        )
    return replace(release, state=state, level=0)


class Story:
    """Collects the events of one command and the release they lead to, in step."""

    def __init__(self, release: Release | None, actor: Actor, at: str, policy: str) -> None:
        """Start from *release* (None for a new one); *at* is the database's time."""
        self.release = release
        self.events: list[Event] = []
        self.at = at
        self._actor, self._policy = actor, policy

    def tell(
        self, what: str, data: Mapping[str, Any], *, why: str = "", resource: str = ""
    ) -> None:
        """Add one event and move the release along."""
        old = self.release
        content = {
            "what": what,
            "who": {"id": self._actor.id},
            "channel": self._actor.channel.value,
            "at": self.at,
            "why": why,
            "data": data,
        }
        self.release = apply(old, content)
        new = self.release
        self.events.append(
            Event(
                what=what,
                who=self._actor.id,
                roles=tuple(sorted(self._actor.roles)),
                channel=self._actor.channel.value,
                resource=resource or (f"release/{new.id}" if new else ""),
                old=old.summary() if old else None,
                new=new.summary() if new else None,
                why=why,
                policy=self._policy,
                data=data,
            )
        )
