"""One transaction. Everything it reads for a decision is read after the lock, as plain columns.

`record` is the only way to change a release: it writes state, events and chain head together.
The parts are in the modules beside this one; this one holds the connection and its end.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from airlock.adapters.sql_store.grants import Grants
from airlock.adapters.sql_store.log import Log
from airlock.adapters.sql_store.outbox import Outbox
from airlock.adapters.sql_store.people import People
from airlock.adapters.sql_store.releases import Releases
from airlock.adapters.sql_store.runs import Runs


class SqlUnit(Releases, Runs, People, Grants, Outbox, Log):
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
        """Roll back what was not committed and give the connection back."""
        self._connection.close()

    def commit(self) -> None:
        """Keep what was done."""
        self._connection.commit()
