"""Waiting for proposals: woken by PostgreSQL, or after a while without.

Whoever can log in can wake this; all it does then is to look.
"""

from __future__ import annotations

import time

import psycopg
from sqlalchemy import make_url

CHANNEL = "airlock_proposal"


class Listener:
    """A connection that listens, made anew when it is lost."""

    def __init__(self, url: str) -> None:
        """*url*: of Airlock's database on PostgreSQL."""
        plain = make_url(url).set(drivername="postgresql")
        self._dsn = plain.render_as_string(hide_password=False)
        self._connection: psycopg.Connection | None = None

    def wait(self, seconds: float) -> None:
        """Wait until something was handed in, at most some seconds; never raises."""
        try:
            if self._connection is None:
                self._connection = self._listening()
                return  # something may have been handed in before it listened
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error:
            self.close()
            time.sleep(seconds)

    def _listening(self) -> psycopg.Connection:
        made = psycopg.connect(self._dsn, autocommit=True, connect_timeout=5)
        made.execute(f"LISTEN {CHANNEL}")
        return made

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
