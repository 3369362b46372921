"""What waits in the database, counted for whoever watches over the platform."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, ColumnElement, func, select

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.proposals.tables import proposal
from airlock.adapters.sql_store.tables import outbox, timer
from airlock.domain.clock import stamp
from airlock.ports import CHAT, Backlog, GivenUp, Queue

#: Messages that were given up are named up to this many, the newest first.
NAMED = 20
#: Nothing is lost where there is no chat to say it in, nor by a question that is asked anew.
_NO_CHAT, _ASKED_ANEW = "there is no chat", "detect"


class BacklogReader(Base):
    """Reads alone; it locks nothing."""

    def backlog(self, since: datetime) -> Backlog:
        """Return what waits, and what was given up after a time."""
        now = self.now()
        open_ = outbox.c.settled_at.is_(None)
        due = (timer.c.ended_at.is_(None), timer.c.due_at <= stamp(now))
        return Backlog(
            at=now,
            messages=self._queue(outbox.c.posted_at, outbox.c.key, open_, outbox.c.kind != CHAT),
            chat=self._queue(outbox.c.posted_at, outbox.c.key, open_, outbox.c.kind == CHAT),
            timers=self._queue(timer.c.due_at, timer.c.key, *due),
            proposals=self._queue(
                proposal.c.handed_in_at, proposal.c.kind, proposal.c.answered_at.is_(None)
            ),
            given_up=self._given_up(stamp(since)),
        )

    def _queue(self, since: Column[str], about: Column[str], *where: ColumnElement[bool]) -> Queue:
        count = self._connection.scalar(select(func.count()).select_from(since.table).where(*where))
        first = select(since, about).where(*where).order_by(since).limit(1)
        row = self._connection.execute(first).one_or_none()
        return Queue(count or 0, *row) if row else Queue(0)

    def _given_up(self, since: str) -> tuple[GivenUp, ...]:
        query = (
            select(outbox.c.kind, outbox.c.key, outbox.c.settled_at, outbox.c.error)
            .where(outbox.c.settled_at >= since, outbox.c.kind != _ASKED_ANEW)
            .where(outbox.c.error.not_in(("", _NO_CHAT)))
            .order_by(outbox.c.settled_at.desc(), outbox.c.id.desc())
            .limit(NAMED)
        )
        return tuple(GivenUp(*row) for row in self._connection.execute(query))
