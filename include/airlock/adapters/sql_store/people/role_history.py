"""Who held which role when: role grants are ended, never deleted, and each change is in the log."""

from __future__ import annotations

import json

from sqlalchemy import or_, select

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.tables import audit_event, role_grant


class History(Base):
    """Reading rights as they were."""

    def roles_at(self, person_id: str, at: str) -> frozenset[str]:
        """Return the roles a person held at a moment."""
        query = select(role_grant.c.role).where(
            role_grant.c.person == person_id,
            role_grant.c.granted_at <= at,
            or_(role_grant.c.revoked_at.is_(None), role_grant.c.revoked_at > at),
        )
        return frozenset(self._connection.execute(query).scalars())

    def active_at(self, person_id: str, at: str) -> bool | None:
        """Return whether a person was active at a moment; None if not known yet then."""
        changes = (
            select(audit_event.c.body)
            .where(audit_event.c.stream == "access", audit_event.c.what == "RightsChanged")
            .order_by(audit_event.c.seq.desc())
        )
        for body in self._connection.execute(changes).scalars():
            try:
                content = json.loads(body)
                if content["resource"] == f"user/{person_id}" and content["at"] <= at:
                    return bool(content["new"]["active"])
            except (KeyError, TypeError, ValueError):
                continue  # damage that `audit verify` names; it is about nobody
        return None
