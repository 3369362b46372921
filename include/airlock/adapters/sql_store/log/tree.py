"""The log's tree: growing it, and reading it as a stream.

PostgreSQL: an event joins the tree when its transaction's number is below that of every
transaction still at work, in the order (transaction, id). So nothing can appear behind the place
the sequencer has reached. Ids alone would not do: they are given out before the commit.
SQLite has one writer, so there the order of ids is the order of commits.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, Table, func, insert, literal, select, text, union_all, update

from airlock.adapters.sql_store.log import scan
from airlock.adapters.sql_store.log.entries import BATCH
from airlock.adapters.sql_store.log.parallel_reader import Helper
from airlock.adapters.sql_store.log.tree_tables import (
    audit_checkpoint,
    audit_copy,
    audit_leaf,
    audit_node,
    audit_tree,
)
from airlock.adapters.sql_store.releases.releases import Releases
from airlock.adapters.sql_store.tables import audit_event, audit_stream
from airlock.adapters.sql_store.tables import release as release_table
from airlock.domain.log.audit import Head
from airlock.domain.log.merkle import Stretch
from airlock.domain.log.tree import KeptCheckpoint, Leaf, Stored, Tree, Turn, Unsequenced

#: Stretches of a level that are so close are read as one.
NEAR = 64

_ENTRY = (
    audit_event.c.stream,
    audit_event.c.seq,
    audit_event.c.what,
    audit_event.c.body,
    audit_event.c.prev,
    audit_event.c.hash,
)
_POSTGRES = (
    "SELECT id, CAST(CAST(xid AS text) AS bigint), what, {column} FROM audit_event "
    "WHERE (xid, id) > (CAST(CAST(:xid AS text) AS xid8), :id) {settled} "
    "ORDER BY xid, id LIMIT :limit"
)
_HOLD_STILL = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_TELL = text("SELECT pg_export_snapshot()")
_SETTLED = "AND xid < pg_snapshot_xmin(pg_current_snapshot())"
_TURN = (
    "SELECT stream, seq, what, body, prev, e.hash, CASE {when} ELSE 'next' END "
    "FROM audit_event AS e LEFT JOIN audit_leaf AS l ON l.event = e.id WHERE l.idx IS NULL "
    "ORDER BY stream, seq"
)
_AHEAD = (
    "SELECT stream, seq, id FROM audit_event WHERE id > "
    "pg_sequence_last_value(CAST(pg_get_serial_sequence('audit_event', 'id') AS regclass)) "
    "ORDER BY id LIMIT 1000"
)
_TURNS_SQLITE = _TURN.format(when="WHEN e.id <= :last THEN 'past'")
_TURNS = _TURN.format(
    when="WHEN (xid, e.id) <= (CAST(CAST(:xid AS text) AS xid8), :last) THEN 'past' "
    "WHEN xid >= pg_snapshot_xmax(pg_current_snapshot()) THEN 'future' "
    "WHEN xid >= pg_snapshot_xmin(pg_current_snapshot()) THEN 'open'"
)
_SQLITE = "SELECT id, 0, what, {column} FROM audit_event WHERE id > :id ORDER BY id LIMIT :limit"


class LogTree(Releases):
    """Leaves, nodes, checkpoints and copies."""

    def hold_still(self, like: str = "") -> None:
        """See the database as it is now to the end of this transaction; asked before all else.

        *like*: see it as another transaction does that has told how (`helper`).
        """
        if self._is_sqlite:  # there nobody else writes meanwhile
            return
        self._connection.execute(_HOLD_STILL)
        if like:
            self._connection.execute(text(f"SET TRANSACTION SNAPSHOT '{like}'"))

    def helper(self, job: Mapping[str, Any]) -> Helper | None:
        """Have a process do a job of parallel verification, seeing what this one sees.

        On SQLite it does because this transaction keeps every writer out to its end.
        """
        url = self._connection.engine.url
        if self._is_sqlite and url.database in (None, "", ":memory:"):
            return None
        like = "" if self._is_sqlite else self._connection.execute(_TELL).scalar_one()
        request = {"url": url.render_as_string(hide_password=False), "like": like, "job": job}
        return Helper(json.dumps(request).encode())

    def tree(self) -> Tree | None:
        """Return the tree as it is now, or None if there is none yet."""
        return self._tree(select(audit_tree))

    def lock_tree(self, origin: str) -> Tree | None:
        """Start the tree if needed and lock it; None if somebody else is at work on it."""
        query = select(audit_tree).with_for_update(skip_locked=True)
        tree = self._tree(query)
        if tree is not None or self.tree() is not None:
            return tree
        first = {"id": 1, "origin": origin, "size": 0, "last_xid": 0, "last_event": 0}
        self._insert_once(audit_tree, first, on=("id",))
        return self._tree(query)

    def _tree(self, query: Select[Any]) -> Tree | None:
        row = self._connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        return Tree(row["origin"], row["size"], row["last_xid"], row["last_event"])

    def unsequenced(self, tree: Tree, limit: int) -> tuple[Unsequenced, ...]:
        """Return committed events behind the tree, in the order in which they join it."""
        return tuple(
            Unsequenced(event, xid, event_type, bytes(digest))
            for event, xid, event_type, digest in self._behind(tree, "hash", _SETTLED, limit)
        )

    def oldest_waiting(self, tree: Tree | None) -> bytes | None:
        """Return the body of the oldest event that waits to join the tree."""
        rows = self._behind(tree or Tree(""), "body", "", 1)
        return _bytes(rows[0][3]) if rows else None

    def _behind(
        self, tree: Tree, column: str, settled: str, limit: int
    ) -> Sequence[tuple[int, int, str, bytes]]:
        query = (_SQLITE if self._is_sqlite else _POSTGRES).format(column=column, settled=settled)
        parameters = {"id": tree.last_event, "limit": limit}
        if not self._is_sqlite:
            parameters["xid"] = tree.last_xid
        rows = self._connection.execute(text(query), parameters)
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def grow(
        self,
        tree: Tree,
        leaves: Sequence[tuple[int, int, bytes]],
        nodes: Sequence[tuple[int, int, bytes]],
    ) -> None:
        """Add leaves (index, event, hash) and nodes, and note how far the tree is now."""
        self._insert_all(audit_leaf, ("idx", "event", "hash"), leaves)
        self._insert_all(audit_node, ("level", "idx", "hash"), nodes)
        now = {"size": tree.size, "last_xid": tree.last_xid, "last_event": tree.last_event}
        self._connection.execute(update(audit_tree).values(**now))

    def _insert_all(
        self, table: Table, names: Sequence[str], rows: Sequence[tuple[int, int, bytes]]
    ) -> None:
        if rows:
            values = [dict(zip(names, row, strict=True)) for row in rows]
            self._connection.execute(insert(table), values)

    def nodes(self, level: int, first: int, last: int) -> Sequence[bytes]:
        """Return the stored hashes `first <= index < last` of one level."""
        table = audit_node if level else audit_leaf
        query = select(table.c.hash).where(table.c.idx >= first, table.c.idx < last)
        if level:
            query = query.where(audit_node.c.level == level)
        rows = self._connection.execute(query.order_by(table.c.idx))
        return [bytes(digest) for (digest,) in rows]

    def nodes_at(self, stretches: Sequence[Stretch]) -> Mapping[Stretch, Sequence[bytes]]:
        """Return the stored hashes of some stretches, all of them with one look."""
        hashes: dict[tuple[int, int], bytes] = {}
        if stretches:
            parts = union_all(*(_stretch(*stretch) for stretch in _joined(stretches)))
            for level, idx, digest in self._connection.execute(parts):
                hashes[level, idx] = bytes(digest)
        return {
            stretch: [
                hashes[stretch[0], i]
                for i in range(stretch[1], stretch[2])
                if (stretch[0], i) in hashes
            ]
            for stretch in stretches
        }

    def place_of(self, stream: str, seq: int) -> int | None:
        """Return the index of an entry in the tree."""
        query = select(audit_leaf.c.idx).join(audit_event, audit_event.c.id == audit_leaf.c.event)
        entry = (audit_event.c.stream == stream, audit_event.c.seq == seq)
        index: int | None = self._connection.execute(query.where(*entry)).scalar_one_or_none()
        return index

    def put_checkpoint(self, size: int, note: str) -> None:
        """Keep a checkpoint (decider only)."""
        values = {"size": size, "note": note, "at": self._stamp()}
        self._connection.execute(insert(audit_checkpoint).values(**values))

    def checkpoints(self, after: int = 0) -> tuple[KeptCheckpoint, ...]:
        """Return the checkpoints of more than *after* leaves, smallest first."""
        query = select(audit_checkpoint.c.size, audit_checkpoint.c.note)
        query = query.where(audit_checkpoint.c.size > after).order_by(audit_checkpoint.c.size)
        rows = self._connection.execute(query)
        return tuple(KeptCheckpoint("the database", size, note) for size, note in rows)

    def checkpoint_before(self, size: int) -> KeptCheckpoint | None:
        """Return the largest checkpoint of at most *size* leaves."""
        query = select(audit_checkpoint).where(audit_checkpoint.c.size <= size)
        largest = query.order_by(audit_checkpoint.c.size.desc()).limit(1)
        row = self._connection.execute(largest).mappings().one_or_none()
        return KeptCheckpoint("the database", row["size"], row["note"]) if row else None

    def put_copy(self, place: str, size: int, receipt: str) -> None:
        """Remember that a checkpoint has reached a place."""
        values = {"place": place, "size": size, "receipt": receipt, "at": self._stamp()}
        self._insert_once(audit_copy, values, on=("place", "size"))

    def copied(self, place: str) -> int:
        """Return the size of the largest checkpoint that has reached a place; 0 for none."""
        query = select(func.max(audit_copy.c.size)).where(audit_copy.c.place == place)
        return self._connection.execute(query).scalar_one() or 0

    def receipts(self, size: int) -> tuple[str, ...]:
        """Return the receipts for a checkpoint: cosignature lines, or nothing."""
        query = select(audit_copy.c.receipt).where(audit_copy.c.size == size)
        return tuple(self._connection.execute(query.order_by(audit_copy.c.place)).scalars())

    def leaves(self, first: int = 0, last: int | None = None) -> Iterator[Leaf]:
        """Return every leaf (of those from *first* on and before *last*) with its entry."""
        return scan.leaves(self._connection, first, last)

    def leafless(self) -> Iterator[Stored]:
        """Return the entries without a leaf, stream by stream in order."""
        query = (
            select(*_ENTRY)
            .outerjoin_from(audit_event, audit_leaf, audit_event.c.id == audit_leaf.c.event)
            .where(audit_leaf.c.idx.is_(None))
            .order_by(audit_event.c.stream, audit_event.c.seq)
        )
        return self._entries(query)

    def waiting(self, tree: Tree | None) -> Iterator[tuple[Stored, Turn]]:
        """Return the entries without a leaf, stream by stream in order, and why they have none."""
        parameters = {"last": tree.last_event if tree else 0}
        if not self._is_sqlite:
            parameters["xid"] = tree.last_xid if tree else 0
        query = text(_TURNS_SQLITE if self._is_sqlite else _TURNS)
        rows = self._connection.execute(query, parameters, execution_options={"yield_per": BATCH})
        for stream, seq, event_type, body, prev, digest, turn in rows:
            yield (stream, seq, event_type, _bytes(body), _bytes(prev), _bytes(digest)), Turn(turn)

    def last_leaf(self) -> tuple[int, int] | None:
        """Return the event of the last leaf, and the transaction that wrote it."""
        xid = "0" if self._is_sqlite else "CAST(CAST(xid AS text) AS bigint)"
        query = f"SELECT event, {xid} FROM audit_leaf LEFT JOIN audit_event ON id = event "  # noqa: S608 - our own words
        row = self._connection.execute(text(f"{query} ORDER BY idx DESC LIMIT 1")).one_or_none()
        return (row[0], row[1]) if row else None

    def ahead(self) -> Iterator[tuple[str, int, int]]:
        """Return stream, place and id of the entries with an id that was never given out."""
        if not self._is_sqlite:  # there the next id is the largest one and one more
            for row in self._connection.execute(text(_AHEAD)):
                yield row[0], row[1], row[2]

    def heads(self) -> dict[str, Head]:
        """Return the end of every stream the application believes in."""
        heads: dict[str, Head] = {}
        release = release_table.c
        for query in (
            select(audit_stream.c.stream, audit_stream.c.seq, audit_stream.c.head),
            select(release.id, release.seq, release.head),
        ):
            for name, seq, head in self._rows(query):
                heads[name] = Head(seq, _bytes(head))
        return heads

    def told_with(self, words: Collection[str]) -> Iterator[Stored]:
        """Return the entries of all streams with some words, stream by stream in order."""
        query = select(*_ENTRY).where(audit_event.c.what.in_(sorted(words)))
        return self._entries(query.order_by(audit_event.c.stream, audit_event.c.seq))

    def stream_entries(self, streams: Sequence[str], but: frozenset[str]) -> Iterator[Stored]:
        """Return the entries of some streams in order, leaving out some words."""
        query = select(*_ENTRY).where(audit_event.c.stream.in_(streams))
        query = query.where(audit_event.c.what.not_in(sorted(but)))
        return self._entries(query.order_by(audit_event.c.stream, audit_event.c.seq))

    def _entries(self, query: Select[Any]) -> Iterator[Stored]:
        for stream, seq, event_type, body, prev, digest in self._rows(query):
            yield stream, seq, event_type, _bytes(body), _bytes(prev), _bytes(digest)

    def _rows(self, query: Select[Any]) -> Iterator[Any]:
        return iter(self._connection.execute(query, execution_options={"yield_per": BATCH}))


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Return fewer, longer stretches that cover these: a few rows more, fewer ranges."""
    joined: list[Stretch] = []
    for level, first, last in sorted(stretches):
        before = joined[-1] if joined else None
        if before and before[0] == level and first - before[2] <= NEAR:
            joined[-1] = (level, before[1], max(last, before[2]))
        else:
            joined.append((level, first, last))
    return joined


def _stretch(level: int, first: int, last: int) -> Select[Any]:
    table = audit_node if level else audit_leaf
    query = select(literal(level), table.c.idx, table.c.hash)
    query = query.where(table.c.idx >= first, table.c.idx < last)
    return query.where(audit_node.c.level == level) if level else query


def _bytes(value: bytes | str) -> bytes:
    # SQLite keeps whatever type somebody wrote; an edited entry must be found, not crash.
    return value.encode() if isinstance(value, str) else bytes(value)
