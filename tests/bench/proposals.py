"""How long a task waits from proposing something to the decider's answer, over PostgreSQL.

Peer: the bare insert such a task made itself before, with a connection of its own as a task has.
Both turn by turn in one run; the proposal is evidence of 20 kB.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from typing import Any

import psycopg

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.outbox.listening import PROPOSALS, Listener
from airlock.adapters.sql_store.proposals.submission import SqlProposals
from airlock.domain.digest import digest_json
from airlock.domain.evidence.proposals import Kind
from airlock.entrypoints.workers.proposal_loop import ProposalLoop
from airlock.services.proposals import Handling
from airlock.testing import World
from tests.bench.decisions import server

N = 200
ORIGIN = "credit/bench"
GOAL_MS = 300.0


def run() -> list[dict[str, Any]]:
    """Return the row."""
    with server() as postgres:
        upgrade(postgres.url("airlock_owner"))
        world = World(SqlStore(postgres.url("airlock_decider")))
        stop = threading.Event()
        handling = Handling(world.store, world.sources())
        loop = ProposalLoop(handling, Listener(postgres.url("airlock_decider"), PROPOSALS))
        thread = threading.Thread(target=loop.run, args=(stop,), daemon=True)
        thread.start()
        proposals = SqlProposals(postgres.url("airlock_worker"))
        pipeline, policy = digest_json(world.pipeline), world.rulebook.digest
        proposals.submit(Kind.RUN, ORIGIN, {"pipeline": pipeline, "policy": policy})
        ours, peer = [], []
        for number in range(N):
            facts = {"number": number, "padding": "x" * 20_000}
            ours.append(_timed(lambda f=facts: _propose(proposals, f)))
            peer.append(_timed(lambda f=facts: _insert(postgres.dsn("airlock_decider"), f)))
        stop.set()
        thread.join()
    return [_row(ours, peer)]


def _propose(proposals: SqlProposals, facts: dict[str, Any]) -> None:
    item = {"kind": "bench", "artifactDigest": "sha256:0", "facts": facts}
    proposals.submit(Kind.EVIDENCE, ORIGIN, {"evidence": [item]})


def _insert(dsn: str, facts: dict[str, Any]) -> None:
    body = json.dumps(facts).encode()
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO evidence VALUES (%s, %s)", (digest_json(facts), body))


def _timed(act: Any) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def _row(ours: list[float], peer: list[float]) -> dict[str, Any]:
    ours_95, peer_95 = (statistics.quantiles(times, n=20)[-1] for times in (ours, peer))
    middle = statistics.median(ours) / statistics.median(peer)
    return {
        "name": "propose evidence and hear the answer, p95 (peer: the bare insert)",
        "unit": "ms",
        "ours": round(ours_95, 1),
        "peer": round(peer_95, 1),
        "ratio": f"{middle:.1f} at the median",
        "goal": f"<= {GOAL_MS:.0f} ms",
        "met": ours_95 <= GOAL_MS,
        "n": len(ours),
    }
