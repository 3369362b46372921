"""Airlock's own database, one transaction at a time.

Nothing is kept unless `commit` was called. Whatever changes a release goes through `record`, which
writes the state and its events together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from airlock.domain.approval.approval_conditions import Finding
from airlock.domain.approval.break_glass import Broken
from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.rejections import Rejections
from airlock.domain.approval.release import Release, State, Story, Vote
from airlock.domain.approval.timers import Timer
from airlock.domain.evidence.attestation import GateKeys
from airlock.domain.gates import Evidence, GateResult
from airlock.domain.log.audit import Entry, Event, Head
from airlock.domain.log.erasable_texts import Texts
from airlock.domain.people.actors import Person
from airlock.domain.people.delegation import Delegation
from airlock.domain.people.enrolment import Enrolment, SeenAccount
from airlock.domain.promotion.grant import Grant
from airlock.ports.proposals import Inbox
from airlock.ports.records import (
    Backlog,
    Candidate,
    Due,
    Facts,
    Line,
    Link,
    Message,
    Page,
    Parked,
    Posted,
    ReleasePage,
    Spot,
    StoredGrant,
)


class Waiting(Protocol):
    """Waits until there is something in the database to look at."""

    def wait(self, seconds: float) -> None:
        """Wait until there is, at most some seconds; never raises."""

    def close(self) -> None:
        """End."""


class UnitOfWork(Inbox, Protocol):
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
        """Lock the release for this transaction and read it afresh. Raises NotFound.

        What people wrote stands in it as commitments.
        """

    def get(self, release_id: str) -> Release:
        """Read a release, texts included, without locking it. Raises NotFound."""

    def facts(self, release: Release) -> Facts:
        """Read what a judgement of this release depends on; after a lock: as of after the lock."""

    def by_origin(self, origin: str) -> Release | None:
        """Return the release a DAG run opened, if any."""

    def occupying(self, model: str, environment: str) -> Release | None:
        """Return the open release of a line, if any."""

    def leased(self) -> tuple[Release, ...]:
        """Return the releases that an attempt has to itself, or had when it died."""

    def rejections(self, model: str, environment: str) -> Rejections:
        """Return every rejected release of a line with its artifact digest, the newest first."""

    def find(
        self, *, states: Sequence[State] = (), model: str | None = None, limit: int = 200
    ) -> tuple[Release, ...]:
        """Return releases, newest first."""

    def page(
        self,
        *,
        states: Sequence[State] = (),
        model: str | None = None,
        after: str = "",
        limit: int = 200,
    ) -> ReleasePage:
        """Return a page of releases, newest first; *after*: where the page before it ended.

        Raises Invalid if *after* is no such place.
        """

    def awaiting(self, *, after: str = "", limit: int = 200) -> ReleasePage:
        """Return a page of the releases that await approval, the next to expire first.

        Raises Invalid if *after* is no place a page ended.
        """

    def models(self) -> tuple[str, ...]:
        """Return every model there is a release of, by name."""

    def voted_by(self, person: str, limit: int = 20) -> tuple[Release, ...]:
        """Return the releases a person has voted on, the latest vote first."""

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

    def compared(
        self, model: str, environment: str
    ) -> tuple[tuple[Candidate, Mapping[str, Any]], ...]:
        """Return every candidate of a line with the facts of its comparison."""

    def put_result(self, origin: str, result: GateResult, attestation: str = ...) -> None:
        """Keep a gate result for a run; a later result of the same key replaces it."""

    @property
    def gate_keys(self) -> GateKeys | None:
        """Who is trusted with which gate; None where nothing has to be signed."""

    def attestations_of(self, origin: str) -> dict[str, str]:
        """Return the signed results of a run by key, as envelopes."""

    def results_of(self, origin: str) -> tuple[GateResult, ...]:
        """Return the gate results of a run in order of key."""

    # people, policies
    def people(self) -> tuple[Person, ...]:
        """Return everybody Airlock knows, with the roles that count now."""

    def put_person(self, person: Person) -> str:
        """Insert or update a person and the role grants; say whether anything changed."""

    def register(
        self, kind: str, digest: str, document: Mapping[str, Any], changed_by: str = ...
    ) -> bool:
        """Register a policy or pipeline (decider only); say whether it was new."""

    def is_registered(self, kind: str, digest: str) -> bool:
        """Say whether a policy or pipeline is registered."""

    def changed_by(self, kind: str, digest: str) -> str:
        """Return who last changed a registered document, as git names that person."""

    def registered(self, kind: str, digest: str) -> tuple[Mapping[str, Any], datetime]:
        """Return a registered document and when it was registered. Raises Refused."""

    def rulebook(self, digest: str) -> Rulebook:
        """Return a registered rule book. Raises Refused."""

    def policy_at(self, at: str) -> Mapping[str, Any] | None:
        """Return the policy registered last before a moment, if any."""

    def roles_at(self, person_id: str, at: str) -> frozenset[str]:
        """Return the roles a person held at a moment."""

    def active_at(self, person_id: str, at: str) -> bool | None:
        """Return whether a person was active at a moment; None if not known yet then."""

    # the register of approvers (decider only)
    def put_enrolment(self, new: Enrolment) -> Enrolment:
        """Keep a new enrolment; return it as it is kept. Raises Conflict if one stands already."""

    def change_enrolment(self, changed: Enrolment) -> None:
        """Write the state of an enrolment, and who confirmed or ended it, when and why."""

    def enrolment(self, enrolment_id: str) -> Enrolment:
        """Return one enrolment, locked. Raises NotFound."""

    def enrolments(
        self, *, person: str = ..., state: str = ..., batch: str = ...
    ) -> tuple[Enrolment, ...]:
        """Return enrolments in order of person, role and time; those asked for."""

    def account(self, person_id: str, *, lock: bool = ...) -> SeenAccount | None:
        """Return the account of a person as it was seen last; locked if asked."""

    def accounts(self) -> Mapping[str, SeenAccount]:
        """Return person -> account as it was seen last."""

    def put_account(self, person_id: str, identity: SeenAccount, at: str) -> None:
        """Keep the account of a person as it is seen now."""

    def put_look_alike(self, name: str, why: str, at: str) -> bool:
        """Note that a user name was refused as a person; say whether that is new."""

    def look_alikes(self) -> tuple[tuple[str, str, str], ...]:
        """Return (user name, why, when) of everybody refused, the newest first."""

    # grants and lines
    def put_grant(self, grant: Grant, envelope: str) -> None:
        """Keep a new grant (decider only)."""

    def grant_of(self, release_id: str, purpose: str = ...) -> StoredGrant | None:
        """Return the newest grant of a release, to promote it or to roll it back."""

    def spend(self, grant_id: str, attempt: str) -> str:
        """Note that the guard has seen a grant spent; return when. Raises Conflict if revoked."""

    def revoke(self, grant_id: str) -> str:
        """Note that a grant was revoked at the guard, unspent; return when.

        Raises Conflict if it was before.
        """

    def line(self, model: str, environment: str, *, lock: bool = False) -> Line:
        """Return the line, locked if asked; one that never had a release has epoch 0."""

    def lines(self) -> tuple[Line, ...]:
        """Return every line something was released into."""

    def grants_named(self, ids: Collection[str]) -> dict[str, StoredGrant]:
        """Return those of these grants that there are."""

    def put_line(self, line: Line) -> None:
        """Write the line; the epoch may only grow."""

    # delegations, findings, emergencies (written by the decider only)
    def put_delegation(self, new: Delegation) -> None:
        """Keep a new delegation."""

    def delegation(self, delegation_id: str) -> Delegation:
        """Return one delegation. Raises NotFound."""

    def delegations(self, *, at: str = "", person: str = "") -> tuple[Delegation, ...]:
        """Return delegations in order of their start: those in force *at*, those of *person*."""

    def delegation_page(
        self, *, giver: str = "", taker: str = "", without: str = "", after: str = "", limit: int
    ) -> Page[Delegation]:
        """Return a page of delegations, the one that begins last first.

        *giver* and *taker*: those from and those to somebody, with both: from or to; *without*:
        those that somebody has no part in. Raises Invalid if *after* is no place a page ended.
        """

    def finding_page(
        self, *, model: str = "", closed: bool | None = None, after: str = "", limit: int
    ) -> Page[Finding]:
        """Return a page of findings, the most urgent first; *closed* ones alone: the last first.

        Raises Invalid if *after* is no place a page ended.
        """

    def count_findings(self) -> int:
        """Return how many findings are open."""

    def revoke_delegation(self, delegation_id: str, at: str) -> None:
        """End a delegation early."""

    def put_finding(self, new: Finding) -> None:
        """Keep a new finding."""

    def finding(self, finding_id: str) -> Finding:
        """Return one finding. Raises NotFound."""

    def findings(self, model: str = "", *, release: str = "") -> tuple[Finding, ...]:
        """Return the findings of a model or of a release, the most urgent first."""

    def close_finding(self, finding_id: str, by: str, at: str) -> None:
        """Mark a finding as mended."""

    def put_broken(self, new: Broken) -> None:
        """Keep a broken glass. Raises Unreviewed if the model has one nobody has reviewed."""

    def broken(self, *, model: str = "", release: str = "") -> tuple[Broken, ...]:
        """Return the broken glasses of a model or of a release, oldest first."""

    def review_broken(self, use: Broken, by: str, at: str) -> None:
        """Mark a broken glass as reviewed."""

    # waking and telling
    def park(self, parked: Parked) -> None:
        """Remember a waiting task instance."""

    def unpark(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Forget a task instance that no longer waits."""

    def parked(self, release_id: str) -> tuple[Parked, ...]:
        """Return the task instances that wait for a release."""

    def post(self, kind: str, key: str, payload: Mapping[str, Any]) -> None:
        """Put a message into the outbox; the same key is posted once."""

    def claim(
        self, limit: int = 20, seconds: float = 60.0, *, chat: bool = False
    ) -> tuple[Message, ...]:
        """Take due messages, the oldest first; nobody else gets them for *seconds*.

        *chat*: of each release the oldest for the chat that is not settled; else all others."""

    def settle(self, message: Message, *, error: str = "", retry_in: float | None = None) -> None:
        """Mark a message delivered, to be retried in some seconds, or given up with an error."""

    def post_all(self, messages: Sequence[tuple[str, str, str]]) -> None:
        """Put many messages (kind, key, payload as JSON) into the outbox; each key once."""

    def letter(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """Return what a message in the outbox says, delivered or not; None if there is none."""

    def delivered(self, keys: Collection[str]) -> frozenset[str]:
        """Return which of these messages have been delivered."""

    # timers (decider only)
    def put_timers(self, timers: Sequence[Timer]) -> None:
        """Make timers; one that was made before, by its key, is left as it is."""

    def cancel_timers(self, of: Release) -> None:
        """Cancel the timers of every place the release is no longer at."""

    def take_due(self, limit: int, without: Collection[str] = ()) -> tuple[Due, ...]:
        """Lock releases with timers that are due, at most for *limit* timers; not those *without*.

        What somebody else has locked is left out and stays due.
        """

    def count_due(self, at: str) -> int:
        """Return how many waiting timers were due by a time."""

    def end_timers(self, ended: Iterable[tuple[Timer, bool]]) -> None:
        """Mark timers as fired, or as cancelled because they did nothing."""

    def postpone(self, due_timer: Timer, due_at: str) -> None:
        """Let a timer be due later."""

    def timers_of(self, release_id: str) -> tuple[tuple[Timer, bool | None], ...]:
        """Return every timer of a release, due first, and whether it fired (None: it waits)."""

    def untimed(self, limit: int = 500) -> tuple[Release, ...]:
        """Return releases that wait for people or for their promotion, but have no timer."""

    def record_all(self, stories: Sequence[Story]) -> None:
        """Write the events and the outcome of many locked releases at once."""

    # what people wrote: the log and the tables hold commitments to it
    def texts(self, stream: str) -> Texts:
        """Return commitment -> (salt, text) for the entries of a stream; erased ones are absent."""

    def texts_of(self, commitments: Iterable[str]) -> Texts:
        """Return commitment -> (salt, text); those that were erased are absent."""

    def resolve_texts(self, texts: Iterable[str]) -> Mapping[str, str]:
        """Return commitment -> readable text, for the commitments among *texts*."""

    def erase_texts(self, person_id: str) -> tuple[str, ...]:
        """Erase every text a person wrote (decider only); return the commitments."""

    # the chat (decider only)
    def begin_posting(self, key: str, release_id: str) -> Posted:
        """Note that a message is about to be sent; return what was known of it before."""

    def posted(self, key: str) -> Posted | None:
        """Return a message to the chat, if it was ever begun."""

    def end_posting(self, key: str, spot: Spot, content_digest: str = "") -> None:
        """Store where a message stands, and the digest of its content."""

    def link(self, team: str, account: str) -> Link | None:
        """Return whose account that is now."""

    def link_of(self, person: str) -> Link | None:
        """Return the account of a person now."""

    def links(self) -> dict[str, Link]:
        """Return person -> account, for everybody who has one now."""

    def put_link(self, new: Link) -> None:
        """Keep a new link. Raises Conflict if either side is linked already."""

    def end_link(self, person: str, at: str) -> bool:
        """End the link of a person; say whether there was one."""

    def put_code(self, person: str, digest: str, expires_at: str) -> None:
        """Keep the digest of a person's one-time code; an older one is forgotten."""

    def code(self, digest: str) -> tuple[str, str] | None:
        """Return (person, expires at) of a one-time code."""

    def end_code(self, person: str) -> None:
        """Forget the code of a person."""

    def put_try(self, team: str, account: str, at: str) -> None:
        """Note that an account tried a wrong code."""

    def tries(self, team: str, account: str, since: str) -> int:
        """Return how many wrong codes an account (`""`: its whole team) tried since a time."""

    # answers already given, and the log
    def backlog(self, since: datetime) -> Backlog:
        """Return what waits, and what was given up after a time."""

    def recall(self, key: str) -> tuple[str, str] | None:
        """Return (request digest, answer) for an idempotency key."""

    def remember(self, key: str, request: str, answer: str) -> None:
        """Keep the answer for an idempotency key. Raises Conflict if it is there already."""

    def hold(self, stream: str) -> None:
        """Let nobody else append to a stream of its own until this transaction ends."""

    def log(self, stream: str, event: Event) -> Entry:
        """Append an event to a stream that belongs to no release."""

    def log_all(self, stream: str, events: Sequence[Event]) -> None:
        """Append events to a stream that belongs to no release."""

    def streams(self) -> tuple[tuple[str, Head], ...]:
        """Return every stream with the head the application believes in."""

    def entries(self, stream: str | None = None, limit: int | None = None) -> Iterator[Entry]:
        """Return entries of one stream in order, or of all streams, stream by stream."""

    def entry_page(
        self, *, stream: str | None = None, event_type: str = "", after: str = "", limit: int
    ) -> Page[Entry]:
        """Return a page of entries, the newest first: of one stream, of one kind.

        Raises Invalid if *after* is no place a page ended.
        """


class Store(Protocol):
    """Airlock's own database."""

    def begin(self) -> UnitOfWork:
        """Start a transaction. Raises Unreachable."""
