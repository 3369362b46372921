"""Lists of releases, a page at a time.

A page begins after the last row of the page before it (keyset), so the ten-thousandth row costs
what the first does, and a row that comes or goes meanwhile shifts no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_

from airlock.adapters.sql_store.releases import Releases
from airlock.adapters.sql_store.tables import release, timer, vote
from airlock.domain.errors import Invalid
from airlock.domain.release import Release, State
from airlock.domain.timers import Kind
from airlock.ports import ReleasePage

#: Between the two halves of a cursor: a time, and the id of a release.
_BETWEEN = "/"
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
        query = select(release, release.c.opened_at.label("place"))
        query = query.order_by(release.c.opened_at.desc(), release.c.id.desc())
        if states:
            query = query.where(release.c.state.in_([state.value for state in states]))
        if model is not None:
            query = query.where(release.c.model == model)
        if after:
            query = query.where(tuple_(release.c.opened_at, release.c.id) < _place(after))
        return self._page(query, limit)

    def awaiting(self, *, after: str = "", limit: int = 200) -> ReleasePage:
        """Return a page of the releases that await approval, the next to expire first."""
        due = func.coalesce(_EXPIRES.c.due, _NEVER)
        joined = release.join(_EXPIRES, _EXPIRES.c.release == release.c.id, isouter=True)
        query = select(release, due.label("place")).select_from(joined)
        query = query.where(release.c.state == State.AWAITING_APPROVAL.value)
        if after:
            query = query.where(tuple_(due, release.c.id) > _place(after))
        return self._page(query.order_by(due, release.c.id), limit)

    def models(self) -> tuple[str, ...]:
        """Return every model there is a release of, by name."""
        query = select(release.c.model).distinct().order_by(release.c.model)
        return tuple(self._connection.execute(query).scalars())

    def voted_by(self, person: str, limit: int = 20) -> tuple[Release, ...]:
        """Return the releases a person has voted on, the latest vote first."""
        last = func.max(vote.c.at).label("last")
        voted = select(vote.c.release, last).where(vote.c.person == person)
        mine = voted.group_by(vote.c.release).order_by(last.desc()).limit(limit).subquery()
        query = select(release).join(mine, mine.c.release == release.c.id)
        return self._read_out(self._many(query.order_by(mine.c.last.desc())))

    def _page(self, query: Select[Any], limit: int) -> ReleasePage:
        rows = self._connection.execute(query.limit(limit + 1)).mappings().all()
        releases = self._read_out(self._of_rows(rows[:limit]))
        places = {row["id"]: f"{row['place']}{_BETWEEN}{row['id']}" for row in rows[:limit]}
        onward = places[rows[limit - 1]["id"]] if len(rows) > limit else ""
        return ReleasePage(releases, tuple(places[one.id] for one in releases), onward)


def _place(after: str) -> ColumnElement[Any]:
    """Return the last row of the page before, to be compared with a row of the next."""
    place, between, name = after.partition(_BETWEEN)
    if not (place and between and name):
        raise Invalid(
            f"{after!r} is no place where a page of releases ended",
            next_step="Take it as the page before gave it, or leave it out to begin anew.",
        )
    return tuple_(literal(place), literal(name))
