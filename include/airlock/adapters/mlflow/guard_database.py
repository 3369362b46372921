"""Permits in MLflow's database: what its triggers ask for, since they cannot check a signature.

Written in the role `airlock_guard`, which only deciding processes hold and which can do nothing
else there: add permits, read them, and revoke those nobody has spent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from airlock.domain.errors import Refused, Unreachable
from airlock.domain.promotion.grant import Grant, Standing
from airlock.domain.registry_drift import Permit

_INSERT = sa.text(
    "INSERT INTO airlock_permits (grant_id, model, alias, version, expected_current, sequence,"
    " expires_at) VALUES (:id, :model, :alias, :version, :current, :sequence, :expires)"
    " ON CONFLICT (grant_id) DO NOTHING"
)
#: One row, so one of revoking and spending comes first; a permit that comes later finds it revoked.
_REVOKE = sa.text(
    "UPDATE airlock_permits SET revoked_at = clock_timestamp()"
    " WHERE grant_id = :id AND spent_at IS NULL AND revoked_at IS NULL"
)
_ALL = sa.text(
    "SELECT grant_id AS grant, model, alias, version::text AS version, sequence,"
    " spent_at IS NOT NULL OR revoked_at IS NOT NULL AS ended FROM airlock_permits"
    " ORDER BY grant_id"
)
_SPENT = sa.text("SELECT spent_at IS NOT NULL FROM airlock_permits WHERE grant_id = :id")


class GuardDatabase:
    """MLflow's database, to write permits into."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, pool_size=1, pool_pre_ping=True)

    def write(self, grant: Grant) -> None:
        """Write the permit of a grant; writing it again changes nothing.

        Raises:
            Unreachable: if the database does not answer or is not prepared yet.
            Refused: if the grant is for nothing an MLflow server could hold.
        """
        with self._transaction(f"the permit of {grant.id} could not be written") as work:
            work.execute(_INSERT, _row(grant))

    def revoke(self, grant: Grant) -> Standing:
        """Let a permit, written or not, never be spent; SPENT if it was.

        Raises:
            Unreachable, Refused: as `write`.
        """
        with self._transaction(f"the permit of {grant.id} could not be revoked") as work:
            work.execute(_INSERT, _row(grant))
            work.execute(_REVOKE, {"id": grant.id})
            spent = work.execute(_SPENT, {"id": grant.id}).scalar_one()
        return Standing.SPENT if spent else Standing.REVOKED

    def all(self) -> tuple[Permit, ...]:
        """Return every permit there is, whoever wrote it.

        Raises:
            Unreachable: as `write`.
        """
        with self._transaction("the permits could not be read") as work:
            return tuple(Permit(**row) for row in work.execute(_ALL).mappings())

    @contextmanager
    def _transaction(self, problem: str) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise Unreachable(
                f"{problem} in MLflow's database: {reason}",
                next_step="See that MLflow's database runs and that its guard's tables are there.",
            ) from error


def _row(grant: Grant) -> dict[str, Any]:
    if not grant.version.isdecimal():
        raise Refused(f"grant {grant.id} is for version {grant.version!r}, which is no number")
    return {
        "id": grant.id,
        "model": grant.model,
        "alias": grant.alias,
        "version": int(grant.version),
        "current": grant.expected_current,
        "sequence": grant.sequence,
        "expires": grant.expires_at,
    }
