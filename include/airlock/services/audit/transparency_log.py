"""Growing the log's tree, signing checkpoints, and carrying copies out of the database.

Rules:
* Committed events join the tree in the order the store gives (never by id on PostgreSQL).
* A checkpoint is signed when the tree grew and the last one is `PERIOD_S` old, and at once after
  a promotion.
* Every checkpoint goes to every place that keeps them, the newest to each witness. Each place is
  its own work: one that does not answer keeps neither the tree nor another place waiting.
* A copy carries the cosignatures of the witnesses: it goes out when they have signed, or after
  `WITNESS_S` without them.
* An event that waits longer than the merge delay, and a place that refuses a checkpoint, are
  alarms: an event of the log and an error in this process's own log, once each.

One process at a time grows the tree (a row lock); the others find nothing to do.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from airlock.domain.clock import moment
from airlock.domain.errors import Refused
from airlock.domain.log.audit import Event
from airlock.domain.log.checkpoint import Checkpoint, NoteInvalid, seal, signed_at
from airlock.domain.log.merkle import Frontier, at_once, consistency, leaf_hash
from airlock.domain.log.tree import MERGE_DELAY_S, KeptCheckpoint, Tree
from airlock.ports import Signer
from airlock.services.audit.log_store import LogStore, LogWork

#: Seconds between checkpoints while the tree grows.
PERIOD_S = 60
#: Events that join the tree in one transaction, and transactions in one round.
BATCH, BATCHES = 2_000, 25
#: After these a checkpoint is signed at once.
URGENT = frozenset({"ReleasePromoted", "KeyRotated"})
#: How old a checkpoint has to be, in seconds, to be copied without its cosignatures.
WITNESS_S = 30
STREAM = "log"

log = logging.getLogger("airlock.log")


@dataclass(frozen=True, slots=True)
class Copy:
    """A checkpoint on its way out, with the leaves since the size the place already has."""

    after: int
    size: int
    note: str
    leaves: bytes
    prove: Callable[[int], Sequence[bytes]]


class Place(Protocol):
    """Somewhere checkpoints are kept, out of the database administrator's reach."""

    @property
    def name(self) -> str:
        """Which place it is."""

    @property
    def witness(self) -> bool:
        """Whether it cosigns the newest, instead of keeping every one."""

    def put(self, copy: Copy) -> str:
        """Keep a checkpoint; return cosignature lines, if any.

        Raises Unreachable, or Refused if it contradicts what is kept there.
        """

    def checkpoints(self) -> Sequence[KeptCheckpoint]:
        """Return the checkpoints kept there. Raises Unreachable."""


def sequence(store: LogStore, signer: Signer, period_s: float = PERIOD_S) -> Tree | None:
    """Let committed events join the tree and sign a checkpoint if one is due.

    Returns the tree; None if another process is at work on it.
    """
    tree: Tree | None = None
    for _ in range(BATCHES):
        with store.begin() as unit:
            tree = unit.lock_tree(f"airlock/{secrets.token_hex(8)}")
            if tree is None:
                return None
            tree, added, urgent = _grow(unit, tree)
            if urgent or added < BATCH:
                _sign(unit, signer, tree, 0 if urgent else period_s)
            unit.commit()
        if added < BATCH:
            break
    return tree


def checkpoint_now(store: LogStore, signer: Signer) -> Tree | None:
    """Let everything committed join the tree and sign a checkpoint of it."""
    return sequence(store, signer, period_s=0)


def _grow(unit: LogWork, tree: Tree) -> tuple[Tree, int, bool]:
    waiting = unit.unsequenced(tree, BATCH)
    if not waiting:
        return tree, 0, False
    frontier = Frontier.load(tree.size, unit.nodes)
    leaves: list[tuple[int, int, bytes]] = []
    nodes: list[tuple[int, int, bytes]] = []
    for event in waiting:
        leaf = leaf_hash(event.hash)
        leaves.append((frontier.size, event.event, leaf))
        nodes.extend(frontier.add(leaf))
    last = waiting[-1]
    grown = replace(tree, size=frontier.size, last_xid=last.xid, last_event=last.event)
    unit.grow(grown, leaves, nodes)
    return grown, len(waiting), any(event.type in URGENT for event in waiting)


def _sign(unit: LogWork, signer: Signer, tree: Tree, period_s: float) -> None:
    last = unit.checkpoint_before(tree.size)
    now = int(unit.now().timestamp())
    if tree.size == (last.size if last else 0):
        return
    if last and now - _signed_at(last) < period_s:
        return
    root = Frontier.load(tree.size, unit.nodes).root()
    checkpoint = Checkpoint(tree.origin, tree.size, root)
    unit.put_checkpoint(tree.size, seal(checkpoint, signer.public, signer.sign, now))


