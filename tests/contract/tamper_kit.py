"""A log of hundreds of events, and somebody with full write access to it and the log's own key.

`Forger` reads the log, changes it, and writes it back as cleverly as it is told to: with hashes
and heads computed again, with leaves and nodes rebuilt, with checkpoints signed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text

from airlock.adapters.checkpoints.folder import CheckpointFolder
from airlock.adapters.keys.ed25519 import FileSigner
from airlock.domain.approval.release import Decision
from airlock.domain.clock import moment
from airlock.domain.errors import Refused
from airlock.domain.log.audit import GENESIS, link
from airlock.domain.log.checkpoint import Checkpoint, seal, signed_at
from airlock.domain.log.merkle import Frontier, leaf_hash
from airlock.services.audit import access_log, transparency_log
from airlock.testing import World
from tests.support import EVERYWHERE

EVENTS = 1_000 if EVERYWHERE else 300
TABLES = ("audit_event", "audit_leaf", "audit_node", "audit_checkpoint", "audit_copy")


def fill(world: World, signer: FileSigner, folder: CheckpointFolder) -> int:
    """Write a log of at least so many events with a checkpoint every forty or so."""
    size = number = 0
    while size < EVENTS:
        number += 1
        release_id = world.open(f"run-{number}")
        for _ in range(12):
            try:
                world.vote(release_id, "vera", Decision.APPROVE)
            except Refused:
                access_log.read(world.store, world.actor("sam"), release_id)
        world.approve_all(release_id)
        world.promote(release_id, f"attempt-{number}")
        tree = transparency_log.checkpoint_now(world.store, signer)
        transparency_log.publish(world.store, folder)
        assert tree is not None
        size = tree.size
    return size


@dataclass(frozen=True)
class Row:
    """One event as the forger sees it."""

    stream: str
    seq: int
    what: str
    body: bytes
    prev: bytes
    hash: bytes
    xid: int

    def edited(self) -> Row:
        """Return the event with another reason."""
        content = json.loads(self.body)
        content["why"] = "nothing to see here"
        return replace(self, body=_canonical(content))

    def at_place(self, seq: int) -> Row:
        """Return the event as if it had been written in another place of its stream."""
        content = json.loads(self.body)
        content["seq"] = seq
        return replace(self, seq=seq, body=_canonical(content))


class Forger:
    """Owns the database."""

    def __init__(self, url: str, signer: FileSigner) -> None:
        self._engine = create_engine(url)
        self._signer = signer
        self._postgres = url.startswith("postgresql")
        with self._engine.begin() as connection:
            self._free(connection)
            xid = "CAST(CAST(e.xid AS text) AS bigint)" if self._postgres else "0"
            rows = connection.execute(
                text(
                    f"SELECT stream, seq, what, body, prev, e.hash, {xid} FROM audit_event e "
                    "LEFT JOIN audit_leaf l ON l.event = e.id ORDER BY l.idx IS NULL, l.idx, e.id"
                )
            )
            self.rows = [Row(r[0], r[1], r[2], *(bytes(one) for one in r[3:6]), r[6]) for r in rows]
            found = connection.execute(text("SELECT size, note FROM audit_checkpoint ORDER BY 1"))
            self.notes = {size: note for size, note in found}
            self.origin = connection.execute(text("SELECT origin FROM audit_tree")).scalar_one()

    def _free(self, connection: Connection) -> None:
        """Switch off what stops accidents."""
        if self._postgres:
            for table in TABLES:
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
            return
        found = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        for (name,) in found.all():
            connection.execute(text(f"DROP TRIGGER {name}"))

    def rechain(self) -> None:
        """Number every stream again and compute all its hashes, as if nothing had happened."""
        ends: dict[str, tuple[int, bytes]] = {}
        for place, row in enumerate(self.rows):
            seq, prev = ends.get(row.stream, (0, GENESIS))
            moved = row.at_place(seq + 1) if row.seq != seq + 1 else row
            digest = link(prev, seq + 1, moved.body)
            self.rows[place] = replace(moved, prev=prev, hash=digest)
            ends[row.stream] = (seq + 1, digest)

    def write(self, *, rebuild: bool, resign: bool = True, backdate: int | None = None) -> None:
        """Replace the log. *rebuild* makes new leaves, nodes and (with *resign*) checkpoints."""
        with self._engine.begin() as connection:
            kept = [
                row[0]
                for row in connection.execute(text("SELECT hash FROM audit_leaf ORDER BY idx"))
            ]
            for table in TABLES[:-1] if rebuild else TABLES[:2]:
                connection.execute(text(f"DELETE FROM {table}"))
            self._events(connection)
            self._leaves(connection, None if rebuild else [bytes(one) for one in kept])
            if rebuild:
                self._tree(connection, resign=resign)
            self._heads(connection)

    def _events(self, connection: Connection) -> None:
        columns = "id, stream, seq, what, body, prev, hash" + (", xid" if self._postgres else "")
        values = ":id, :stream, :seq, :what, :body, :prev, :hash"
        if self._postgres:
            values += ", CAST(CAST(:xid AS text) AS xid8)"
        statement = text(f"INSERT INTO audit_event ({columns}) VALUES ({values})")
        connection.execute(
            statement,
            [
                {**{n: getattr(row, n) for n in Row.__dataclass_fields__}, "id": number}
                for number, row in enumerate(self.rows, 1)
            ],
        )

    def _leaves(self, connection: Connection, kept: list[bytes] | None) -> None:
        hashes = kept if kept is not None else [leaf_hash(row.hash) for row in self.rows]
        connection.execute(
            text("INSERT INTO audit_leaf (idx, event, hash) VALUES (:idx, :event, :hash)"),
            [{"idx": at, "event": at + 1, "hash": one} for at, one in enumerate(hashes)],
        )

    def _tree(self, connection: Connection, *, resign: bool) -> None:
        frontier, nodes = Frontier(), []
        for row in self.rows:
            nodes += frontier.add(leaf_hash(row.hash))
            size = frontier.size
            if size in self.notes or (size == len(self.rows) and resign):
                self._note(connection, frontier, resign)
        if nodes:
            connection.execute(
                text("INSERT INTO audit_node (level, idx, hash) VALUES (:l, :i, :h)"),
                [{"l": level, "i": index, "h": one} for level, index, one in nodes],
            )
        last = self.rows[-1].xid
        connection.execute(
            text("UPDATE audit_tree SET size = :s, last_event = :s, last_xid = :x"),
            {"s": len(self.rows), "x": last},
        )

    def _note(self, connection: Connection, frontier: Frontier, resign: bool) -> None:
        old = self.notes.get(frontier.size, self.notes[max(self.notes)])
        checkpoint = Checkpoint(self.origin, frontier.size, frontier.root())
        newest = json.loads(self.rows[frontier.size - 1].body)["at"]
        at = max(signed_at(old), int(moment(newest).timestamp()))  # so that the times agree
        signed = seal(checkpoint, self._signer.public, self._signer.sign, at)
        connection.execute(
            text("INSERT INTO audit_checkpoint (size, note, at) VALUES (:s, :n, 'x')"),
            {"s": frontier.size, "n": signed if resign else old},
        )

    def _heads(self, connection: Connection) -> None:
        ends = {row.stream: row for row in self.rows}
        for table, key in (("audit_stream", "stream"), ("release", "id")):
            for (name,) in connection.execute(text(f"SELECT {key} FROM {table}")).all():
                row = ends.get(name)
                if row is None:
                    connection.execute(
                        text(f"UPDATE {table} SET seq = 0, head = :h WHERE {key} = :n"),
                        {"h": GENESIS, "n": name},
                    )
                    continue
                connection.execute(
                    text(f"UPDATE {table} SET seq = :s, head = :h WHERE {key} = :n"),
                    {"s": row.seq, "h": row.hash, "n": name},
                )

    def execute(self, statement: str, **given: Any) -> None:
        """Run one statement as the owner of everything."""
        with self._engine.begin() as connection:
            connection.execute(text(statement), given)


Attack = Callable[[Forger, int], int | None]


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def edit(forger: Forger, place: int) -> int:
    """Change one body and nothing else."""
    forger.rows[place] = forger.rows[place].edited()
    forger.write(rebuild=False)
    return place


def edit_and_rechain(forger: Forger, place: int) -> int:
    """Change one body and compute the rest of its stream again."""
    forger.rows[place] = forger.rows[place].edited()
    forger.rechain()
    forger.write(rebuild=False)
    return place


def edit_and_rebuild(forger: Forger, place: int) -> int:
    """Change one body, the stream, the tree, and sign all checkpoints again."""
    forger.rows[place] = forger.rows[place].edited()
    forger.rechain()
    forger.write(rebuild=True)
    return place


def delete(forger: Forger, place: int) -> int:
    """Delete one event where it stands."""
    forger.execute(
        "DELETE FROM audit_event WHERE id IN (SELECT event FROM audit_leaf WHERE idx = :i)", i=place
    )
    return place


def delete_and_rebuild(forger: Forger, place: int) -> int:
    """Delete one event and close the gap everywhere."""
    del forger.rows[place]
    forger.rechain()
    forger.write(rebuild=True)
    return place


def _without_tails(forger: Forger, place: int) -> tuple[list[Row], int]:
    """Cut the newest entry of every stream that goes on behind *place*."""
    last = {row.stream: at for at, row in enumerate(forger.rows)}
    gone = {at for at in last.values() if at >= place}
    return [row for at, row in enumerate(forger.rows) if at not in gone], min(gone)


def truncate(forger: Forger, place: int) -> int:
    """Cut the end of every stream, heads included, and leave the leaves."""
    kept, first = _without_tails(forger, place)
    known = {(row.stream, row.seq) for row in kept}
    gone = [row for row in forger.rows if (row.stream, row.seq) not in known]
    for row in gone:
        forger.execute(
            "DELETE FROM audit_event WHERE stream = :t AND seq = :s", t=row.stream, s=row.seq
        )
    return first


def truncate_and_rebuild(forger: Forger, place: int) -> int:
    """Cut the end of every stream and rebuild the tree over what is left."""
    forger.rows, first = _without_tails(forger, place)
    forger.write(rebuild=True)
    return first


def drop_stream(forger: Forger, place: int) -> int:
    """Drop the whole stream of the event at *place*, and rebuild."""
    stream = forger.rows[place].stream
    first = next(at for at, row in enumerate(forger.rows) if row.stream == stream)
    forger.rows = [row for row in forger.rows if row.stream != stream]
    forger.write(rebuild=True)
    return first


def swap(forger: Forger, place: int) -> int:
    """Swap an event with the next of its stream (or the one before, at the end)."""
    stream = forger.rows[place].stream
    mine = [at for at, row in enumerate(forger.rows) if row.stream == stream]
    at = mine.index(place)
    one, other = sorted((place, mine[at + 1] if at + 1 < len(mine) else mine[at - 1]))
    forger.rows[one], forger.rows[other] = forger.rows[other], forger.rows[one]
    forger.rechain()
    forger.write(rebuild=True)
    return one


def forge(forger: Forger, place: int) -> int | None:
    """Append an old event to a stream, past the sequencer: it never gets a leaf."""
    row = _forged(forger, place)
    forger.execute(
        "INSERT INTO audit_event (id, stream, seq, what, body, prev, hash"
        + (", xid" if forger._postgres else "")
        + ") VALUES (:id, :stream, :seq, :what, :body, :prev, :hash"
        + (", CAST('3' AS xid8))" if forger._postgres else ")"),
        **{name: getattr(row, name) for name in Row.__dataclass_fields__ if name != "xid"},
        id=-1 - place,
    )
    forger.rows.append(row)
    with forger._engine.begin() as connection:
        forger._heads(connection)
    return None


def forge_and_backdate(forger: Forger, place: int) -> int:
    """Append an event that claims to be an hour old, with a leaf and a new checkpoint."""
    forger.rows.append(_forged(forger, place))
    forger.write(rebuild=True)
    return len(forger.rows) - 1


def _forged(forger: Forger, place: int) -> Row:
    last = {row.stream: row for row in forger.rows}[forger.rows[place].stream]
    content = json.loads(last.body)
    content |= {"seq": last.seq + 1, "why": "forged", "what": "LogRead"}
    content["at"] = "2026-01-01T00:00:00.000000000Z"
    body = _canonical(content)
    digest = link(last.hash, last.seq + 1, body)
    return Row(last.stream, last.seq + 1, "LogRead", body, last.hash, digest, last.xid)


def restore(forger: Forger, place: int) -> int:
    """Bring back a backup: the newest checkpoint at *place*, everything behind it gone."""
    size = max((size for size in forger.notes if size <= place), default=min(forger.notes))
    forger.rows = forger.rows[:size]
    forger.notes = {at: note for at, note in forger.notes.items() if at <= size}
    forger.write(rebuild=True, resign=False)
    return size


#: name -> (attack, does a witness refuse the next checkpoint)
ATTACKS: dict[str, tuple[Attack, bool]] = {
    "edit a body": (edit, False),
    "edit and re-chain": (edit_and_rechain, False),
    "edit, re-chain, rebuild the tree": (edit_and_rebuild, True),
    "delete an event": (delete, False),
    "delete, re-chain, rebuild": (delete_and_rebuild, True),
    "truncate every stream": (truncate, False),
    "truncate every stream and rebuild": (truncate_and_rebuild, True),
    "drop a whole stream": (drop_stream, True),
    "swap two events and re-chain": (swap, True),
    "forge an event past the tree": (forge, False),
    "forge a backdated event": (forge_and_backdate, False),
    "restore an old backup": (restore, True),
}


def url_of(folder: Path) -> str:
    """Return the URL of the SQLite file in a folder."""
    return f"sqlite:///{folder / 'log.db'}"
