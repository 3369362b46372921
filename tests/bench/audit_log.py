"""How long the combined verifier needs for a log of a million events, and a proof for one of them.

The log: 2,000 promoted releases with their votes and grants (replayed and compared with the
tables), everything else reads and refusals, a checkpoint every 20,000 events. Peer: reading the
same rows through the same driver and doing nothing with them, so the ratio is what checking costs.
Each verification runs in a process of its own, with a helper; the sum of their peaks counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner, create
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.tables import metadata
from airlock.domain.clock import moment
from airlock.domain.digest import digest_json
from airlock.domain.log.audit import Event, Head, append, link
from airlock.domain.log.checkpoint import Checkpoint, seal
from airlock.domain.log.erasable_texts import commit
from airlock.domain.log.merkle import Frontier, leaf_hash
from airlock.domain.promotion.grant import seal as seal_grant
from airlock.domain.promotion.grant import unseal
from airlock.services.audit import access_log
from airlock.testing import World
from airlock_platform.databases.postgres import ephemeral_postgres
from tests.support import ROOT, short_folder

EVENTS = int(os.environ.get("AIRLOCK_BENCH_EVENTS", "1000000"))
RELEASES, EVERY = EVENTS // 500, 20_000
GOALS_S = {"PostgreSQL": 10.0, "SQLite": 5.0}
GOAL_MB, GOAL_PROOF_MS, PROOFS = 200, 50.0, 100

_CHILD = """
import json, resource, sys, time
from pathlib import Path
from airlock.adapters.checkpoints.folder import CheckpointFolder
from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.adapters.sql_store import SqlStore
from airlock.services.audit import verification
store = SqlStore(sys.argv[1], pooled=False)
begun = time.perf_counter()
with store.begin() as unit:
    for _ in unit.leaves():
        pass
read = time.perf_counter()
report = verification.verify(store, FileKeyring(Path(sys.argv[2])))
done = time.perf_counter()
status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's as well
peak = int(status.partition("VmHWM:")[2].split()[0])
peak += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # it has one child, the helper
print(json.dumps({"read": read - begun, "verify": done - read, "mb": peak // 1024,
                  "events": report.events, "releases": report.releases,
                  "grants": report.grants, "damages": report.damages[:3]}))
