"""The audit log: chained entries. A release's chain head lives in its own row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import RowMapping, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from airlock.adapters.sql_store.bulk import insert_new
from airlock.adapters.sql_store.keyset import number_of
from airlock.adapters.sql_store.tables import audit_event, audit_stream, release
from airlock.adapters.sql_store.texts.texts import Texts
from airlock.domain.errors import Unreachable
from airlock.domain.log.audit import Entry, Event, Head, append
from airlock.ports import Page

#: Entries fetched at a time, so that verifying a long log needs little memory.
BATCH = 5_000


_LAST = select(func.max(audit_event.c.seq)).where(audit_event.c.stream == bindparam("of"))
#: Read with the lock, so after a wait `last` may be older than the row; then it is smaller.
_LOCK_STREAM = (
    select(audit_stream, _LAST.scalar_subquery().label("last"))
    .where(audit_stream.c.stream == bindparam("of"))
    .with_for_update(of=audit_stream)
)


@contextmanager
def _appending(stream: str) -> Iterator[None]:
    """Say what is wrong where an entry's place, or its id, has been taken.

    Raises:
        Unreachable: naming the stream.
    """
    try:
        yield
    except IntegrityError as error:
        raise Unreachable(
            f"the log of {stream} cannot go on: the place of its next entry is taken already",
            next_step="Try again. If it repeats, `airlock audit verify` says what is wrong.",
        ) from error


class Log(Texts):
    """Appending to streams and reading them."""

    def hold(self, stream: str) -> None:
        """Let nobody else append to a stream of its own until this transaction ends."""
        self._lock_stream(stream)

    def _lock_stream(self, stream: str) -> RowMapping:
        first = {"stream": stream, "seq": 0, "head": Head().hash}
        self._insert_once(audit_stream, first, on=("stream",))
        return self._connection.execute(_LOCK_STREAM, {"of": stream}).mappings().one()

    def _last_head(self, row: RowMapping) -> Head:
        """Return the end of a held stream: its row's, unless entries go on behind that.

        Then somebody has changed the row, which `audit verify` names; the stream goes on all the
        same, because what is logged here must not be stopped by it.
        """
        if row["last"] is None or row["last"] <= row["seq"]:
            return Head(row["seq"], bytes(row["head"]))
        place = (audit_event.c.stream == row["stream"], audit_event.c.seq == row["last"])
        last = self._connection.execute(select(audit_event.c.hash).where(*place)).scalar_one()
        return Head(row["last"], bytes(last))

    def log(self, stream: str, event: Event) -> Entry:
        """Append an event to a stream that belongs to no release."""
        row = self._lock_stream(stream)
        sealed = self._sealed(stream, event)
        entry = self._append(stream, self._last_head(row), sealed, self._stamp())
        self._connection.execute(
            update(audit_stream)
            .where(audit_stream.c.stream == stream)
            .values(seq=entry.seq, head=entry.hash)
        )
        return entry

    def log_all(self, stream: str, events: Sequence[Event]) -> None:
        """Append events to a stream that belongs to no release."""
        if not events:
            return
        row = self._lock_stream(stream)
        sealed = [self._sealed(stream, event) for event in events]
        head = self._append_all(stream, self._last_head(row), sealed, self._stamp())
        self._connection.execute(
            update(audit_stream)
            .where(audit_stream.c.stream == stream)
            .values(seq=head.seq, head=head.hash)
        )

    def _append_all(self, stream: str, head: Head, events: Sequence[Event], at: str) -> Head:
        """Append events to a stream whose head is locked; return its new head."""
        rows = []
        for event in events:
            entry = append(head, stream, event, at)
            head = Head(entry.seq, entry.hash)
            place = {"stream": stream, "seq": entry.seq, "what": event.type}
            hashed = {"body": entry.body, "prev": entry.prev, "hash": entry.hash}
            rows.append({**place, **hashed})
        with _appending(stream):
            insert_new(self._connection, audit_event, rows)
        return head

    def _append(self, stream: str, head: Head, event: Event, at: str) -> Entry:
        entry = append(head, stream, event, at)
        statement = insert(audit_event).values(
            stream=stream,
            seq=entry.seq,
            what=event.type,
            body=entry.body,
            prev=entry.prev,
            hash=entry.hash,
        )
        with _appending(stream):
            self._connection.execute(statement)
        return entry

    def streams(self) -> tuple[tuple[str, Head], ...]:
        """Return every stream with the head the application believes in, orphans included."""
        heads: dict[str, Head] = {}
        names = select(audit_event.c.stream).distinct()
        for (name,) in self._connection.execute(names):
            heads[name] = Head()
        for row in self._connection.execute(select(audit_stream)).mappings():
            heads[row["stream"]] = Head(row["seq"], row["head"])
        query = select(release.c.id, release.c.seq, release.c.head)
        for row in self._connection.execute(query).mappings():
            heads[row["id"]] = Head(row["seq"], row["head"])
        return tuple(sorted(heads.items()))

    def entries(self, stream: str | None = None, limit: int | None = None) -> Iterator[Entry]:
        """Return entries in order of stream and place; with *limit*, the newest ones."""
        query = select(audit_event).order_by(audit_event.c.stream, audit_event.c.seq)
        if stream is not None:
            query = query.where(audit_event.c.stream == stream)
        if limit is not None:
            newest = select(audit_event.c.id).order_by(audit_event.c.id.desc()).limit(limit)
            if stream is not None:
                newest = newest.where(audit_event.c.stream == stream)
            query = query.where(audit_event.c.id.in_(newest)).order_by(None)
            query = query.order_by(audit_event.c.id)
        # On the statement: on the connection it would last, and a cursor takes no INSERT.
        rows = self._connection.execute(query, execution_options={"yield_per": BATCH}).mappings()
        return (_entry(row) for row in rows)

    def entry_page(
        self,
        *,
        stream: str | None = None,
        event_type: str = "",
        after: str = "",
        limit: int,
    ) -> Page[Entry]:
        """Return a page of entries, the newest first: of one stream, of one kind."""
        query = select(audit_event).order_by(audit_event.c.id.desc())
        if stream is not None:
            query = query.where(audit_event.c.stream == stream)
        if event_type:
            query = query.where(audit_event.c.what == event_type)
        if after:
            query = query.where(audit_event.c.id < number_of(after))
        rows = self._connection.execute(query.limit(limit + 1)).mappings().all()
        onward = str(rows[limit - 1]["id"]) if len(rows) > limit else ""
        return Page(tuple(_entry(row) for row in rows[:limit]), onward)


def _entry(row: RowMapping) -> Entry:
    return Entry(
        stream=row["stream"],
        seq=row["seq"],
        body=_bytes(row["body"]),
        prev=_bytes(row["prev"]),
        hash=_bytes(row["hash"]),
    )


def _bytes(value: bytes | str) -> bytes:
    # SQLite keeps whatever type somebody wrote; an edited entry must be found, not crash.
    return value.encode() if isinstance(value, str) else bytes(value)
