"""Releases and votes.

What is locked holds commitments in place of texts, as the tables and the log do, so that a decision
costs no look at a text; what is read to be shown holds the texts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import RowMapping, Select, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from airlock.adapters.sql_store.bulk import among
from airlock.adapters.sql_store.log.entries import Log
from airlock.adapters.sql_store.tables import release, vote
from airlock.adapters.sql_store.texts.text_resolution import read_out, texts_in
from airlock.domain.approval.approval_conditions import Conditions
from airlock.domain.approval.policy import Tier
from airlock.domain.approval.release import (
    Decision,
    Emergency,
    Lease,
    Release,
    RollbackPermission,
    State,
    Story,
    Subject,
    Vote,
)
from airlock.domain.approval.waivers import Waiver
from airlock.domain.errors import Conflict, NotFound, Refused
from airlock.domain.log.audit import Head
from airlock.domain.log.erasable_texts import mark_commitment, swapped
from airlock.domain.people.delegation import Capacity

log = logging.getLogger("airlock.store")

# Made once: building these statements would cost as much as running them.
_GET = select(release).where(release.c.id == bindparam("of"))
_LOCK = _GET.with_for_update()
_VOTES = select(vote).where(vote.c.release == bindparam("of")).order_by(vote.c.at)
_UPDATE = update(release).where(release.c.id == bindparam("of"))
_INSERT_VOTE = insert(vote)
_REJECTED = (
    select(release.c.id, release.c.subject)
    .where(release.c.model == bindparam("of"), release.c.environment == bindparam("into"))
    .where(release.c.state == State.REJECTED.value)
    .order_by(release.c.opened_at.desc())
)


class Releases(Log):
    """Reading, locking and recording releases."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin with no release read or locked."""
        super().__init__(*arguments, **options)
        self._heads_read: dict[str, Head] = {}
        self._heads_locked: dict[str, Head] = {}

    def lock(self, release_id: str) -> Release:
        """Lock the release for this transaction and read it afresh."""
        locked = self._release_of(_LOCK, release_id)
        self._heads_locked[release_id] = self._heads_read[release_id]
        return locked

    def get(self, release_id: str) -> Release:
        """Read a release, texts included, without locking it."""
        return self._read_out((self._release_of(_GET, release_id),))[0]

    def by_origin(self, origin: str) -> Release | None:
        """Return the release a DAG run opened, if any."""
        releases = self._many(select(release).where(release.c.origin == origin))
        return self._read_out(releases)[0] if releases else None

    def occupying(self, model: str, environment: str) -> Release | None:
        """Return the open release of a line, if any."""
        releases = self._many(
            select(release).where(
                release.c.model == model,
                release.c.environment == environment,
                release.c.state.in_([state.value for state in State if state.is_open]),
            )
        )
        return releases[0] if releases else None

    def leased(self) -> tuple[Release, ...]:
        """Return the releases that an attempt has to itself, or had when it died."""
        return self._many(select(release).where(release.c.lease.is_not(None)))

    def rejections(self, model: str, environment: str) -> tuple[tuple[str, str], ...]:
        """Return every rejected release of a line with its artifact digest, the newest first."""
        rows = self._connection.execute(_REJECTED, {"of": model, "into": environment})
        return tuple((name, json.loads(subject)["artifact_digest"]) for name, subject in rows)

    def _read_out(self, releases: tuple[Release, ...]) -> tuple[Release, ...]:
        """Return releases with people's texts in place of the commitments."""
        texts = self.resolve_texts(text for record in releases for text in texts_in(record))
        return tuple(read_out(record, texts) for record in releases) if texts else releases

    def record(self, story: Story) -> Release:
        """Write the events and the release they lead to, together."""
        new = story.release
        if new is None:
            raise ValueError("a story without a release has nothing to record")
        opened = story.events[0].type == "ReleaseRequested"
        before = Head() if opened else self._head(new.id)
        events, sealed = self._sealed_story(story, new)
        head = self._append_all(new.id, before, events, story.at)
        self._heads_locked[new.id] = head
        values = {**_columns(sealed), "seq": head.seq, "head": head.hash}
        try:
            if opened:
                self._connection.execute(insert(release), values)
            else:
                self._connection.execute(_UPDATE, {**_changing(values), "of": new.id})
        except IntegrityError as error:
            raise Conflict(
                f"{new.subject.model} already has an open release for {new.subject.environment}, "
                "or this run has opened one",
                next_step="Have it promoted or withdrawn first; `airlock release list` shows it. "
                "With whenReleaseOpen: supersede in the pipeline a new run takes its place.",
            ) from error
        return new

    def insert_vote(self, release_id: str, vote_cast: Vote) -> None:
        """Insert a vote; the database refuses a second one by the same person."""

        def swap(text: str) -> str:
            return self._commit_to(release_id, vote_cast.person, text)

        conditions = swapped({"conditions": vote_cast.conditions.to_document()}, swap)["conditions"]
        values = {
            **asdict(vote_cast),
            "release": release_id,
            "decision": vote_cast.decision.value,
            "reason": swap(vote_cast.reason),
            "capacity": vote_cast.capacity.value,
            "conditions": json.dumps(conditions, sort_keys=True),
        }
        try:
            self._connection.execute(_INSERT_VOTE, values)
        except IntegrityError as error:
            raise Conflict(
                f"{vote_cast.person} has already answered release {release_id}: "
                "one person, one vote",
                next_step="Another person has to answer.",
            ) from error

    def _head(self, release_id: str) -> Head:
        if release_id in self._heads_locked:  # nobody else can have moved it since
            return self._heads_locked[release_id]
        query = select(release.c.seq, release.c.head).where(release.c.id == release_id)
        row = self._connection.execute(query).one()
        return Head(row.seq, bytes(row.head))

    def _release_of(self, query: Select[Any], release_id: str) -> Release:
        releases = self._many(query, of=release_id)
        if not releases and release_id in self._heads_read:
            raise Refused(
                f"the row of release {release_id} is damaged and cannot be read",
                next_step="`airlock audit verify` says what was changed; the log holds it all.",
            )
        if not releases:
            raise NotFound(
                f"there is no release {release_id!r}",
                next_step="`airlock release list` shows every release.",
            )
        return releases[0]

    def _many(self, query: Select[Any], **parameters: str) -> tuple[Release, ...]:
        return self._of_rows(
            self._connection.execute(query, parameters).mappings().all(), **parameters
        )

    def _of_rows(self, rows: Sequence[RowMapping], **parameters: str) -> tuple[Release, ...]:
        """Return the releases of these rows, with their votes."""
        cast: dict[str, list[Vote]] = {row["id"]: [] for row in rows}
        self._heads_read |= {row["id"]: Head(row["seq"], bytes(row["head"])) for row in rows}
        if rows:
            votes = _VOTES
            if not parameters:
                chosen = among(self._connection, vote.c.release, list(cast))
                votes = select(vote).where(chosen).order_by(vote.c.at)
            for row in self._connection.execute(votes, parameters).mappings():
                _cast(row, cast)
        readable = (_readable(row, tuple(cast[row["id"]])) for row in rows if row["id"] in cast)
        return tuple(record for record in readable if record is not None)


