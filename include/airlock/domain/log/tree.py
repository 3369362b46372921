"""What the log's tree is made of, as plain values between the store and the services."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

#: The merge delay: so long an event may be without its leaf, in seconds. Longer is an alarm, and
#: for the verifier an orphan: somebody wrote it past the sequencer, or the sequencer stands still.
MERGE_DELAY_S = 60

#: stream, seq, what, body, prev, hash: an entry as it is stored.
Stored: TypeAlias = tuple[str, int, str, bytes, bytes, bytes]
#: index, leaf hash, and the entry; None where the entry has gone.
Leaf: TypeAlias = tuple[int, bytes, Stored | None]


class Turn(StrEnum):
    """Why an entry has no leaf."""

    NEXT = "next"  #: it joins the tree the next time the tree grows
    OPEN = "open"  #: a transaction that may have written before it is still at work
    PAST = "past"  #: its number lies behind the place the tree has reached: it can never join
    FUTURE = "future"  #: its number was not given to any transaction yet
    UNKNOWN = "unknown"  #: nobody can tell from a copy of the log


@dataclass(frozen=True, slots=True)
class Tree:
    """How far the log is in the tree, and where the sequencer goes on."""

    origin: str
    size: int = 0
    last_xid: int = 0
    last_event: int = 0


@dataclass(frozen=True, slots=True)
class Unsequenced:
    """A committed event without a leaf."""

    event: int
    xid: int
    type: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A checkpoint's note and where it was kept; `leaves` are those since the one before."""

    place: str
    size: int
    note: str
    leaves: bytes = b""
