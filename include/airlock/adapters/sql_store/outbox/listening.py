"""Waiting until there is something to look at: woken by the database, or after a while without.

Rules:
* A wake-up carries nothing and proves nothing: all that whoever hears it does is to look. Anybody
  who can log in can send one, and one that is lost costs no more than the while.
* A connection that is lost is made anew, with growing pauses; meanwhile the while alone decides.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time

import psycopg
from sqlalchemy import make_url

from airlock.adapters.sql_store.outbox.outbox import CHANNEL
from airlock.ports import Waiting

log = logging.getLogger("airlock.store")

#: Notified by the function `propose` of the database when something was handed in.
PROPOSALS = "airlock_proposal"
#: Notified when messages were posted.
OUTBOX = CHANNEL
#: Seconds between two tries to connect, at first and at most.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
#: How often a SQLite file is asked whether somebody else has written, in seconds.
_GLANCE_S = 0.02


def outbox_watch(url: str) -> Waiting:
    """Return the waiter for messages in the outbox of the database in *url*."""
    return FileWatch(url) if url.startswith("sqlite") else Listener(url, OUTBOX)


class Listener:
    """A connection to PostgreSQL that listens, reopened when it is lost."""

    def __init__(self, url: str, channel: str) -> None:
        """*url*: of Airlock's database; *channel*: what is listened to."""
        plain = make_url(url).set(drivername="postgresql")
        self._dsn = plain.render_as_string(hide_password=False)
        self._channel = channel
        self._connection: psycopg.Connection | None = None
        self._pause, self._try_at = 0.0, 0.0

    def wait(self, seconds: float) -> None:
        """Wait until something was sent, at most some seconds; never raises."""
        if self._connection is None and time.monotonic() < self._try_at:
            time.sleep(seconds)
            return
        try:
            if self._connection is None:
                self._connection = self._listening()
                return  # something may have been sent before it listened
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error as error:
            self._lost(error)
            time.sleep(seconds)

    def _listening(self) -> psycopg.Connection:
        # A peer that is gone without a word is found by TCP within a minute.
        connection = psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=5,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
        connection.execute(f"LISTEN {self._channel}")
        if self._pause:
            log.info("woken again by %s", self._channel)
        self._pause = 0.0
        return connection

    def _lost(self, error: psycopg.Error) -> None:
        if not self._pause:
            reason = " ".join(str(error).split())
            log.info("not woken by %s for now, so looking now and then: %s", self._channel, reason)
        self.close()
        self._pause = min(max(FIRST_PAUSE_S, self._pause * 2), LONGEST_PAUSE_S)
        self._try_at = time.monotonic() + self._pause

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class FileWatch:
    """Sees that another connection has written into a SQLite file: its `data_version` differs."""

    def __init__(self, url: str) -> None:
        """*url*: of Airlock's database on SQLite."""
        self._path = make_url(url).database or ""
        self._connection: sqlite3.Connection | None = None
        self._last_version = -1

    def wait(self, seconds: float) -> None:
        """Wait until somebody has written, at most some seconds; never raises."""
        until = time.monotonic() + seconds
        while (version := self._version()) == self._last_version and time.monotonic() < until:
            time.sleep(_GLANCE_S)
        self._last_version = version

    def _version(self) -> int:
        """Return a number that differs after a commit of others; the last one if it cannot tell."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, check_same_thread=False)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            self.close()
            return self._last_version

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