def _cast(row: RowMapping, cast: dict[str, list[Vote]]) -> None:
    """Add a vote; a release with one that cannot be read is out, as if its own row were damaged."""
    try:
        if row["release"] in cast:
            cast[row["release"]].append(_vote(row))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        log.error("a vote on release %s cannot be read: %r", row["release"], error)
        del cast[row["release"]]


def _vote(row: RowMapping) -> Vote:
    same = ("person", "level", "round", "channel", "at", "behind")
    conditions = swapped({"conditions": json.loads(row["conditions"])}, mark_commitment)[
        "conditions"
    ]
    return Vote(
        **{name: row[name] for name in same},
        reason=mark_commitment(row["reason"]),
        decision=Decision(row["decision"]),
        capacity=Capacity(row["capacity"]),
        conditions=Conditions.from_document(conditions),
    )


def _readable(row: RowMapping, votes: tuple[Vote, ...]) -> Release | None:
    """Return the release of a row; a damaged row is logged and gives None."""
    try:
        return _release(row, votes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        log.error("the row of release %s cannot be read: %r", row["id"], error)
        return None


def _release(row: RowMapping, votes: tuple[Vote, ...]) -> Release:
    same = ("id", "origin", "location", "requester", "attempt_of", "opened_at", "level")
    return Release(
        **{name: row[name] for name in (*same, "level_opened_at", "round")},
        why=mark_commitment(row["why"]),
        subject=Subject(**json.loads(row["subject"])),
        tier=Tier(row["tier"]),
        state=State(row["state"]),
        votes=votes,
        emergency=_emergency(row["emergency"]),
        waivers=_waivers(row["waivers"]),
        lease=Lease(**json.loads(row["lease"])) if row["lease"] else None,
        rollback=RollbackPermission(**json.loads(row["rollback"])) if row["rollback"] else None,
    )


def _emergency(text: str | None) -> Emergency | None:
    if text is None:
        return None
    document = json.loads(text)
    return Emergency(**{**document, "people": tuple(document["people"])})


def _waivers(text: str) -> tuple[Waiver, ...]:
    waivers = (Waiver.from_document(document) for document in json.loads(text))
    return tuple(replace(waiver, reason=mark_commitment(waiver.reason)) for waiver in waivers)


def _columns(new: Release) -> dict[str, Any]:
    columns = {
        field.name: getattr(new, field.name) for field in fields(new) if field.name != "votes"
    }
    return {
        **columns,
        "subject": json.dumps(new.subject.to_document(), sort_keys=True),
        "model": new.subject.model,
        "environment": new.subject.environment,
        "waivers": json.dumps([waiver.to_document() for waiver in new.waivers], sort_keys=True),
        **{name: _text(getattr(new, name)) for name in ("emergency", "lease", "rollback")},
        "tier": new.tier.value,
        "state": new.state.value,
    }


def _text(value: Emergency | Lease | RollbackPermission | None) -> str | None:
    return json.dumps(asdict(value)) if value is not None else None


def _changing(values: dict[str, Any]) -> dict[str, Any]:
    same = ("id", "model", "environment", "tier", "opened_at")
    return {name: value for name, value in values.items() if name not in same}
