"""What stands where in the chat, and whose account is whose."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.chat.tables import chat_code, chat_link, chat_message, chat_try
from airlock.domain.errors import Conflict
from airlock.ports import Link, Posted, Spot

_STANDING = chat_link.c.ended_at.is_(None)


class Chat(Base):
    """Reading and writing them (decider only)."""

    def begin_posting(self, key: str, release_id: str) -> Posted:
        """Note that a message is about to be sent; return its earlier record, if any."""
        if (posted := self.posted(key)) is not None:
            return posted
        values = {"key": key, "release": release_id, "begun_at": self._stamp()}
        self._connection.execute(insert(chat_message).values(**values))
        return Posted(key, release_id, "")

    def posted(self, key: str) -> Posted | None:
        """Return a message to the chat, if it was ever begun."""
        row = self._row(chat_message, key=key)
        if row is None:
            return None
        spot = Spot(row["channel"], row["ts"]) if row["ts"] else None
        return Posted(key, row["release"], row["begun_at"], spot, row["shown"])

    def end_posting(self, key: str, spot: Spot, content_digest: str = "") -> None:
        """Note where a message stands, and what it shows."""
        changed = update(chat_message).where(chat_message.c.key == key)
        values = {"channel": spot.channel, "ts": spot.ts, "shown": content_digest}
        self._connection.execute(changed.values(**values))

    def link(self, team: str, account: str) -> Link | None:
        """Return the link of an account now."""
        query = select(chat_link).where(chat_link.c.team == team, chat_link.c.account == account)
        return self._standing(query)

    def link_of(self, person: str) -> Link | None:
        """Return the account of a person now."""
        return self._standing(select(chat_link).where(chat_link.c.person == person))

    def _standing(self, query: Any) -> Link | None:
        row = self._connection.execute(query.where(_STANDING)).mappings().one_or_none()
        return Link(**{name: row[name] for name in Link.__slots__}) if row else None

    def links(self) -> dict[str, Link]:
        """Return person -> account, for everybody who has one now."""
        rows = self._connection.execute(select(chat_link).where(_STANDING)).mappings()
        return {row["person"]: Link(**{n: row[n] for n in Link.__slots__}) for row in rows}

    def put_link(self, new: Link) -> None:
        """Keep a new link. Raises Conflict if either side is linked already."""
        values = {name: getattr(new, name) for name in Link.__slots__}
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(chat_link).values(**values))
        except IntegrityError as error:
            raise Conflict(
                f"either {new.person} or this account is linked already",
                next_step="End the other link first, on the page Slack in Airflow.",
            ) from error

    def end_link(self, person: str, at: str) -> bool:
        """End the link of a person; say whether there was one."""
        ending = update(chat_link).where(chat_link.c.person == person, _STANDING)
        return self._connection.execute(ending.values(ended_at=at)).rowcount > 0

    def put_code(self, person: str, digest: str, expires_at: str) -> None:
        """Keep the digest of a person's one-time code; an older one is forgotten."""
        self._upsert(chat_code, {"person": person, "hash": digest, "expires_at": expires_at})

    def code(self, digest: str) -> tuple[str, str] | None:
        """Return (person, expires at) of a one-time code."""
        row = self._row(chat_code, hash=digest)
        return (row["person"], row["expires_at"]) if row else None

    def end_code(self, person: str) -> None:
        """Forget the code of a person."""
        self._connection.execute(delete(chat_code).where(chat_code.c.person == person))

    def put_try(self, team: str, account: str, at: str) -> None:
        """Note that an account tried a wrong code."""
        self._connection.execute(insert(chat_try).values(team=team, account=account, at=at))

    def tries(self, team: str, account: str, since: str) -> int:
        """Return how many wrong codes an account (`""`: its whole team) tried since a time."""
        query = select(func.count()).where(chat_try.c.team == team, chat_try.c.at >= since)
        if account:
            query = query.where(chat_try.c.account == account)
        return int(self._connection.execute(query).scalar_one())
