"""A release as its log tells it: plain values, made by `airlock_evidence.story`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airlock_evidence.archive import canonical, sha256

#: How a vote for a whole role is written where otherwise a person is named.
ROLE = "role/"
#: The body of a log entry.
Content = Mapping[str, Any]


@dataclass(frozen=True)
class Vote:
    """One answer: who, as what, at which level of which round, and what was shown."""

    person: str
    roles: tuple[str, ...]
    level: int
    name: str
    round: int
    decision: str
    capacity: str
    behind: str
    channel: str
    at: str
    opened_at: str
    subject_digest: str
    reason: str
    conditions: Content
    seq: int

    @property
    def principal(self) -> str:
        """Whose seat is filled."""
        lent = self.behind and not self.behind.startswith(ROLE)
        return self.behind if lent else self.person

    @property
    def people(self) -> frozenset[str]:
        """Everybody who has answered with this vote."""
        return frozenset({self.person, self.principal})


@dataclass
class ReleaseState:
    """The state of a release after the events of its stream."""

    id: str = ""
    state: str = ""
    origin: str = ""
    location: str = ""
    requester: str = ""
    tier: str = ""
    attempt_of: str = ""
    opened_at: str = ""
    why: str = ""
    subject: dict[str, Any] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    unknown_authors: list[str] = field(default_factory=list)
    round: int = 1
    level: int = 0
    level_opened_at: str = ""
    complete: list[int] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    gates: list[dict[str, Any]] = field(default_factory=list)
    gates_origin: str = ""
    gates_subject: str = ""
    #: The evidence any gate was judged on, in whichever round.
    gate_evidence: set[str] = field(default_factory=set)
    emergency: dict[str, Any] = field(default_factory=dict)
    approved_at: str = ""
    grants: list[dict[str, Any]] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    promotion: dict[str, Any] = field(default_factory=dict)
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    rollback: dict[str, Any] = field(default_factory=dict)
    back_allowed: dict[str, Any] = field(default_factory=dict)
    #: The attempt that has the release to itself; and the grants of those that ended.
    attempt: dict[str, Any] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    voided: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    waivers: list[dict[str, Any]] = field(default_factory=list)
    events: list[Content] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The digest of the subject as it is now."""
        return sha256(canonical(self.subject))

    def votes_now(self) -> list[Vote]:
        """The votes of this round."""
        return [vote for vote in self.votes if vote.round == self.round]
