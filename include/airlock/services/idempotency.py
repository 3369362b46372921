"""A request that may be sent twice: the same key gives the same answer, and is done once.

Rules:
* The key belongs to one person and one kind of request. It is kept with the digest of what was
  asked, in the transaction that does it; so it is kept if, and only if, it was done.
* The same key for something else is refused. A refusal is not kept: asking again asks again.
* Two that arrive at the same moment: one is done, the other is told to ask again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from airlock.domain.digest import digest_json
from airlock.domain.errors import Conflict
from airlock.domain.people.actors import Actor
from airlock.ports import Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class Once:
    """One request under one key; without a key every request is a new one."""

    key: str
    request: str

    @classmethod
    def of(cls, action: str, actor: Actor, key: str, **arguments: Any) -> Self:
        """Return the request of *actor* to do *action*."""
        if not key:
            return cls("", "")
        # By person first: the digest of what somebody wrote goes when the texts are erased.
        request = digest_json({"what": action, "who": actor.id, **arguments})
        return cls(f"{actor.id}/{action}/{digest_json(key)}", request)

    def answered(self, unit: UnitOfWork) -> str | None:
        """Return the earlier answer, if there is one.

        Raises:
            Conflict: if the key was used for another request.
        """
        stored = unit.recall(self.key) if self.key else None
        if stored is None:
            return None
        if stored[0] != self.request:
            raise Conflict(
                "this idempotency key was used for another request",
                next_step="Use a new key for a new request.",
            )
        return stored[1]

    def exists(self, store: Store) -> bool:
        """Return whether the key was used before, for any request."""
        if not self.key:
            return False
        with store.begin() as unit:
            return unit.recall(self.key) is not None

    def keep(self, unit: UnitOfWork, answer: str) -> None:
        """Keep the answer, in the transaction that gives it."""
        if self.key:
            unit.remember(self.key, self.request, answer)