class Sequencer:
    """What the delivery process calls once per round; it asks nobody but the database."""

    def __init__(self, store: LogStore, signer: Signer) -> None:
        self._store, self._signer = store, signer
        self._late = False

    def round(self) -> Tree | None:
        """Grow the tree, sign, and raise the alarm if events wait too long."""
        tree = sequence(self._store, self._signer)
        self._watch()
        return tree

    def _watch(self) -> None:
        with self._store.begin() as unit:
            waiting = unit.oldest_waiting(unit.tree())
            now = unit.now()
        late = waiting is not None and lag(waiting, now) > MERGE_DELAY_S
        if late and not self._late:
            why = f"an event waits longer than {MERGE_DELAY_S} s to join the log's tree"
            log.error("%s: is a transaction held open?", why)
            _tell(self._store, "AuditLag", "log/tree", why)
        self._late = late


class Carrier:
    """Carries checkpoints to one place. *witnesses*: the names of those that cosign before."""

    def __init__(self, store: LogStore, place: Place, witnesses: Sequence[str] = ()) -> None:
        self.place = place
        self._store, self._witnesses = store, () if place.witness else tuple(witnesses)
        self._refused = ""

    def round(self) -> None:
        """Carry what the place does not have yet.

        Raises:
            Unreachable: if the place, or the database, does not answer.
            Refused: if the place keeps something else; once per reason that is in the log, too.
        """
        try:
            publish(self._store, self.place, self._witnesses)
        except Refused as error:
            if error.message != self._refused:
                name = self.place.name
                log.error("no copy of the checkpoint at %s: %s", name, error.message)
                _tell(self._store, "CheckpointRefused", f"checkpoint/{name}", error.message)
            self._refused = error.message
            raise
        self._refused = ""


def carriers(store: LogStore, places: Sequence[Place]) -> list[Carrier]:
    """Return what carries checkpoints to each of the places."""
    witnesses = [place.name for place in places if place.witness]
    return [Carrier(store, place, witnesses) for place in places]


def _tell(store: LogStore, event_type: str, resource: str, why: str) -> None:
    with store.begin() as unit:
        unit.log(STREAM, system_event(event_type, resource, why))
        unit.commit()


def lag(body: bytes, now: datetime) -> float:
    """Return how old an event is, in seconds; one that does not say when is as old as can be."""
    try:
        return (now - moment(json.loads(body)["at"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return float("inf")


def publish(store: LogStore, place: Place, witnesses: Sequence[str] = ()) -> int:
    """Bring checkpoints to a place that does not have them yet; return how many.

    *witnesses*: whose cosignatures a young checkpoint waits for.
    """
    with store.begin() as unit:
        after = unit.copied(place.name)
        signed = min((unit.copied(name) for name in witnesses), default=None)
        old = unit.now().timestamp() - WITNESS_S
        pending = [
            checkpoint
            for checkpoint in unit.checkpoints(after)
            if signed is None or checkpoint.size <= signed or _signed_at(checkpoint) <= old
        ]
    for checkpoint in pending[-1:] if place.witness else pending:
        receipt = place.put(_copy(store, checkpoint, after, place))
        with store.begin() as unit:
            unit.put_copy(place.name, checkpoint.size, receipt)
            unit.commit()
        after = checkpoint.size
    return len(pending)


def _signed_at(checkpoint: KeptCheckpoint) -> int:
    """Return when a checkpoint was signed; a note that is damaged was signed long ago."""
    try:
        return signed_at(checkpoint.note)
    except NoteInvalid:  # named by `audit verify`; it must not keep the tree from growing
        return 0


def _copy(store: LogStore, checkpoint: KeptCheckpoint, after: int, place: Place) -> Copy:
    def prove(old: int) -> Sequence[bytes]:
        with store.begin() as unit:
            return at_once(lambda nodes: consistency(old, checkpoint.size, nodes), unit.nodes_at)

    with store.begin() as unit:
        leaves = b"" if place.witness else b"".join(unit.nodes(0, after, checkpoint.size))
        note = checkpoint.note + "".join(unit.receipts(checkpoint.size))
    return Copy(after, checkpoint.size, note, leaves, prove)


def system_event(event_type: str, resource: str, why: str, **data: str) -> Event:
    """Return an event of Airlock itself."""
    return Event(
        type=event_type,
        actor_id="system:decider",
        roles=(),
        channel="system",
        resource=resource,
        old=None,
        new=None,
        why=why,
        policy="",
        data=data,
    )
