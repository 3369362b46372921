"""What an evidence bundle reads of the store that nothing else asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import select

from airlock.adapters.sql_store.log.replayed import Replayed
from airlock.adapters.sql_store.log.tree_tables import audit_checkpoint, audit_copy
from airlock.adapters.sql_store.tables import audit_event, evidence
from airlock.domain.log.tree import KeptCheckpoint, Stored


class Bundles(Replayed):
    """Single entries, cosigned checkpoints, evidence by digest."""

    def told_of(self, stream: str, words: Collection[str]) -> Iterator[Stored]:
        """Return the entries of one stream with some words, in order."""
        event = audit_event.c
        query = select(event.stream, event.seq, event.what, event.body, event.prev, event.hash)
        query = query.where(event.stream == stream, event.what.in_(sorted(words)))
        return self._entries(query.order_by(event.seq))

    def cosigned_before(self, size: int) -> KeptCheckpoint | None:
        """Return the largest checkpoint of at most *size* leaves that a witness has cosigned."""
        query = (
            select(audit_checkpoint.c.size, audit_checkpoint.c.note)
            .join(audit_copy, audit_copy.c.size == audit_checkpoint.c.size)
            .where(audit_checkpoint.c.size <= size, audit_copy.c.receipt != "")
            .order_by(audit_checkpoint.c.size.desc())
        )
        row = self._connection.execute(query.limit(1)).one_or_none()
        return KeptCheckpoint("the database", row[0], row[1]) if row else None

    def evidence_bodies(self, digests: Collection[str]) -> dict[str, bytes]:
        """Return the exact bytes of evidence by digest, as far as it is there."""
        query = select(evidence.c.digest, evidence.c.body)
        rows = self._connection.execute(query.where(evidence.c.digest.in_(sorted(digests))))
        return {digest: bytes(body) for digest, body in rows}
