"""What passes through the ports: plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from airlock.domain.approval.release import Release
from airlock.domain.approval.timers import Timer
from airlock.domain.gates import Evidence
from airlock.domain.people.actors import Person
from airlock.domain.people.enrolment import SeenAccount
from airlock.ports.proposals import Run

T = TypeVar("T")
#: The kind of messages that go to the chat, in the order of their release.
CHAT = "chat"
#: The kind of messages that are sent as e-mails: `to`, `subject`, `text`.
MAIL = "mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What one pipeline run produced. `origin` is `dag_id/run_id`."""

    origin: str
    model: str
    version: str
    run_id: str
    location: str
    artifact_digest: str
    data_digest: str
    code_commit: str
    pipeline_digest: str
    requester: str
    environment: str
    raised_to: str | None
    started_at: str
    committers: tuple[str, ...] = ()
    lock_digest: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What serves in one environment: the current version and how often it has changed."""

    model: str
    environment: str
    epoch: int = 0
    version: str | None = None
    release: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a judgement of one release depends on besides the release: one look, one moment.

    The last ones only say what may have to be looked at: *lent* a delegation, *demanded* an open
    finding of the model, *rejected* a rejected release of the line, *earlier* an earlier release
    of it, *raised* a finding of this release, *broken* a broken glass of the model.
    """

    now: datetime
    people: tuple[Person, ...]
    candidate: Candidate | None
    evidence: Mapping[str, Evidence]
    #: The signed results of the run by key, as envelopes.
    attestations: Mapping[str, str]
    line: Line
    #: The run, as Airflow told of it.
    run: Run | None
    lent: bool
    demanded: bool
    rejected: bool
    earlier: bool
    raised: bool
    broken: bool


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant as kept: the signed envelope, who has spent it, or when it was revoked unspent."""

    grant_id: str
    envelope: str
    spent_by: str | None
    spent_at: datetime | None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """A task instance of Airflow that waits for a level to be decided."""

    release: str
    level: int
    dag_id: str
    run_id: str
    task_id: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """Something that has to leave the database. `key` makes delivery idempotent."""

    id: int
    kind: str
    key: str
    payload: Mapping[str, Any]
    attempts: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """How many wait in a queue; *since*: the oldest, as its row says; *about* names that one."""

    count: int
    since: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message that will never be delivered, and why."""

    kind: str
    key: str
    at: str
    error: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in Airlock's database at a time: messages for Airflow, for the chat, timers that
    are due, proposals of tasks; and the newest messages that were given up."""

    at: datetime
    messages: Queue
    chat: Queue
    timers: Queue
    proposals: Queue
    given_up: tuple[GivenUp, ...]


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """A page of a list of releases.

    *places*: where the rest of the list begins after each; *next*: where the next page does, empty
    on the last one.
    """

    releases: tuple[Release, ...]
    places: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list; *next*: where the page after it begins, empty on the last one."""

    items: tuple[T, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """A locked release and its timers that are due."""

    release: Release
    timers: tuple[Timer, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in to Airflow, with Airflow's names of the roles held directly."""

    user: str
    name: str
    roles: frozenset[str]
    active: bool
    #: What an enrolment is made for; None where Airflow's login does not say.
    identity: SeenAccount | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a message stands in the chat."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Posted:
    """A message to the chat: begun before it is sent; *spot* is known once it has been.

    *shown*: the digest of what it shows, so that it is not changed for nothing.
    """

    key: str
    release: str
    begun_at: str
    spot: Spot | None = None
    content_digest: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An account in the chat that belongs to a person: *team* is the organisation's id if it has
    one, else the workspace's. Both ways unique while it has not ended."""

    team: str
    account: str
    person: str
    linked_at: str
    ended_at: str | None = None
