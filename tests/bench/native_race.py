"""Approve and Reject at once: how often both are told yes, by us and by Airflow's own approval.

The same race on the same PostgreSQL, one after the other: two people, two threads that start each
round together. Ours is `deciding.vote`, Airflow's the function of its route; neither with HTTP.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.release import Decision, Release
from airlock.domain.errors import Conflict
from airlock.domain.people.actors import Actor, Channel
from airlock.services.approvals import decide
from airlock.services.queries import releases as release_queries
from airlock.testing import FakeKeys, World
from airlock_platform.databases.server import Server
from tests.bench.airflow_database import environment
from tests.bench.decisions import ROLES, place, server
from tests.support import short_folder

ROUNDS = 200
ANSWERS = {"lena": Decision.APPROVE, "luis": Decision.REJECT}


def run() -> list[dict[str, Any]]:
    """Return one row."""
    folder = short_folder("race")
    try:
        with server() as postgres:
            peer = native(folder, postgres)
            ours = race(postgres)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    both = sum(all(pair) for pair in ours)
    one_winner = all(sum(pair) == 1 for pair in ours)
    contested = all(any(pair[side] for pair in ours) for side in (0, 1))
    return [
        {
            "name": f"Approve and Reject at once, {ROUNDS} times: both told yes (peer: Airflow's "
            "own approval; both at function level, without HTTP)",
            "unit": "times",
            "ours": both,
            "peer": sum(all(pair) for pair in peer),
            "ratio": "-",
            "goal": "0, one winner always, both sides win some",
            "met": one_winner and contested,
            "n": ROUNDS,
        }
    ]


def native(folder: Path, postgres: Server) -> list[list[bool]]:
    """Return who was told yes by Airflow, on tables of its own migrations."""
    env = environment(folder, postgres)
    migrate = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
    answers = [sys.executable, "-m", "tests.bench.native_answers", str(ROUNDS)]
    for command in (migrate, answers):
        process = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
        if process.returncode:
            raise RuntimeError(f"{command[1:]} failed: {process.stderr[-2000:]}")
    results: list[list[bool]] = json.loads(process.stdout.strip().splitlines()[-1])
    return results


def race(postgres: Server) -> list[list[bool]]:
    """Return who was told yes by Airlock."""
    where = place(postgres, ROUNDS)
    store = SqlStore(where.url(ROLES[0]))
    releases = [release_queries.outcome(store, release_id) for release_id in where.take(ROUNDS)]
    barrier = threading.Barrier(len(ANSWERS))
    results: dict[str, list[bool]] = {name: [] for name in ANSWERS}

    def act(name: str, decision: Decision) -> None:
        for release in releases:
            barrier.wait(60)
            results[name].append(_answer(store, release, name, decision))

    threads = [threading.Thread(target=act, args=pair) for pair in ANSWERS.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    return [list(pair) for pair in zip(*results.values(), strict=True)]


def _answer(store: SqlStore, release: Release, name: str, decision: Decision) -> bool:
    actor = Actor(name, name.title(), frozenset({"algorithm_lead"}), Channel.API)
    ballot = World.ballot_of(release, decision)
    try:
        decide.vote(store, FakeKeys(), release.id, ballot, actor)
    except Conflict:
        return False
    return True
