"""The audit log: chained entries. A release's chain head lives in its own row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import RowMapping, insert, select, update

from airlock.adapters.sql_store.bulk import insert_new
from airlock.adapters.sql_store.tables import audit_event, audit_stream, release
from airlock.adapters.sql_store.texts import Texts
from airlock.domain.audit import Entry, Event, Head, append

#: Entries fetched at a time, so that verifying a long log needs little memory.
BATCH = 5_000


class Log(Texts):
    """Appending to streams and reading them."""

    def hold(self, stream: str) -> None:
        """Let nobody else append to a stream of its own until this transaction ends."""
        self._held(stream)

    def _held(self, stream: str) -> RowMapping:
        first = {"stream": stream, "seq": 0, "head": Head().hash}
        self._insert_once(audit_stream, first, on=("stream",))
        query = select(audit_stream).where(audit_stream.c.stream == stream).with_for_update()
        return self._connection.execute(query).mappings().one()

    def log(self, stream: str, event: Event) -> Entry:
        """Append an event to a stream that belongs to no release."""
        row = self._held(stream)
        sealed = self._sealed(stream, event)
        entry = self._append(stream, Head(row["seq"], row["head"]), sealed, self._stamp())
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
        row = self._held(stream)
        sealed = [self._sealed(stream, event) for event in events]
        head = self._append_all(stream, Head(row["seq"], row["head"]), sealed, self._stamp())
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
            place = {"stream": stream, "seq": entry.seq, "what": event.what}
            hashed = {"body": entry.body, "prev": entry.prev, "hash": entry.hash}
            rows.append({**place, **hashed})
        insert_new(self._connection, audit_event, rows)
        return head

    def _append(self, stream: str, head: Head, event: Event, at: str) -> Entry:
        entry = append(head, stream, event, at)
        self._connection.execute(
            insert(audit_event).values(
                stream=stream,
                seq=entry.seq,
                what=event.what,
                body=entry.body,
                prev=entry.prev,
                hash=entry.hash,
            )
        )
        return entry

    def streams(self) -> tuple[tuple[str, Head], ...]:
        """Return every stream with the head the application believes in, orphans included."""
        heads: dict[str, Head] = {}
        known = select(audit_event.c.stream).distinct()
        for (name,) in self._connection.execute(known):
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
