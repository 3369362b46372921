"""Proposals of a task, through the two functions its role may call.

The answer is waited for: woken by PostgreSQL, and looked for with growing pauses, because a wake-up
may be lost. The connection is made for one proposal and closed after it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import make_url

from airlock.domain.errors import Invalid, Unreachable
from airlock.services.proposals.handling import opened

#: Seconds to wait for an answer, unless told.
PATIENCE_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _GROWTH = 0.005, 1.0, 1.5
_PROPOSE = "SELECT id, token FROM public.propose(%s, %s, %s)"
_ANSWER = "SELECT public.proposal_answer(%s, %s)"
_NEXT = "`airlock status` shows whether the delivery process runs; propose it again then."


class SqlProposals:
    """`airlock.ports.Proposals` for the worker's role."""

    def __init__(self, url: str, patience: float = PATIENCE_S) -> None:
        """*url*: of Airlock's database on PostgreSQL; *patience*: seconds."""
        plain = make_url(url).set(drivername="postgresql")
        self._dsn, self._patience = plain.render_as_string(hide_password=False), patience

    def submit(self, kind: str, origin: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hand in a proposal and return its answer, or raise the refusal."""
        try:
            with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
                connection.execute("LISTEN airlock_answer")
                parameters = (str(kind), origin, json.dumps(body))
                row = connection.execute(_PROPOSE, parameters).fetchone()
                answer = self._answer(connection, *row) if row else None
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())
            raise Unreachable(f"nothing could be proposed: {reason}", next_step=_NEXT) from error
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise Invalid(f"the proposal {kind} cannot be handed in: {reason}") from error
        if answer is None:
            raise Unreachable(
                f"nobody has answered the proposal {kind} of {origin} in {self._patience:g} "
                "seconds",
                next_step=_NEXT,
            )
        return opened(json.loads(answer))

    def _answer(self, connection: psycopg.Connection, proposal_id: int, token: str) -> str | None:
        until, pause = time.monotonic() + self._patience, _FIRST_PAUSE_S
        while True:
            row = connection.execute(_ANSWER, (proposal_id, token)).fetchone()
            if row and row[0] is not None:
                return str(row[0])
            if time.monotonic() >= until:
                return None
            _woken(connection, str(proposal_id), pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE_S)


def _woken(connection: psycopg.Connection, proposal_id: str, seconds: float) -> None:
    """Wait until this proposal is answered, at most some seconds; others wake nobody."""
    for notice in connection.notifies(timeout=seconds):
        if notice.payload == proposal_id:
            return
