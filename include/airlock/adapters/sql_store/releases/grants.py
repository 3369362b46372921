"""Grants, and the lines they move."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import RowMapping, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.bulk import among
from airlock.adapters.sql_store.tables import line, release_grant
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import Conflict
from airlock.domain.promotion.grant import Grant
from airlock.ports import Line, StoredGrant

_LINE = select(line).where(
    line.c.model == bindparam("of"), line.c.environment == bindparam("where")
)
_LOCK_LINE = _LINE.with_for_update()
_INSERT_GRANT = insert(release_grant)
_NEWEST = (
    select(release_grant)
    .where(release_grant.c.release == bindparam("of"), release_grant.c.purpose == bindparam("for"))
    .order_by(release_grant.c.round.desc(), release_grant.c.issued_at.desc())
    .limit(1)
)


class Grants(Base):
    """One living grant per release, spent once or revoked; one line per model and environment."""

    def put_grant(self, grant: Grant, envelope: str) -> None:
        """Keep a new grant (decider only)."""
        values = {
            "id": grant.id,
            "release": grant.rolls_back or grant.release,
            "round": grant.round,
            "purpose": "rollback" if grant.rolls_back else "promotion",
            "issued_at": stamp(grant.issued_at),
            "envelope": envelope,
        }
        try:
            self._connection.execute(_INSERT_GRANT, values)
        except IntegrityError as error:
            raise Conflict(f"release {grant.release} already has a living grant") from error

    def grant_of(self, release_id: str, purpose: str = "promotion") -> StoredGrant | None:
        """Return the newest grant of a release."""
        result = self._connection.execute(_NEWEST, {"of": release_id, "for": purpose})
        row = result.mappings().one_or_none()
        return None if row is None else _stored(row)

    def grants_named(self, ids: Collection[str]) -> dict[str, StoredGrant]:
        """Return those of these grants that there are."""
        query = select(release_grant).where(among(self._connection, release_grant.c.id, list(ids)))
        rows = self._connection.execute(query).mappings() if ids else ()
        return {row["id"]: _stored(row) for row in rows}

    def lines(self) -> tuple[Line, ...]:
        """Return every line something was released into."""
        query = select(line).where(line.c.release.is_not(None))
        rows = self._connection.execute(query.order_by(line.c.model, line.c.environment))
        return tuple(Line(**row) for row in rows.mappings())

    def spend(self, grant_id: str, attempt: str) -> str:
        """Note that the guard has seen a grant spent, by an attempt; return when."""
        now = self._stamp()
        self._end_grant(grant_id, spent_by=attempt, spent_at=now)
        return now

    def revoke(self, grant_id: str) -> str:
        """Note that a grant was revoked at the guard, which had not seen it spent; return when."""
        now = self._stamp()
        self._end_grant(grant_id, spent_by=None, spent_at=None, revoked_at=now)
        return now

    def _end_grant(self, grant_id: str, **values: str | None) -> None:
        living = (release_grant.c.id == grant_id, release_grant.c.revoked_at.is_(None))
        ending = update(release_grant).where(*living).values(**values)
        if not self._connection.execute(ending).rowcount:
            raise Conflict(
                f"grant {grant_id} was revoked before",
                next_step="Look at the release again; somebody else has ended its promotion.",
            )

    def line(self, model: str, environment: str, *, lock: bool = False) -> Line:
        """Return the line, locked if asked; one that never had a release has epoch 0."""
        if lock:
            first = asdict(Line(model, environment))
            self._insert_once(line, first, on=("model", "environment"))
        where = {"of": model, "where": environment}
        row = self._connection.execute(_LOCK_LINE if lock else _LINE, where)
        fields = row.mappings().one_or_none()
        return Line(**fields) if fields else Line(model, environment)

    def put_line(self, new: Line) -> None:
        """Write the line; the epoch may only grow."""
        moving = update(line).where(
            line.c.model == new.model,
            line.c.environment == new.environment,
            line.c.epoch < new.epoch,
        )
        values = {"epoch": new.epoch, "version": new.version, "release": new.release}
        if not self._connection.execute(moving.values(**values)).rowcount:
            raise Conflict(
                f"{new.model} in {new.environment} has moved on: epoch {new.epoch} is not newer",
                next_step="Withdraw the release if it is still open, and run the pipeline again: "
                "its candidate is then measured against what serves now.",
            )


def _stored(row: RowMapping) -> StoredGrant:
    spent, revoked = (moment(row[at]) if row[at] else None for at in ("spent_at", "revoked_at"))
    return StoredGrant(row["id"], row["envelope"], row["spent_by"], spent, revoked)
