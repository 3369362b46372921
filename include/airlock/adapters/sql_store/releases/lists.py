"""Lists of releases, a page at a time.

How a page begins where the one before it ended is in `keyset`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select

from airlock.adapters.sql_store.keyset import rows_of
from airlock.adapters.sql_store.releases.releases import Releases
from airlock.adapters.sql_store.tables import release, timer, vote
from airlock.domain.approval.release import Release, State
from airlock.domain.approval.timers import Kind
from airlock.ports import ReleasePage

Order = tuple[ColumnElement[Any], ColumnElement[Any]]
#: When a release expires that has no timer yet: after all others.
_NEVER = literal("9")
_EXPIRES = (
    select(timer.c.release, func.min(timer.c.due_at).label("due"))
    .where(timer.c.ended_at.is_(None), timer.c.kind == Kind.EXPIRE.value)
    .group_by(timer.c.release)
    .subquery()
)


class Lists(Releases):
    """Reading releases in order, a page at a time."""

    def find(
        self, *, states: Sequence[State] = (), model: str | None = None, limit: int = 200
    ) -> tuple[Release, ...]:
        """Return releases, newest first."""
        return self.page(states=states, model=model, limit=limit).releases

    def page(
        self,
        *,
        states: Sequence[State] = (),
        model: str | None = None,
        after: str = "",
        limit: int = 200,
    ) -> ReleasePage:
        """Return a page of releases, newest first."""
        query = select(release)
        if states:
            query = query.where(release.c.state.in_([state.value for state in states]))
        if model is not None:
            query = query.where(release.c.model == model)
        order = (release.c.opened_at, release.c.id)
        return self._page(query, order, True, after=after, limit=limit)

    def awaiting(self, *, after: str = "", limit: int = 200) -> ReleasePage:
        """Return a page of the releases that await approval, the next to expire first."""
        due = func.coalesce(_EXPIRES.c.due, _NEVER)
        joined = release.join(_EXPIRES, _EXPIRES.c.release == release.c.id, isouter=True)
        query = select(release).select_from(joined)
        query = query.where(release.c.state == State.AWAITING_APPROVAL.value)
        return self._page(query, (due, release.c.id), False, after=after, limit=limit)

    def models(self) -> tuple[str, ...]:
        """Return every model there is a release of, by name."""
        query = select(release.c.model).distinct().order_by(release.c.model)
        return tuple(self._connection.execute(query).scalars())

    def voted_by(self, person: str, limit: int = 20) -> tuple[Release, ...]:
        """Return the releases a person has voted on, the latest vote first."""
        last = func.max(vote.c.at).label("last")
        voted = select(vote.c.release, last).where(vote.c.person == person)
        latest = voted.group_by(vote.c.release).order_by(last.desc()).limit(limit).subquery()
        query = select(release).join(latest, latest.c.release == release.c.id)
        return self._read_out(self._many(query.order_by(latest.c.last.desc())))

    def _page(self, query: Select[Any], order: Order, descending: bool, **page: Any) -> ReleasePage:
        rows, places, onward = rows_of(
            self._connection, query, order, descending=descending, **page
        )
        releases = self._read_out(self._of_rows(rows))
        where = dict(zip((row["id"] for row in rows), places, strict=True))
        return ReleasePage(releases, tuple(where[record.id] for record in releases), onward)
