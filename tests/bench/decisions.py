"""How fast decisions are, with many releases open and with few, with the log and without it.

One decision is the whole deciding transaction over a real PostgreSQL, `fsync` on, from separate
processes. Each comparison is interleaved in one run: A, B, A, B, on the same server, so that the
ratio holds on a busy machine even where the absolute figures do not.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.log.entries import Log
from airlock.domain.approval.release import Decision
from airlock.domain.log.audit import Event, Head
from airlock.domain.people.actors import Actor, Channel
from airlock.services.approvals import decide as decisions
from airlock.services.queries import releases as release_queries
from airlock.testing import FakeKeys, World, pipeline_document
from airlock_platform.databases.postgres import ephemeral_postgres
from airlock_platform.databases.server import Server
from tests.seeding import Runner, clone, race
from tests.support import short_folder

WRITERS = 8
OPEN, FEW = 10_000, 10
EACH = 60
REPEATS = 5
LENA = Actor("lena", "Lena", frozenset({"algorithm_lead"}), Channel.API)


@dataclass
class Place:
    """A database with a world in it, and releases to decide."""

    server: Server
    name: str
    template: str
    ids: Iterator[str]

    def url(self, role: str) -> str:
        return self.server.url(role, self.name)

    def more(self, count: int) -> list[str]:
        """Open *count* more releases."""
        return clone(self.url("postgres"), self.template, count)

    def take(self, count: int) -> list[str]:
        """Return releases that were open from the start."""
        return [next(self.ids) for _ in range(count)]


@contextmanager
def server() -> Iterator[Server]:
    """Run a PostgreSQL with a migrated database to copy."""
    folder = short_folder("bench")
    try:
        with ephemeral_postgres(folder, durable=True) as postgres:
            upgrade(postgres.url("airlock_owner"))
            yield postgres
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(postgres: Server, opened: int, *, log: bool = True) -> Place:
    """Return a fresh database with so many open releases of the low tier."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE airlock OWNER airlock_owner')
    stores = [SqlStore(postgres.url(role, name), pooled=False) for role in ROLES]
    world = World(stores[0], worker=stores[1], pipeline=pipeline_document(impact="none"))
    template = world.open()
    decisions.settle(world.store, world.signer, template)
    ids = clone(postgres.url("postgres", name), template, opened, log=log)
    with psycopg.connect(postgres.dsn("postgres", name), autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")
    return Place(postgres, name, template, iter(ids))


ROLES = ("airlock_decider", "airlock_worker")


def decide(store: SqlStore, _round: int, ids: Sequence[str], audited: bool = True) -> str:
    """Approve each release; return how long each took, in seconds."""
    if not audited:
        Log._append_all = _unaudited  # type: ignore[method-assign]
    releases = [release_queries.outcome(store, release_id) for release_id in ids]
    took = []
    for release_id, release in zip(ids, releases, strict=True):
        ballot = World.ballot_of(release, Decision.APPROVE)
        begun = time.perf_counter()
        decisions.vote(store, FakeKeys(), release_id, ballot, LENA)
        took.append(time.perf_counter() - begun)
    return json.dumps(took)


def _unaudited(_self: Log, _stream: str, head: Head, _events: Sequence[Event], _at: str) -> Head:
    return head


def crowd(where: Place, ids: Sequence[str], **options: Any) -> tuple[float, list[float]]:
    """Let all writers decide their share at once; return decisions per second and latencies."""
    share = len(ids) // WRITERS
    parts = [ids[n * share : (n + 1) * share] for n in range(WRITERS)]
    runners = [Runner(decide, (part, *options.values())) for part in parts]
    latencies = [json.loads(output[0]) for output in race(where.url("airlock_decider"), runners, 1)]
    slowest = max(sum(times) for times in latencies)
    return share * WRITERS / slowest, [took for times in latencies for took in times]


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    with server() as postgres:
        few, many = place(postgres, FEW), place(postgres, OPEN + 4000)
        return [_throughput(many), _latency(few, many), _audit(place(postgres, 8_000))]


def _throughput(many: Place) -> dict[str, Any]:
    crowd(many, many.take(WRITERS * 5))  # warm
    per_second, latencies = crowd(many, many.take(WRITERS * 250))
    p99 = statistics.quantiles(latencies, n=100)[98] * 1000
    return {
        "name": f"decisions, {WRITERS} writers, {OPEN} open (peer: p99 in ms)",
        "unit": "1/s",
        "ours": round(per_second),
        "peer": round(p99, 1),
        "ratio": "-",
        "goal": ">= 200/s, p99 <= 100 ms",
        "met": per_second >= 200 and p99 <= 100,
        "n": len(latencies),
    }


def _latency(few: Place, many: Place) -> dict[str, Any]:
    took: dict[str, list[float]] = {"few": [], "many": []}
    stores = {"few": SqlStore(few.url(ROLES[0])), "many": SqlStore(many.url(ROLES[0]))}
    for turn in range(20):
        with psycopg.connect(few.server.dsn("postgres", few.name), autocommit=True) as admin:
            closing = "UPDATE release SET state = 'WITHDRAWN', level = 0 WHERE id <> %s"
            admin.execute(closing, (few.template,))
        for name, ids in (("few", few.more(FEW)), ("many", many.take(FEW))):
            seconds = json.loads(decide(stores[name], turn, ids))
            took[name] += seconds if turn else []
    ours, peer = (statistics.median(took[name]) * 1000 for name in ("many", "few"))
    return {
        "name": f"one decision, {OPEN} open (peer: {FEW} open)",
        "unit": "ms",
        "ours": round(ours, 2),
        "peer": round(peer, 2),
        "ratio": round(ours / peer, 2),
        "goal": "<= 1.5",
        "met": ours / peer <= 1.5,
        "n": len(took["many"]),
    }


def _audit(where: Place) -> dict[str, Any]:
    rates: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(REPEATS):
        for audited in rates:
            rates[audited].append(crowd(where, where.take(WRITERS * EACH), audited=audited)[0])
    ours, peer = statistics.median(rates[True]), statistics.median(rates[False])
    return {
        "name": f"decisions with the log, {WRITERS} writers (peer: without)",
        "unit": "1/s",
        "ours": round(ours),
        "peer": round(peer),
        "ratio": round(ours / peer, 2),
        "goal": ">= 0.8",
        "met": ours / peer >= 0.8,
        "n": REPEATS,
    }
