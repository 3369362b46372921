"""What Airlock needs from the outside, as small protocols. Adapters implement them.

A unit of work is one database transaction: nothing is kept unless `commit` was called. Whatever
changes a release goes through `record`, which writes the state and its events together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from airlock.domain.audit import Entry, Event, Head
from airlock.domain.gates import Evidence, GateResult
from airlock.domain.grant import Grant
from airlock.domain.people import Person
from airlock.domain.release import Release, State, Story, Vote


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


@dataclass(frozen=True, slots=True)
class Line:
    """What serves in one environment: the current version and how often it has changed."""

    model: str
    environment: str
    epoch: int = 0
    version: str | None = None
    release: str | None = None


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant as kept: the signed envelope, and who has spent it."""

    grant_id: str
    envelope: str
    spent_by: str | None
    spent_at: datetime | None


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


class UnitOfWork(Protocol):
    """One transaction on Airlock's own database."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def commit(self) -> None:
        """Keep what was done."""

    def now(self) -> datetime:
        """Return the database's clock now (not the transaction's start), in UTC."""

    # releases
    def lock(self, release_id: str) -> Release:
        """Lock the release for this transaction and read it afresh. Raises NotFound."""

    def get(self, release_id: str) -> Release:
        """Read a release without locking it. Raises NotFound."""

    def by_origin(self, origin: str) -> Release | None:
        """Return the release a DAG run opened, if any."""

    def occupying(self, model: str, environment: str) -> Release | None:
        """Return the open release of a line, if any."""

    def find(
        self, *, states: Sequence[State] = (), model: str | None = None, limit: int = 200
    ) -> tuple[Release, ...]:
        """Return releases, newest first."""

    def record(self, story: Story) -> Release:
        """Write the events and the release they lead to, together. Raises Conflict on a race."""

    def insert_vote(self, release_id: str, vote: Vote) -> None:
        """Insert a vote (decider only). Raises Conflict if the person has already voted."""

    # what a run produced
    def put_candidate(self, candidate: Candidate) -> None:
        """Remember a run's candidate; the same origin may only repeat the same content."""

    def candidate(self, origin: str) -> Candidate | None:
        """Return the candidate of a run."""

    def put_evidence(self, origin: str, evidence: Evidence) -> None:
        """Keep evidence for a run; the newest of a kind counts until the release is opened."""

    def evidence_of(self, origin: str) -> dict[str, Evidence]:
        """Return the evidence of a run by kind."""

    def put_result(self, origin: str, result: GateResult) -> None:
        """Keep a gate result for a run; a later result of the same key replaces it."""

    def results_of(self, origin: str) -> tuple[GateResult, ...]:
        """Return the gate results of a run in order of key."""

    # people, policies
    def people(self) -> tuple[Person, ...]:
        """Return everybody Airlock knows, with the roles held now."""

    def put_person(self, person: Person) -> bool:
        """Insert or update a person and the role grants; say whether anything changed."""

    def register(self, kind: str, digest: str, document: Mapping[str, Any]) -> bool:
        """Register a policy or pipeline (decider only); say whether it was new."""

    def registered(self, kind: str, digest: str) -> tuple[Mapping[str, Any], datetime]:
        """Return a registered document and when it was registered. Raises Refused."""

    # grants and lines
    def put_grant(self, grant: Grant, envelope: str) -> None:
        """Keep a new grant (decider only)."""

    def grant_of(self, release_id: str) -> StoredGrant | None:
        """Return the grant of a release."""

    def spend(self, grant_id: str, attempt: str, lease: timedelta) -> None:
        """Mark a grant as spent by *attempt*.

        Raises Conflict if another attempt has, less than *lease* ago.
        """

    def line(self, model: str, environment: str, *, lock: bool = False) -> Line:
        """Return the line, locked if asked; one that never had a release has epoch 0."""

    def put_line(self, line: Line) -> None:
        """Write the line; the epoch may only grow."""

    # waking and telling
    def park(self, parked: Parked) -> None:
        """Remember a waiting task instance."""

    def unpark(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Forget a task instance that no longer waits."""

    def parked(self, release_id: str) -> tuple[Parked, ...]:
        """Return the task instances that wait for a release."""

    def post(self, kind: str, key: str, payload: Mapping[str, Any]) -> None:
        """Put a message into the outbox; the same key is posted once."""

    def claim(self, limit: int = 20, seconds: float = 60.0) -> tuple[Message, ...]:
        """Take messages that are due, oldest first; nobody else gets them for *seconds*."""

    def settle(self, message: Message, *, error: str = "", retry_in: float | None = None) -> None:
        """Mark a message delivered, to be retried in some seconds, or given up with an error."""

    # answers already given, and the log
    def recall(self, key: str) -> tuple[str, str] | None:
        """Return (request digest, answer) for an idempotency key."""

    def remember(self, key: str, request: str, answer: str) -> None:
        """Keep the answer for an idempotency key."""

    def log(self, stream: str, event: Event) -> Entry:
        """Append an event to a stream that belongs to no release."""

    def streams(self) -> tuple[tuple[str, Head], ...]:
        """Return every stream with the head the application believes in."""

    def entries(self, stream: str | None = None, limit: int | None = None) -> Iterator[Entry]:
        """Return entries of one stream in order, or of all streams, stream by stream."""


class Store(Protocol):
    """Airlock's own database."""

    def begin(self) -> UnitOfWork:
        """Start a transaction. Raises Unreachable."""


class Signer(Protocol):
    """A private key that can only sign. A KMS can be one."""

    @property
    def key_id(self) -> str:
        """Which key signs."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of *message*."""


class Keyring(Protocol):
    """The public keys that are trusted."""

    def verify(self, key_id: str, signature: bytes, message: bytes) -> bool:
        """Say whether a trusted key of that id made the signature."""


class Registry(Protocol):
    """The model registry (MLflow)."""

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at, or None."""

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point the alias at a version."""

    def download(self, model: str, version: str, into: Path) -> Path:
        """Download the artifact of a version and return its folder."""

    def artifact_digest(self, model: str, version: str) -> str:
        """Download afresh and return the manifest digest."""

    def location(self, model: str, version: str) -> str:
        """Return where the bytes are really read from."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in to Airflow, with Airflow's names of the roles held directly."""

    user: str
    name: str
    roles: frozenset[str]
    active: bool


class Airflow(Protocol):
    """What the delivery process asks of Airflow."""

    def wake(self, parked: Parked, note: str) -> bool:
        """Wake a parked task. False: not yet possible, try again. Raises Unreachable."""

    def note(self, dag_id: str, run_id: str, note: str) -> None:
        """Write a note onto a DAG run. Raises Unreachable."""
