"""The tables of the log's tree beside the leaves: stored nodes, the sequencer's place, copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from airlock.domain.log.stream_chains import Chains, Finding
from airlock.domain.log.tree import KeptCheckpoint, Tree
from airlock.services.audit.log_store import LogWork

#: So many nodes are named.
_NAMED = 20


def check_tree_tables(
    unit: LogWork,
    tree: Tree | None,
    checkpoints: Sequence[KeptCheckpoint],
    chains: Chains,
    size: int,
) -> Iterator[Finding]:
    """Compare them with the tree of *size* leaves that was walked through."""
    yield from _place(unit, tree, size)
    yield from islice(_nodes(unit, chains), _NAMED)
    for stream, seq, event in unit.ahead():
        yield Finding(f"id {event} was taken ahead of those that are given out", stream, seq)
    sizes = {checkpoint.size for checkpoint in checkpoints}
    gone = sorted({row["size"] for row in unit.every("audit_copy")} - sizes)
    for lost_size in gone:
        why = f"a copy of the checkpoint of {lost_size} was made, but it is not in the database"
        yield Finding(f"table audit_copy: {why}")


def _place(unit: LogWork, tree: Tree | None, size: int) -> Iterator[Finding]:
    last = unit.last_leaf()
    if tree is None:
        if last is not None:
            yield Finding("table audit_tree: there are leaves, but its row is gone")
        return
    event, transaction = last or (0, 0)
    for name, actual, expected in (
        ("size", tree.size, size),
        ("last_event", tree.last_event, event),
        ("last_xid", tree.last_xid, transaction),
    ):
        if actual != expected:
            yield Finding(f"table audit_tree: {name} is {actual}, the last leaf says {expected}")


def _nodes(unit: LogWork, chains: Chains) -> Iterator[Finding]:
    expected = {(level, index): digest for level, index, digest in chains.nodes}
    for row in unit.every("audit_node"):
        place = (row["level"], row["idx"])
        computed = expected.pop(place, None)
        where = f"table audit_node, row {place[0]}/{place[1]}"
        if computed is None:
            yield Finding(f"{where}: is there, but the tree has no such node")
        elif computed != row["hash"]:
            yield Finding(f"{where}: hash is not that of the leaves below it")
    for level, index in expected:
        yield Finding(f"table audit_node, row {level}/{index}: is gone")
