"""What has to leave the database, who waits, and answers already given.

Whoever empties the outbox is woken on PostgreSQL once the transaction that posted is committed, by
a transaction of its own: it holds a lock of the whole server while it commits, which the decision
must not, and that it fails must not undo what was decided (ADR 0052).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, select, update

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.bulk import insert_new
from airlock.adapters.sql_store.tables import answered, outbox, parked
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import Conflict
from airlock.ports import CHAT, Message, Parked

log = logging.getLogger("airlock.store")

#: Notified when messages were posted; what it carries is not read.
CHANNEL = "airlock_outbox"
#: One statement, so a transaction by itself without BEGIN and COMMIT. It need not survive a
#: crash, so it does not wait for the disk, nor long for another's lock.
_WAKE = (
    "SELECT set_config('synchronous_commit', 'off', true), "
    f"set_config('lock_timeout', '200ms', true), pg_notify('{CHANNEL}', '')"
).encode()

_before = outbox.alias()
_NO_LANE = outbox.c.lane == ""
_FIRST_IN_LANE = (outbox.c.lane != "") & ~(
    select(_before.c.id)
    .where(
        _before.c.lane == outbox.c.lane,
        _before.c.lane != "",
        _before.c.settled_at.is_(None),
        _before.c.id < outbox.c.id,
    )
    .exists()
)


def _lane(kind: str, key: str) -> str:
    return key.partition("/")[0] if kind == CHAT else ""


class Outbox(Base):
    """Messages, parked tasks, idempotency keys."""

    def park(self, waiting: Parked) -> None:
        """Remember a waiting task instance."""
        self._upsert(parked, {**asdict(waiting), "parked_at": stamp(waiting.parked_at)})

    def unpark(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Forget a task instance that no longer waits."""
        key = (parked.c.dag_id == dag_id, parked.c.run_id == run_id, parked.c.task_id == task_id)
        self._connection.execute(delete(parked).where(*key))

    def parked(self, release_id: str) -> tuple[Parked, ...]:
        """Return the task instances that wait for a release."""
        rows = self._connection.execute(select(parked).where(parked.c.release == release_id))
        return tuple(
            Parked(**{**row, "parked_at": moment(row["parked_at"])}) for row in rows.mappings()
        )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin with nothing posted."""
        super().__init__(*arguments, **options)
        self._posted: list[dict[str, Any]] = []

    def post(self, kind: str, key: str, payload: Mapping[str, Any]) -> None:
        """Put a message into the outbox when this commits; the same key is posted once."""
        self.post_all([(kind, key, json.dumps(dict(payload), sort_keys=True))])

    def post_all(self, messages: Sequence[tuple[str, str, str]]) -> None:
        """Put messages (kind, key, payload as JSON) into the outbox when this commits."""
        now = self._noted()
        same = {"posted_at": now, "due_at": now, "attempts": 0, "error": ""}
        rows = (
            {"kind": kind, "key": key, "payload": payload, "lane": _lane(kind, key)}
            for kind, key, payload in messages
        )
        self._posted += [{**row, **same} for row in rows]

    def _send_posted(self) -> bool:
        """Write what was posted, in one statement; say whether there was anything."""
        insert_new(self._connection, outbox, self._posted, on=("key",))
        posted, self._posted = bool(self._posted), []
        return posted

    def _wake_delivery(self) -> None:
        """Wake whoever empties the outbox; if that fails, they look by themselves in a moment."""
        if self._is_sqlite:
            return
        from psycopg.pq import ConnStatus, ExecStatus

        driver: Any = self._connection.connection.driver_connection
        answer = driver.pgconn.exec_(_WAKE)
        if answer.status != ExecStatus.TUPLES_OK:
            reason = answer.error_message.decode(errors="replace").strip()
            log.warning("nobody was woken for what was posted: %s", reason)
            if driver.pgconn.status != ConnStatus.OK:
                self._connection.invalidate()

    def claim(
        self, limit: int = 20, seconds: float = 60.0, *, chat: bool = False
    ) -> tuple[Message, ...]:
        """Take messages that are due, oldest first; nobody else gets them for *seconds*.

        *chat*: those for the chat, of each release the oldest that is not settled; else the others.
        """
        query = (
            select(outbox)
            .where(outbox.c.due_at <= self._stamp(), _FIRST_IN_LANE if chat else _NO_LANE)
            .order_by(outbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = self._connection.execute(query).mappings().all()
        messages = tuple(message for row in rows if (message := self._readable(row)) is not None)
        claimed = outbox.c.id.in_([message.id for message in messages])
        until = stamp(self.now() + timedelta(seconds=seconds))
        if messages:
            self._connection.execute(update(outbox).where(claimed).values(due_at=until))
        return messages

    def _readable(self, row: RowMapping) -> Message | None:
        """Return a message; one that cannot be read is set aside with the reason."""
        try:
            return _message(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"set aside: this row cannot be read: {error!r}"[:500]
            ending = {"due_at": None, "settled_at": self._stamp(), "error": reason}
            self._connection.execute(update(outbox).where(outbox.c.id == row["id"]).values(ending))
            log.error("message %s (%s) is %s", row["id"], row["key"], reason)
            return None

    def settle(self, message: Message, *, error: str = "", retry_in: float | None = None) -> None:
        """Mark a message delivered, to be retried in some seconds, or given up with an error."""
        now = self.now()
        again = stamp(now + timedelta(seconds=retry_in)) if retry_in is not None else None
        self._connection.execute(
            update(outbox)
            .where(outbox.c.id == message.id)
            .values(
                due_at=again,
                settled_at=None if again else stamp(now),
                attempts=message.attempts + 1,
                error=error,
            )
        )

    def letter(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """Return the payload of a message, delivered or not; None if there is none."""
        row = self._row(outbox, kind=kind, key=key)
        return dict(json.loads(row["payload"])) if row else None

    def recall(self, key: str) -> tuple[str, str] | None:
        """Return (request digest, answer) for an idempotency key."""
        row = self._row(answered, key=key)
        return (row["request"], row["answer"]) if row else None

    def remember(self, key: str, request: str, answer: str) -> None:
        """Keep the answer for an idempotency key. Raises Conflict if it is there already."""
        values = {"key": key, "request": request, "answer": answer, "at": self._stamp()}
        if not self._insert_once(answered, values, on=("key",)):
            raise Conflict(
                "another request with this idempotency key is being answered right now",
                next_step="Send it again: it gets the same answer.",
            )


def _message(row: RowMapping) -> Message:
    payload = json.loads(row["payload"])
    if not isinstance(payload, dict):
        raise TypeError(f"its payload is no JSON object: {row['payload'][:60]!r}")
    return Message(
        row["id"],
        row["kind"],
        row["key"],
        payload,
        row["attempts"],
        moment(row["posted_at"]),
    )
