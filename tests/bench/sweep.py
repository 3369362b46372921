"""How long a sweep needs for 100,000 timers that are due, and for none.

Nine of ten remind, one of ten expires a release; all of it with events, states and messages. As
many timers again are open and not due, which an idle sweep must not read.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import psycopg

from airlock.adapters.sql_store import SqlStore
from airlock.services.approvals import deadlines
from tests.bench.decisions import ROLES, place, server

DUE = 100_000
IDLE = 50


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    with server() as postgres:
        where = place(postgres, DUE, log=False)
        with psycopg.connect(postgres.dsn("postgres", where.name), autocommit=True) as admin:
            late = "UPDATE timer SET due_at = '2026-01-01T00:00:00.000000000Z' WHERE kind = "
            number = "('x' || substr(release, 5))::bit(40)::bigint % 10"
            admin.execute(f"{late} 'remind' AND {number} > 0")
            admin.execute(f"{late} 'expire' AND {number} = 0")
            admin.execute("DELETE FROM timer WHERE kind = 'delivery'")
            admin.execute("VACUUM ANALYZE")
        store = SqlStore(where.url(ROLES[0]))
        begun = time.perf_counter()
        swept = deadlines.sweep(store)
        took = time.perf_counter() - begun
        idle = []
        for _ in range(IDLE):
            begun = time.perf_counter()
            deadlines.sweep(store)
            idle.append((time.perf_counter() - begun) * 1000)
    return [_full(swept, took), _idle(idle)]


def _full(swept: deadlines.Swept, took: float) -> dict[str, Any]:
    slowest = swept.slowest * 1000
    return {
        "name": f"sweep {swept.fired} due timers (peer: slowest transaction in ms)",
        "unit": "s",
        "ours": round(took, 1),
        "peer": round(slowest),
        "ratio": "-",
        "goal": "<= 30 s, no transaction over 250 ms",
        "met": swept.fired >= DUE - 1 and took <= 30 and slowest <= 250,
        "n": swept.batches,
    }


def _idle(took: list[float]) -> dict[str, Any]:
    middle = statistics.median(took)
    return {
        "name": f"sweep when nothing is due, {DUE} timers open (peer: slowest)",
        "unit": "ms",
        "ours": round(middle, 1),
        "peer": round(max(took), 1),
        "ratio": "-",
        "goal": "<= 10 ms",
        "met": middle <= 10,
        "n": len(took),
    }
