"""Permits in MLflow's database: what its triggers ask for, since they cannot check a signature.

Written in the role `airlock_guard`, which only deciding processes hold and which can do nothing
else there. It writes what a signed grant says; it decides nothing.
"""

from __future__ import annotations

import sqlalchemy as sa

from airlock.domain.errors import Refused, Unreachable
from airlock.domain.grant import Grant

_INSERT = sa.text(
    "INSERT INTO airlock_permits (grant_id, model, alias, version, expected_current, sequence,"
    " expires_at) SELECT :id, :model, :alias, :version, :current, :sequence, :expires"
    " WHERE NOT EXISTS (SELECT FROM airlock_permits WHERE grant_id = :id)"
)


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
        if not grant.version.isdecimal():
            raise Refused(f"grant {grant.id} is for version {grant.version!r}, which is no number")
        row = {
            "id": grant.id,
            "model": grant.model,
            "alias": grant.alias,
            "version": int(grant.version),
            "current": grant.expected_current,
            "sequence": grant.sequence,
            "expires": grant.expires_at,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(_INSERT, row)
        except sa.exc.SQLAlchemyError as error:
            said = str(error).strip().splitlines()[0][:300]
            raise Unreachable(
                f"the permit of {grant.id} could not be written into MLflow's database: {said}",
                next_step="See that MLflow's database runs and that its guard's tables are there.",
            ) from error
