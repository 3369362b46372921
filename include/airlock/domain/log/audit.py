"""The log: hash-chained streams of events, checkable from bytes alone.

Rules:
* One stream per release, one for everything else that has no release (`access`, `configuration`).
  What goes with a decision is in a stream of its release (`access_stream`): a stream's end is a
  row, and one row for all would make every decision wait for every other.
* `seq` starts at 1 and has no gaps. The first event follows `GENESIS`.
* `hash = SHA-256(tag || prev || seq || body)`: the tag separates this use of SHA-256 from every
  other, `seq` is 8 bytes big-endian, `body` the exact bytes stored.
* The body is canonical JSON, written once; verification never serialises again.

What a chain alone cannot show (a truncated tail, a whole stream dropped, a re-computed chain)
needs signed checkpoints kept elsewhere; this module does not have them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airlock.domain.digest import canonical_json
from airlock.domain.people.actors import Actor

GENESIS = bytes(32)
#: What the body of every entry has.
_FIELDS = frozenset(
    ("stream", "seq", "at", "what", "who", "channel", "resource", "old", "new", "why", "data")
)
#: The word that stands for an entry whose bytes cannot be read.
UNREADABLE = "Unreadable"
EVENT_TAG = b"airlock/event/v1\x00"


def access_stream(release_id: str) -> str:
    """Return the name of the stream that says how answers about one release came in."""
    return f"access-{release_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened, before it has a place in a stream."""

    type: str
    actor_id: str
    roles: tuple[str, ...]
    channel: str
    resource: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    why: str
    policy: str
    data: Mapping[str, Any]
    #: Whose words the texts are, if not those of `who`. Not part of the entry.
    author: str = ""

    @classmethod
    def by(
        cls, actor: Actor, event_type: str, resource: str, data: Mapping[str, Any], why: str = ""
    ) -> Event:
        """Return the event of an action by *actor* that changes no state."""
        return cls(
            type=event_type,
            actor_id=actor.id,
            roles=tuple(sorted(actor.roles)),
            channel=actor.channel.value,
            resource=resource,
            old=None,
            new=None,
            why=why,
            policy="",
            data=data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event in its place: the bytes hashed and both hashes."""

    stream: str
    seq: int
    body: bytes
    prev: bytes
    hash: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The body, parsed; of one that cannot be read (damage), an entry that says so."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict) and parsed.keys() >= _FIELDS:
            return parsed
        return {
            **dict.fromkeys(("at", "channel", "resource", "why", "policy"), ""),
            **{"v": 1, "stream": self.stream, "seq": self.seq, "what": UNREADABLE},
            **{"who": {"id": "", "roles": []}, "old": None, "new": None, "data": {}},
        }


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a stream; the next entry follows it."""

    seq: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Damage:
    """The first place where a stream is not what was written."""

    stream: str
    seq: int
    reason: str

    def sentence(self) -> str:
        """Say where and what."""
        return f"stream {self.stream}, entry {self.seq}: {self.reason}"


def link(prev: bytes, seq: int, body: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(EVENT_TAG + prev + seq.to_bytes(8, "big") + body).digest()


def append(head: Head, stream: str, event: Event, at: str) -> Entry:
    """Put *event* behind *head*. *at* is UTC with nanoseconds, from the database's clock."""
    body = canonical_json(
        {
            "v": 1,
            "stream": stream,
            "seq": head.seq + 1,
            "at": at,
            "what": event.type,
            "who": {"id": event.actor_id, "roles": sorted(event.roles)},
            "channel": event.channel,
            "resource": event.resource,
            "old": event.old,
            "new": event.new,
            "why": event.why,
            "policy": event.policy,
            "data": event.data,
        }
    )
    seq = head.seq + 1
    return Entry(stream=stream, seq=seq, body=body, prev=head.hash, hash=link(head.hash, seq, body))


def verify_stream(stream: str, entries: Iterable[Entry], head: Head | None) -> Damage | None:
    """Check one stream from its bytes; return the first damage, or None.

    *head* is what the application believes is the end; None leaves the end unchecked.
    """
    previous = Head()
    for entry in entries:
        damage = _damage(stream, previous, entry)
        if damage:
            return damage
        previous = Head(entry.seq, entry.hash)
    if head is not None and previous != head:
        return Damage(stream, head.seq, f"the stream ends at entry {previous.seq}: entries missing")
    return None


def _damage(stream: str, previous: Head, entry: Entry) -> Damage | None:
    place = previous.seq + 1
    if entry.seq != place:
        return Damage(stream, place, f"found entry {entry.seq}: deleted, reordered or added")
    if entry.prev != previous.hash:
        return Damage(stream, place, "does not follow the entry before it")
    if entry.hash != link(entry.prev, entry.seq, entry.body):
        return Damage(stream, place, "the bytes do not match their hash: edited")
    content = entry.content
    if (content["stream"], content["seq"]) != (stream, entry.seq):
        return Damage(stream, place, "names another place: moved here from elsewhere")
    return None
