"""What the log's tree needs of the store, beyond `airlock.ports.UnitOfWork`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from airlock.domain.log.audit import Head
from airlock.domain.log.merkle import Stretch
from airlock.domain.log.tree import KeptCheckpoint, Leaf, Stored, Tree, Turn, Unsequenced
from airlock.ports import UnitOfWork


class Helper(Protocol):
    """A process at work for this one."""

    def answer(self, patience_s: float) -> Mapping[str, Any] | None:
        """Wait for its answer; None if it has none or is not done in time."""

    def failed(self) -> bool:
        """Say whether it has ended without an answer."""

    def stop(self) -> None:
        """End it, done or not."""


class LogWork(UnitOfWork, Protocol):
    """A transaction that can also read and grow the tree."""

    def hold_still(self, like: str = "") -> None:
        """See the database as it is now to the end of this transaction; asked before all else.

        *like*: see it as another transaction does that has told how (`helper`).
        """

    def helper(self, job: Mapping[str, Any]) -> Helper | None:
        """Have a process do a job of parallel verification, seeing what this one sees.

        To be asked in a transaction that holds still. None where no other process can.
        """

    def tree(self) -> Tree | None:
        """Return how far the tree is, or None if there is none yet."""

    def lock_tree(self, origin: str) -> Tree | None:
        """Start the tree if needed and lock it; None if somebody else is at work on it."""

    def unsequenced(self, tree: Tree, limit: int) -> tuple[Unsequenced, ...]:
        """Return committed events behind the tree, in the order in which they join it."""

    def oldest_waiting(self, tree: Tree | None) -> bytes | None:
        """Return the body of the oldest event that waits to join the tree."""

    def grow(
        self,
        tree: Tree,
        leaves: Sequence[tuple[int, int, bytes]],
        nodes: Sequence[tuple[int, int, bytes]],
    ) -> None:
        """Add leaves (index, event, hash) and nodes, and note how far the tree is now."""

    def nodes(self, level: int, first: int, last: int) -> Sequence[bytes]:
        """Return the stored hashes `first <= index < last` of one level."""

    def nodes_at(self, stretches: Sequence[Stretch]) -> Mapping[Stretch, Sequence[bytes]]:
        """Return the stored hashes of some stretches (level, first, last)."""

    def place_of(self, stream: str, seq: int) -> int | None:
        """Return the index of an entry in the tree."""

    def put_checkpoint(self, size: int, note: str) -> None:
        """Keep a checkpoint (decider only)."""

    def checkpoints(self, after: int = 0) -> tuple[KeptCheckpoint, ...]:
        """Return the checkpoints of more than *after* leaves, smallest first."""

    def checkpoint_before(self, size: int) -> KeptCheckpoint | None:
        """Return the largest checkpoint of at most *size* leaves."""

    def put_copy(self, place: str, size: int, receipt: str) -> None:
        """Remember that a checkpoint has reached a place."""

    def copied(self, place: str) -> int:
        """Return the size of the largest checkpoint that has reached a place; 0 for none."""

    def receipts(self, size: int) -> tuple[str, ...]:
        """Return what the places gave back for a checkpoint: cosignature lines, or nothing."""

    def leaves(self, first: int = 0, last: int | None = None) -> Iterator[Leaf]:
        """Return every leaf (of those from *first* on and before *last*) with its entry."""

    def leafless(self) -> Iterator[Stored]:
        """Return the entries without a leaf, stream by stream in order."""

    def heads(self) -> dict[str, Head]:
        """Return the end of every stream the application believes in."""

    def stream_entries(self, streams: Sequence[str], but: frozenset[str]) -> Iterator[Stored]:
        """Return the entries of some streams in order, leaving out some words."""

    def owners_of(self, commitments: Iterable[str]) -> Mapping[str, tuple[str, str]]:
        """Return commitment -> (stream, person), for texts that were erased as well."""

    def told_with(self, words: Collection[str]) -> Iterator[Stored]:
        """Return the entries of all streams with some words, stream by stream in order."""

    def waiting(self, tree: Tree | None) -> Iterator[tuple[Stored, Turn]]:
        """Return the entries without a leaf, stream by stream in order, and why they have none."""

    def last_leaf(self) -> tuple[int, int] | None:
        """Return the event of the last leaf, and the transaction that wrote it."""

    def ahead(self) -> Iterator[tuple[str, int, int]]:
        """Return stream, place and id of the entries with an id that was never given out."""

    def every(self, table: str) -> Iterator[Mapping[str, Any]]:
        """Return every row of a table in order of its key."""

    def pages(self, table: str) -> Iterator[tuple[Mapping[str, Any], ...]]:
        """Return every row of a table whose key is one column, some hundreds at a time."""

    def rows(self, table: str, column: str, values: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Return the rows of a table with some values in a column, in order of its key."""

    def strays(self, table: str, column: str, of: str = "release") -> Iterator[Mapping[str, Any]]:
        """Return the rows of a table whose *column* names no row of the table *of*."""

    def measured(self) -> Iterator[tuple[str, bytes, str | None, str | None]]:
        """Return all evidence: digest and bytes, with each run and kind it was kept for."""

    def told_of(self, stream: str, words: Collection[str]) -> Iterator[Stored]:
        """Return the entries of one stream with some words, in order."""

    def cosigned_before(self, size: int) -> KeptCheckpoint | None:
        """Return the largest checkpoint of at most *size* leaves that a witness has cosigned."""

    def evidence_bodies(self, digests: Collection[str]) -> dict[str, bytes]:
        """Return the exact bytes of evidence by digest, as far as it is there."""


class LogStore(Protocol):
    """Airlock's own database, with the log's tree."""

    def begin(self) -> LogWork:
        """Start a transaction. Raises Unreachable."""
