"""One transaction. Everything it reads for a decision is read after the lock, as plain columns.

`record` is the only way to change a release: it writes state, events and chain head together.
The parts are in the modules beside this one; this one holds the connection and its end.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from sqlalchemy.exc import InterfaceError, OperationalError

from airlock.adapters.sql_store.chat.messages import Chat
from airlock.adapters.sql_store.log.bundles import Bundles
from airlock.adapters.sql_store.log.entries import Log
from airlock.adapters.sql_store.outbox.backlog import BacklogReader
from airlock.adapters.sql_store.outbox.outbox import Outbox
from airlock.adapters.sql_store.outbox.timers import Timers
from airlock.adapters.sql_store.people.duties import Duties
from airlock.adapters.sql_store.people.enrolments import Enrolments
from airlock.adapters.sql_store.people.people import People
from airlock.adapters.sql_store.people.role_history import History
from airlock.adapters.sql_store.proposals.inbox import Inbox
from airlock.adapters.sql_store.releases.decision_context import FactsReader
from airlock.adapters.sql_store.releases.grants import Grants
from airlock.adapters.sql_store.releases.lists import Lists
from airlock.adapters.sql_store.releases.runs import Runs
from airlock.domain.errors import Unreachable

#: Whether a transaction ran anything but SELECT; where nobody notes it, it did.
WROTE = "airlock_wrote"


class SqlUnit(
    FactsReader,
    Lists,
    Timers,
    Bundles,
    Runs,
    People,
    History,
    Grants,
    Enrolments,
    Duties,
    Chat,
    Inbox,
    BacklogReader,
    Outbox,
    Log,
):
    """A unit of work: rolled back unless `commit` was called."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Roll back what was not committed and give the connection back.

        Raises:
            Unreachable: if the database went away, or somebody else held a lock for too long.
        """
        try:
            if error is None and not self._connection.info.get(WROTE, True):
                self._connection.commit()  # after a rollback the driver prepares all anew
            self._connection.close()
        except (OperationalError, InterfaceError):  # it could not even be rolled back: it is gone
            if not self._connection.closed:
                self._connection.invalidate()
                self._connection.close()
        if isinstance(error, OperationalError | InterfaceError):
            raise Unreachable(
                f"Airlock's database did not answer to the end: {error.orig}",
                next_step="Try again, with the same idempotency key if there was one; "
                "nothing already decided is lost.",
            ) from error

    def commit(self) -> None:
        """Keep what was done."""
        self._write_texts()
        posted = self._send_posted()
        self._connection.commit()
        if posted:
            self._wake_delivery()
