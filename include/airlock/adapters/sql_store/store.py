"""Starts transactions on Airlock's own database.

PostgreSQL runs READ COMMITTED with row locks; SQLite opens every transaction with BEGIN IMMEDIATE
(one writer at a time) and `synchronous=FULL`, so that an acknowledged decision survives a crash.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from airlock.adapters.sql_store.unit import WROTE, SqlUnit
from airlock.domain.errors import Unreachable
from airlock.domain.evidence.attestation import GateKeys

#: Milliseconds a transaction waits for a lock before it says so.
LOCK_TIMEOUT = 10_000
#: Connections a process keeps, and as many more as it opens for a while; then it waits for one.
POOL, OVERFLOW, WAIT_S = 5, 10, 10
#: Seconds for which a connection given back is taken to be alive.
FRESH_S = 1.0


class SqlStore:
    """Airlock's own database, for the role in *url*."""

    def __init__(
        self,
        url: str,
        *,
        pooled: bool = True,
        reader: bool = False,
        clock: Callable[[], datetime] | None = None,
        gate_keys: GateKeys | None = None,
    ) -> None:
        """Connect lazily. Use `pooled=False` in short-lived processes.

        A *reader* reads beside the one writer of SQLite, and cannot write there.
        *gate_keys*: who is trusted with which gate; every process of the platform has them
        (`airlock.bootstrap`). Without them results need no signature.
        *clock* is for tests alone: everywhere else the database's own clock decides.
        """
        self._clock, self._gate_keys = clock, gate_keys
        self._documents: dict[tuple[str, str], Any] = {}
        self._engine = _sqlite(url, reader) if url.startswith("sqlite") else _postgres(url, pooled)

    def begin(self) -> SqlUnit:
        """Start a transaction.

        Raises:
            Unreachable: if the database does not answer.
        """
        try:
            unit = SqlUnit(self._engine.connect(), self._clock, self._documents)
        except OperationalError as error:
            raise Unreachable(
                f"Airlock's database does not answer: {error.orig}",
                next_step="Start it (`airlock up`) or check AIRLOCK_DATABASE_URL; "
                "nothing already decided is lost.",
            ) from error
        except PoolTimeout as error:
            raise Unreachable(
                f"all {POOL + OVERFLOW} connections of this process to Airlock's database have "
                f"been at work for {WAIT_S} s",
                next_step="Try again in a moment, with the same idempotency key if there was one.",
            ) from error
        unit.trust_gates(self._gate_keys)
        return unit

    def close(self) -> None:
        """Close every idle connection."""
        self._engine.dispose()


def _postgres(url: str, pooled: bool) -> Engine:
    options = f"-c lock_timeout={LOCK_TIMEOUT} -c timezone=UTC"
    arguments: dict[str, Any] = {"connect_args": {"options": options, "connect_timeout": 5}}
    if not pooled:
        return create_engine(url, poolclass=NullPool, **arguments)
    sizes = {"pool_size": POOL, "max_overflow": OVERFLOW, "pool_timeout": WAIT_S}
    engine = create_engine(url, **sizes, **arguments)
    _ask_the_idle(engine)
    _note_writes(engine)
    return engine


def _note_writes(engine: Engine) -> None:
    """Note whether a transaction ran anything but SELECT; `SqlUnit` ends one that did not."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.info[WROTE] = False

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("SELECT"):
            connection.info[WROTE] = True


def _ask_the_idle(engine: Engine) -> None:
    """Ask a pooled connection whether it lives, unless it did a moment ago.

    Asking every time (`pool_pre_ping`) would be a tenth of a decision. All connections are renewed
    when one is dead.
    """

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", time.monotonic()) < FRESH_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _sqlite(url: str, reader: bool) -> Engine:
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
    engine = create_engine(url, connect_args={"timeout": LOCK_TIMEOUT / 1000})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("query_only=ON",) if reader else pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if reader else "BEGIN IMMEDIATE")

    return engine