"""


def run() -> list[dict[str, Any]]:
    """Return the rows of both databases."""
    folder = short_folder("log")
    try:
        create(folder / "signing.pem", folder / "keys")
        with ephemeral_postgres(folder / "pg") as server:
            upgrade(url := f"sqlite:///{folder / 'log.db'}")
            build(folder, url)
            upgrade(server.url("airlock_owner"))
            copy(folder / "log.db", server.dsn("postgres", "airlock"))
            urls = {"SQLite": url, "PostgreSQL": server.url("airlock_decider")}
            return [row for kind, address in urls.items() for row in measure(kind, address, folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build(folder: Path, url: str) -> None:
    """Fill a SQLite log; one real release is the pattern of all."""
    signer, keyring = FileSigner(folder / "signing.pem"), FileKeyring(folder / "keys")
    world = World(SqlStore(url), signer=signer)
    world.keys = keyring  # type: ignore[assignment]
    pattern = world.open("run-0")
    world.approve_all(pattern)
    world.promote(pattern)
    world.store.close()
    database = sqlite3.connect(folder / "log.db")
    database.execute("PRAGMA synchronous=OFF")
    for (name,) in database.execute(
        "SELECT name FROM sqlite_master WHERE type='trigger'"
    ).fetchall():
        database.execute(f"DROP TRIGGER {name}")
    _clone(database, pattern, signer, keyring)
    _talk(database)
    _tree(database, signer)
    database.commit()
    database.execute("PRAGMA journal_mode=DELETE")
    database.close()


def _clone(
    database: sqlite3.Connection, pattern: str, signer: FileSigner, keyring: FileKeyring
) -> None:
    query = "SELECT what, body FROM audit_event WHERE stream = ? ORDER BY seq"
    events = database.execute(query, (pattern,)).fetchall()
    grant_id, envelope = database.execute("SELECT id, envelope FROM release_grant").fetchone()
    spoken = database.execute(
        "SELECT commitment, text FROM audit_text WHERE stream = ?", (pattern,)
    ).fetchall()
    grant = unseal(envelope, keyring.verify)
    name = pattern
    for number in range(1, RELEASES):
        name, grant_name = f"rel-{number:010x}", f"grant-{number:016x}"
        new_grant = replace(grant, id=grant_name, release=name, sequence=number + 1)
        sealed = seal_grant(new_grant, signer.key_id, signer.sign)
        salts = {old: hashlib.sha256(f"{number}{old}".encode()).digest() for old, _ in spoken}
        texts = {old: commit(salts[old], text) for old, text in spoken}
        changes = {
            pattern: name,
            "credit/run-0": f"credit/run-{number}",
            grant_id: grant_name,
            digest_json(envelope): digest_json(sealed),
            '"sequence":1': f'"sequence":{number + 1}',
            **texts,
        }
        head = Head()
        for kind, body in events:
            changed = _changed(body.decode(), changes).encode()
            digest = link(head.hash, head.seq + 1, changed)
            _insert(database, (name, head.seq + 1, kind, changed, head.hash, digest))
            head = Head(head.seq + 1, digest)
        _copy_rows(database, pattern, {**changes, envelope: sealed})
        new = {"seq": head.seq, "head": head.hash, "id": name}
        database.execute("UPDATE release SET seq = :seq, head = :head WHERE id = :id", new)
        database.executemany(
            "UPDATE audit_text SET salt = ? WHERE commitment = ?",
            [(salts[old], new) for old, new in texts.items()],
        )
    database.execute("UPDATE line SET epoch = ?, release = ?", (RELEASES, name))


def _changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def _copy_rows(database: sqlite3.Connection, pattern: str, changes: dict[str, str]) -> None:
    """Copy what belongs to the pattern; the runs are as those from before they had streams."""
    for table, key, of in (
        ("release", "id", pattern),
        ("vote", "release", pattern),
        ("release_grant", "release", pattern),
        ("audit_text", "stream", pattern),
        ("run", "origin", "credit/run-0"),
        ("candidate", "origin", "credit/run-0"),
        ("run_evidence", "origin", "credit/run-0"),
        ("gate_result", "origin", "credit/run-0"),
    ):
        rows = database.execute(f"SELECT * FROM {table} WHERE {key} = ?", (of,))
        columns = [column[0] for column in rows.description]
        for row in rows.fetchall():
            values = dict(zip(columns, row, strict=True))
            values = {
                name: _changed(value, changes) if isinstance(value, str) else value
                for name, value in values.items()
            } | ({"source": "before"} if table == "run" else {})
            marks = ",".join("?" * len(columns))
            database.execute(f"INSERT INTO {table} VALUES ({marks})", list(values.values()))


def _talk(database: sqlite3.Connection) -> None:
    """Fill up with reads and refusals in the stream `access`."""
    count = database.execute("SELECT count(*) FROM audit_event").fetchone()[0]
    row = database.execute("SELECT seq, head FROM audit_stream WHERE stream = 'access'").fetchone()
    at = json.loads(database.execute("SELECT body FROM audit_event ORDER BY id DESC").fetchone()[0])
    head = Head(row[0], row[1])
    for number in range(count, EVENTS):
        event = Event(
            type="LogRead" if number % 3 else "AccessRefused",
            actor_id=f"person-{number % 200}",
            roles=("security_auditor", "viewer"),
            channel="page",
            resource=f"log/rel-{number % RELEASES:010x}",
            old=None,
            new=None,
            why="looked at what was decided before answering" if number % 2 else "",
            policy="sha256:" + "0" * 64,
            data={"entries": number % 40, "permission": "audit:read"},
        )
        entry = append(head, "access", event, at["at"])
        _insert(database, ("access", entry.seq, event.type, entry.body, entry.prev, entry.hash))
        head = Head(entry.seq, entry.hash)
    values = (head.seq, head.hash)
    database.execute("UPDATE audit_stream SET seq = ?, head = ? WHERE stream = 'access'", values)


def _insert(database: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    statement = "INSERT INTO audit_event (stream, seq, what, body, prev, hash) VALUES (?,?,?,?,?,?)"
    database.execute(statement, row)


def _tree(database: sqlite3.Connection, signer: FileSigner) -> None:
    frontier, origin = Frontier(), "airlock/bench"
    last = database.execute("SELECT body FROM audit_event ORDER BY id DESC LIMIT 1").fetchone()[0]
    at = int(moment(json.loads(last)["at"]).timestamp()) + 1

    def leaves() -> Iterator[tuple[int, int, bytes]]:
        for event, digest in database.execute("SELECT id, hash FROM audit_event ORDER BY id"):
            leaf = leaf_hash(digest)
            nodes.extend(frontier.add(leaf))
            if not frontier.size % EVERY or frontier.size == EVENTS:
                checkpoint = Checkpoint(origin, frontier.size, frontier.root())
                notes[frontier.size] = seal(checkpoint, signer.public, signer.sign, at)
            yield frontier.size - 1, event, leaf

    nodes: list[tuple[int, int, bytes]] = []
    notes: dict[int, str] = {}
    database.executemany("INSERT INTO audit_leaf (idx, event, hash) VALUES (?,?,?)", list(leaves()))
    database.executemany("INSERT INTO audit_node (level, idx, hash) VALUES (?,?,?)", nodes)
    database.executemany(
        "INSERT INTO audit_checkpoint (size, note, at) VALUES (?,?,'')", notes.items()
    )
    database.execute("INSERT INTO audit_tree VALUES (1, ?, ?, 0, ?)", (origin, EVENTS, EVENTS))


#: Tables copied to PostgreSQL; of these only some columns, the others are its own.
_SOME = {"audit_event": "id, stream, seq, what, body, prev, hash"}
_OWN = ("proposal", "alembic_version")


def copy(file: Path, dsn: str) -> None:
    """Bring the log from SQLite to PostgreSQL."""
    source = sqlite3.connect(file)
    with psycopg.connect(dsn) as target:
        target.execute("SET session_replication_role = replica")
        # Once a release is there, what its run has measured is frozen.
        for table in (*sorted(set(metadata.tables) - {*_OWN, "release"}), "release"):
            rows = source.execute(f"SELECT {_SOME.get(table, '*')} FROM {table}")
            names = ", ".join(f'"{column[0]}"' for column in rows.description)
            with target.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as sink:
                for row in rows:
                    sink.write_row(row)
        last = "SELECT xid::text::bigint FROM audit_event ORDER BY id DESC LIMIT 1"
        target.execute(f"UPDATE audit_tree SET last_xid = ({last})")
        target.commit()
        target.autocommit = True
        target.execute("VACUUM ANALYZE")


def measure(kind: str, url: str, folder: Path) -> list[dict[str, Any]]:
    """Verify in a fresh process, then prove single entries."""
    command = [sys.executable, "-c", _CHILD, url, str(folder / "keys")]
    environment = {"PYTHONPATH": str(ROOT / "include"), "PATH": os.environ["PATH"]}
    results = []
    for _ in range(3):
        process = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        )
        results.append(json.loads(process.stdout))
        if results[-1]["damages"] or results[-1]["events"] != EVENTS:
            raise RuntimeError(f"the log does not verify: {results[-1]}")
    seconds, read = (
        statistics.median(result[key] for result in results) for key in ("verify", "read")
    )
    peak = max(result["mb"] for result in results)
    slowest = prove(url)
    title = f"verify {EVENTS:,} events with {RELEASES:,} releases, {kind}"
    goal = GOALS_S[kind]
    return [
        _row(
            f"{title} (peer: read them)", "s", seconds, read, f"<= {goal:g} s", seconds <= goal, 3
        ),
        _row(
            f"{title}, peak memory of both processes",
            "MB",
            peak,
            None,
            f"< {GOAL_MB} MB",
            peak < GOAL_MB,
            3,
        ),
        _row(
            f"proof for one in {EVENTS:,}, slowest of {PROOFS}, {kind}",
            "ms",
            slowest,
            None,
            f"<= {GOAL_PROOF_MS:g} ms",
            slowest <= GOAL_PROOF_MS,
            PROOFS,
        ),
    ]


def prove(url: str) -> float:
    """Return the milliseconds of the slowest of some random proofs."""
    store, chosen = SqlStore(url), random.Random(7)
    access_log.prove(store, "access", 1)  # connects
    slowest = 0.0
    for _ in range(PROOFS):
        seq = chosen.randrange(1, EVENTS * 9 // 10)
        begun = time.perf_counter()
        access_log.prove(store, "access", seq)
        slowest = max(slowest, time.perf_counter() - begun)
    store.close()
    return slowest * 1000


def _row(
    name: str, unit: str, ours: float, peer: float | None, goal: str, met: bool, n: int
) -> dict[str, Any]:
    return {
        "name": name,
        "unit": unit,
        "ours": round(ours, 2),
        "peer": round(peer, 2) if peer else "-",
        "ratio": round(ours / peer, 2) if peer else "-",
        "goal": goal,
        "met": met,
        "n": n,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory():
        print(json.dumps(run(), indent=1))
