"""Growing the log's tree, signing checkpoints, and carrying copies out of the database.

Rules:
* Committed events join the tree in the order the store gives (never by id on PostgreSQL).
* A checkpoint is signed when the tree grew and the last one is `PERIOD_S` old, and at once after
  a promotion.
* Every checkpoint goes to every place that keeps them, the newest to each witness. A place that
  does not answer is tried again with growing pauses; nothing waits for it.
* An event that waits longer than the merge delay, and a place that refuses a checkpoint, are
  alarms: an event of the log and an error in this process's own log, once each.

One process at a time grows the tree (a row lock); the others find nothing to do.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from airlock.domain.audit import Event
from airlock.domain.checkpoint import Checkpoint, seal, signed_at
from airlock.domain.clock import moment
from airlock.domain.errors import AirlockError, Refused
from airlock.domain.log_tree import MERGE_DELAY_S, KeptCheckpoint, Tree
from airlock.domain.merkle import Frontier, at_once, consistency, leaf_hash
from airlock.ports import Signer
from airlock.services.log_store import LogStore, LogWork

#: Seconds between checkpoints while the tree grows.
PERIOD_S = 60
#: Events that join the tree in one transaction, and transactions in one round.
BATCH, BATCHES = 2_000, 25
#: After these a checkpoint is signed at once.
URGENT = frozenset({"ReleasePromoted", "KeyRotated"})
LONGEST_PAUSE_S = 60.0
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

    def kept(self) -> Sequence[KeptCheckpoint]:
        """Return what is kept there. Raises Unreachable."""


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
    return grown, len(waiting), any(event.what in URGENT for event in waiting)


def _sign(unit: LogWork, signer: Signer, tree: Tree, period_s: float) -> None:
    last = unit.checkpoint_before(tree.size)
    now = int(unit.now().timestamp())
    if tree.size == (last.size if last else 0):
        return
    if last and now - signed_at(last.note) < period_s:
        return
    root = Frontier.load(tree.size, unit.nodes).root()
    checkpoint = Checkpoint(tree.origin, tree.size, root)
    unit.put_checkpoint(tree.size, seal(checkpoint, signer.public, signer.sign, now))


class Sequencer:
    """What the delivery process calls once per round."""

    def __init__(self, store: LogStore, signer: Signer, places: Sequence[Place] = ()) -> None:
        """Witnesses come first, so that copies kept elsewhere carry their cosignatures."""
        self._store, self._signer = store, signer
        self._places = sorted(places, key=lambda place: not place.witness)
        self._pauses: dict[str, tuple[float, float]] = {}
        self._said: set[str] = set()

    def round(self) -> Tree | None:
        """Grow the tree, sign, copy, and raise the alarm if events wait too long."""
        tree = sequence(self._store, self._signer)
        if tree is not None:
            for place in self._places:
                self._carry(place)
        self._watch()
        return tree

    def _carry(self, place: Place) -> None:
        due, pause = self._pauses.get(place.name, (0.0, 0.5))
        if time.monotonic() < due:
            return
        try:
            publish(self._store, place)
        except AirlockError as error:
            longer = min(pause * 2, LONGEST_PAUSE_S)
            self._pauses[place.name] = (time.monotonic() + pause, longer)
            self._alarm(place.name, error)
            return
        self._pauses.pop(place.name, None)
        self._said.discard(place.name)

    def _alarm(self, name: str, error: AirlockError) -> None:
        if name in self._said:
            return
        self._said.add(name)
        log.error("no copy of the checkpoint at %s: %s", name, error.message)
        if isinstance(error, Refused):
            self._tell("CheckpointRefused", f"checkpoint/{name}", error.message)

    def _watch(self) -> None:
        with self._store.begin() as unit:
            waiting = unit.oldest_waiting(unit.tree())
            now = unit.now()
        late = waiting is not None and lag(waiting, now) > MERGE_DELAY_S
        if not late:
            self._said.discard("lag")
        elif "lag" not in self._said:
            self._said.add("lag")
            why = f"an event waits longer than {MERGE_DELAY_S} s to join the log's tree"
            log.error("%s: is a transaction held open?", why)
            self._tell("AuditLag", "log/tree", why)

    def _tell(self, what: str, resource: str, why: str) -> None:
        with self._store.begin() as unit:
            unit.log(STREAM, system_event(what, resource, why))
            unit.commit()


def lag(body: bytes, now: datetime) -> float:
    """Return how old an event is, in seconds; one that does not say when is as old as can be."""
    try:
        return (now - moment(json.loads(body)["at"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return float("inf")


def publish(store: LogStore, place: Place) -> int:
    """Bring checkpoints to a place that does not have them yet; return how many."""
    with store.begin() as unit:
        after = unit.copied(place.name)
        pending = unit.checkpoints(after)
    for one in pending[-1:] if place.witness else pending:
        receipt = place.put(_copy(store, one, after, place))
        with store.begin() as unit:
            unit.put_copy(place.name, one.size, receipt)
            unit.commit()
        after = one.size
    return len(pending)


def _copy(store: LogStore, one: KeptCheckpoint, after: int, place: Place) -> Copy:
    def prove(old: int) -> Sequence[bytes]:
        with store.begin() as unit:
            return at_once(lambda nodes: consistency(old, one.size, nodes), unit.nodes_at)

    with store.begin() as unit:
        leaves = b"" if place.witness else b"".join(unit.nodes(0, after, one.size))
        note = one.note + "".join(unit.receipts(one.size))
    return Copy(after, one.size, note, leaves, prove)


def system_event(what: str, resource: str, why: str, **data: str) -> Event:
    """Return an event Airlock itself tells."""
    return Event(
        what=what,
        who="system:decider",
        roles=(),
        channel="system",
        resource=resource,
        old=None,
        new=None,
        why=why,
        policy="",
        data=data,
    )
