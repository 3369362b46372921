"""What the log keeps of who did what in the chat (the decider writes it).

Rules:
* With every answer that counts, in its transaction and in a stream of its release: whose account it
  was, which form, and digests of the request as it came; so that "I did not click that" can be
  looked into.
* Refusals too, with their reason, in the stream `access`; at most `MOST` a minute by one process,
  and then one event that says how many more there were, when next something comes.
* Nothing of a request that is not the chat's: only that there was one.
* Triggers are kept as digests: while they live they are worth something.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airlock.domain.approval.voting import Ballot
from airlock.domain.digest import digest_bytes
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Channel
from airlock.ports import Store
from airlock.ports.chat import Received

STREAM = "access"
#: Refusals written in a minute, at most.
MOST = 30
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose account in the chat sent something, with what; *form* is the id of the form."""

    team: str
    account: str
    received: Received
    form: str = ""
    trigger: str = ""

    def to_data(self) -> dict[str, str]:
        """Return it as the log keeps it."""
        return {
            "team": self.team,
            "account": self.account,
            "form": self.form,
            "trigger": digest_bytes(self.trigger.encode()) if self.trigger else "",
            "request": self.received.digest,
            "signedAt": self.received.signed_at,
        }


def answered(actor: Actor, origin: Origin, release_id: str, ballot: Ballot) -> Event:
    """Return the event that goes with an answer given in the chat."""
    reviewed = {
        "release": release_id,
        "decision": ballot.decision.value,
        "round": ballot.round,
        "level": ballot.level,
        "subjectDigest": ballot.subject_digest,
    }
    return Event.by(actor, "SlackAnswer", f"release/{release_id}", {**reviewed, **origin.to_data()})


class Refusals:
    """Writes refusals, and counts those that are too many."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._since: datetime | None = None
        self._written = self._dropped = 0

    def write(
        self, at: datetime, about: str, why: str, origin: Origin | None, actor: Actor | None
    ) -> bool:
        """Write one, and say whether there was room for it.

        *about* is what was tried, *actor* whose account it is, if it is linked.
        """
        self.catch_up(at)
        with self._lock:
            fits = self._written < MOST
            self._written += int(fits)
            self._dropped += int(not fits)
        if fits:
            fields = origin.to_data() if origin else {}
            self._log(actor or _slack(), {"about": about, **fields}, why)
        return fits

    def catch_up(self, at: datetime) -> None:
        """Say how many were left out, once their minute is over."""
        with self._lock:
            if self._since is not None and self._since <= at < self._since + _MINUTE:
                return
            dropped, self._since = self._dropped, at
            self._written = self._dropped = 0
        if dropped:
            why = f"{dropped} more refusals within a minute"
            self._log(_slack(), {"about": "more", "count": dropped}, why)

    def _log(self, actor: Actor, data: Mapping[str, Any], why: str) -> None:
        with self._store.begin() as unit:
            unit.log(STREAM, Event.by(actor, "SlackRefused", "slack", data, why))
            unit.commit()


def _slack() -> Actor:
    return Actor.system("slack", Channel.SLACK)
