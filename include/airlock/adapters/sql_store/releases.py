"""Releases and votes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from airlock.adapters.sql_store.log import Log
from airlock.adapters.sql_store.tables import release, vote
from airlock.domain.audit import Head
from airlock.domain.errors import Conflict, NotFound
from airlock.domain.policy import Tier
from airlock.domain.release import Decision, Release, State, Story, Subject, Vote


class Releases(Log):
    """Reading, locking and recording releases."""

    def lock(self, release_id: str) -> Release:
        """Lock the release for this transaction and read it afresh."""
        return self._one(
            select(release).where(release.c.id == release_id).with_for_update(), release_id
        )

    def get(self, release_id: str) -> Release:
        """Read a release without locking it."""
        return self._one(select(release).where(release.c.id == release_id), release_id)

    def by_origin(self, origin: str) -> Release | None:
        """Return the release a DAG run opened, if any."""
        found = self._many(select(release).where(release.c.origin == origin))
        return found[0] if found else None

    def occupying(self, model: str, environment: str) -> Release | None:
        """Return the open release of a line, if any."""
        found = self._many(
            select(release).where(
                release.c.model == model,
                release.c.environment == environment,
                release.c.state.in_([state.value for state in State if state.is_open]),
            )
        )
        return found[0] if found else None

    def find(
        self, *, states: Sequence[State] = (), model: str | None = None, limit: int = 200
    ) -> tuple[Release, ...]:
        """Return releases, newest first."""
        query = select(release).order_by(release.c.opened_at.desc()).limit(limit)
        if states:
            query = query.where(release.c.state.in_([state.value for state in states]))
        if model is not None:
            query = query.where(release.c.model == model)
        return self._many(query)

    def record(self, story: Story) -> Release:
        """Write the events and the release they lead to, together."""
        new = story.release
        if new is None:
            raise ValueError("a story without a release has nothing to record")
        opened = story.events[0].what == "ReleaseRequested"
        head = Head() if opened else self._head(new.id)
        for event in story.events:
            entry = self._append(new.id, head, event, story.at)
            head = Head(entry.seq, entry.hash)
        values = {**_columns(new), "seq": head.seq, "head": head.hash}
        try:
            if opened:
                self._connection.execute(insert(release).values(**values))
            else:
                changing = update(release).where(release.c.id == new.id)
                self._connection.execute(changing.values(**_changing(values)))
        except IntegrityError as error:
            raise Conflict(
                f"{new.subject.model} already has an open release for {new.subject.environment}, "
                "or this run has opened one",
                next_step="Finish, withdraw or supersede the open release first.",
            ) from error
        return new

    def insert_vote(self, release_id: str, vote_cast: Vote) -> None:
        """Insert a vote; the database refuses a second one by the same person."""
        values = {**asdict(vote_cast), "release": release_id, "decision": vote_cast.decision.value}
        try:
            self._connection.execute(insert(vote).values(**values))
        except IntegrityError as error:
            raise Conflict(
                f"{vote_cast.person} has already answered release {release_id}: "
                "one person, one vote",
                next_step="Another person has to answer.",
            ) from error

    def _head(self, release_id: str) -> Head:
        query = select(release.c.seq, release.c.head).where(release.c.id == release_id)
        row = self._connection.execute(query).one()
        return Head(row.seq, bytes(row.head))

    def _one(self, query: Select[Any], release_id: str) -> Release:
        found = self._many(query)
        if not found:
            raise NotFound(
                f"there is no release {release_id!r}",
                next_step="`airlock release list` shows every release.",
            )
        return found[0]

    def _many(self, query: Select[Any]) -> tuple[Release, ...]:
        rows = self._connection.execute(query).mappings().all()
        cast: dict[str, list[Vote]] = {row["id"]: [] for row in rows}
        if rows:
            votes = select(vote).where(vote.c.release.in_(list(cast))).order_by(vote.c.at)
            for row in self._connection.execute(votes).mappings():
                cast[row["release"]].append(_vote(row))
        return tuple(_release(row, tuple(cast[row["id"]])) for row in rows)


def _vote(row: RowMapping) -> Vote:
    fields = {name: row[name] for name in ("person", "level", "reason", "round", "channel", "at")}
    return Vote(**fields, decision=Decision(row["decision"]))


def _release(row: RowMapping, votes: tuple[Vote, ...]) -> Release:
    same = ("id", "origin", "location", "requester", "opened_at", "level", "level_opened_at")
    return Release(
        **{name: row[name] for name in (*same, "round", "why")},
        subject=Subject(**json.loads(row["subject"])),
        tier=Tier(row["tier"]),
        state=State(row["state"]),
        votes=votes,
    )


def _columns(new: Release) -> dict[str, Any]:
    fields = asdict(new)
    del fields["votes"]
    return {
        **fields,
        "subject": json.dumps(fields["subject"], sort_keys=True),
        "model": new.subject.model,
        "environment": new.subject.environment,
        "tier": new.tier.value,
        "state": new.state.value,
    }


def _changing(values: dict[str, Any]) -> dict[str, Any]:
    names = ("state", "level", "level_opened_at", "round", "why", "seq", "head")
    return {name: values[name] for name in names}
