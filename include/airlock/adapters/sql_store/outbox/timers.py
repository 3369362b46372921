"""Timers, and the batches in which a sweep takes them.

A sweep takes the timers that are due and nobody else has (`SKIP LOCKED`), then the releases they
belong to. A release somebody is deciding on right now is left for the next sweep: a timer never
waits for a person, and never makes one wait for a whole batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, bindparam, exists, func, or_, select, update

from airlock.adapters.sql_store.bulk import among, insert_new, update_by
from airlock.adapters.sql_store.releases.releases import Releases
from airlock.adapters.sql_store.tables import audit_event, outbox, release, timer
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.timers import Kind, Timer
from airlock.domain.log.audit import Head, append
from airlock.ports import Due

#: A level no timer is made for.
NOWHERE = -1
_CANCEL = update(timer).where(
    timer.c.release == bindparam("of"),
    timer.c.ended_at.is_(None),
    timer.c.kind != Kind.REVIEW.value,  # an emergency is reviewed wherever its release is by then
    or_(timer.c.round != bindparam("at_round"), timer.c.level != bindparam("at_level")),
)


class Timers(Releases):
    """Making, taking and ending timers."""

    def put_timers(self, timers: Sequence[Timer]) -> None:
        """Make timers; one that was made before, by its key, is left as it is."""
        rows = [
            {
                "key": record.key,
                "release": record.release,
                "kind": record.kind.value,
                "round": record.round,
                "level": record.level,
                "number": record.number,
                "due_at": record.due_at,
            }
            for record in timers
        ]
        insert_new(self._connection, timer, rows, on=("key",))

    def cancel_timers(self, of: Release) -> None:
        """Cancel the timers of every place the release is no longer at, but for reviews."""
        level = of.level if of.state.is_open else NOWHERE
        here = {"of": of.id, "at_round": of.round, "at_level": level}
        self._connection.execute(_CANCEL, {**here, "ended_at": self._noted(), "fired": 0})

    def take_due(self, limit: int, without: Collection[str] = ()) -> tuple[Due, ...]:
        """Lock releases with timers that are due, at most for *limit* timers; not those *without*.

        A release whose row cannot be read is left out; its timers stay due.
        """
        due: list[ColumnElement[bool]] = [timer.c.ended_at.is_(None)]
        due.append(timer.c.due_at <= self._stamp())
        if without:
            due.append(timer.c.release.not_in(sorted(without)))
        taking = select(timer.c.release).where(*due).order_by(timer.c.due_at, timer.c.id)
        ids = self._connection.scalars(taking.limit(limit).with_for_update(skip_locked=True))
        release_ids = sorted(set(ids))
        if not release_ids:
            return ()
        chosen = among(self._connection, release.c.id, release_ids)
        rows = select(release).where(chosen).order_by(release.c.id)
        locked = {
            record.id: record for record in self._many(rows.with_for_update(skip_locked=True))
        }
        by_release: dict[str, list[Timer]] = {}
        belonging = among(self._connection, timer.c.release, list(locked))
        reading = select(timer).where(belonging, *due)
        for row in self._connection.execute(reading).mappings():
            by_release.setdefault(row["release"], []).append(_timer(row))
        return tuple(Due(locked[name], tuple(timers)) for name, timers in by_release.items())

    def count_due(self, at: str) -> int:
        """Count the waiting timers that were due by a time."""
        query = select(func.count()).select_from(timer)
        due = query.where(timer.c.ended_at.is_(None), timer.c.due_at <= at)
        return int(self._connection.execute(due).scalar_one())

    def end_timers(self, ended: Iterable[tuple[Timer, bool]]) -> None:
        """Mark timers as fired, or as cancelled because they did nothing."""
        now = self._noted()
        rows = [
            {"key": record.key, "ended_at": now, "fired": int(fired)} for record, fired in ended
        ]
        update_by(self._connection, timer, "key", rows)

    def postpone(self, due_timer: Timer, due_at: str) -> None:
        """Let a timer be due later."""
        self._connection.execute(
            update(timer).where(timer.c.key == due_timer.key).values(due_at=due_at)
        )

    def timers_of(self, release_id: str) -> tuple[tuple[Timer, bool | None], ...]:
        """Return every timer of a release, due first, and whether it fired (None: it waits)."""
        query = select(timer).where(timer.c.release == release_id)
        rows = self._connection.execute(query.order_by(timer.c.due_at, timer.c.id)).mappings()
        return tuple(
            (_timer(row), None if row["fired"] is None else bool(row["fired"])) for row in rows
        )

    def untimed(self, limit: int = 500) -> tuple[Release, ...]:
        """Return releases that wait for people or for their promotion, but have no timer."""
        has = exists().where(
            timer.c.release == release.c.id,
            timer.c.round == release.c.round,
            timer.c.level == release.c.level,
            timer.c.kind.in_([Kind.EXPIRE.value, Kind.UNUSED.value]),
        )
        waiting = (State.AWAITING_APPROVAL.value, State.APPROVED.value)
        query = select(release).where(release.c.state.in_(waiting), ~has)
        return self._many(query.limit(limit))

    def record_all(self, stories: Sequence[Story]) -> None:
        """Write the events, the states and the reasons of many locked releases at once."""
        changed = [story for story in stories if story.events and story.release is not None]
        events: list[dict[str, Any]] = []
        changes: list[dict[str, Any]] = []
        for story in changed:
            new = story.release
            if new is None:
                continue
            head = self._heads_read[new.id]  # read with the lock
            sealed, kept_as = self._sealed_story(story, new)
            for event in sealed:
                entry = append(head, new.id, event, story.at)
                head = Head(entry.seq, entry.hash)
                place = {"stream": new.id, "seq": entry.seq, "what": event.type}
                hashed = {"body": entry.body, "prev": entry.prev, "hash": entry.hash}
                events.append({**place, **hashed})
            moved = {"state": new.state.value, "level": new.level, "why": kept_as.why}
            changes.append({"id": new.id, **moved, "seq": head.seq, "head": head.hash})
        insert_new(self._connection, audit_event, events)
        update_by(self._connection, release, "id", changes)

    def delivered(self, keys: Collection[str]) -> frozenset[str]:
        """Return the delivered ones of these messages."""
        arrived = (outbox.c.settled_at.is_not(None), outbox.c.error == "")
        chosen = among(self._connection, outbox.c.key, list(keys))
        query = select(outbox.c.key).where(chosen, *arrived)
        return frozenset(self._connection.scalars(query)) if keys else frozenset()


def _timer(row: RowMapping) -> Timer:
    return Timer(
        row["release"],
        Kind(row["kind"]),
        row["round"],
        row["level"],
        row["number"],
        row["due_at"],
    )
