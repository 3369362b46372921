"""How fast answers are through HTTP with a login: REST, two server processes, eight clients.

In it: uvicorn, the doorman, Airflow's own token and account check, validation, the whole deciding
transaction with a real key, and the release read again for the answer. Not in it: Airflow's own
middleware and its other routes, TLS, and the one login before, which gives the token.
"""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from airlock.adapters.keys.ed25519 import create
from airlock.adapters.sql_store import SqlStore
from airlock.services.queries import releases as release_queries
from airlock_platform.databases.postgres import free_port
from airlock_platform.databases.server import Server
from tests.bench.airflow_database import environment, provision
from tests.bench.decisions import ROLES, place, server
from tests.seeding import Runner, race
from tests.support import ROOT, short_folder

CLIENTS, SERVERS = 8, 2
OPEN = 10_000
EACH = 200
GOAL_RATE, GOAL_MS = 100, 200


def run() -> list[dict[str, Any]]:
    """Return one row."""
    folder = short_folder("http")
    try:
        with server() as postgres:
            create(folder / "signing.pem", folder / "keys")
            where = place(postgres, OPEN + 2 * CLIENTS * EACH)
            url = where.url(ROLES[0])
            with serving(folder, postgres, url) as (ports, token):
                crowd(url, ports, token, where.take(CLIENTS * 20))  # warm
                rate, took = crowd(url, ports, token, where.take(CLIENTS * EACH))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    p99 = statistics.quantiles(took, n=100)[98] * 1000
    return [
        {
            "name": f"answers through HTTP with login, {CLIENTS} clients, {SERVERS} servers, "
            f"{OPEN} open; Airflow's own middleware and TLS not in it (peer: p99 in ms)",
            "unit": "1/s",
            "ours": round(rate),
            "peer": round(p99, 1),
            "ratio": "-",
            "goal": f">= {GOAL_RATE}/s, p99 <= {GOAL_MS} ms",
            "met": rate >= GOAL_RATE and p99 <= GOAL_MS,
            "n": len(took),
        }
    ]


@contextmanager
def serving(folder: Path, postgres: Server, url: str) -> Iterator[tuple[list[int], str]]:
    """Run the servers; return their ports and the token lena's login gave."""
    password, ports = secrets.token_urlsafe(12), [free_port() for _ in range(SERVERS)]
    env = environment(folder, postgres)
    provision(folder, env, password)
    running = []
    for port in ports:
        command = [sys.executable, "-m", "tests.bench.http_server", url, str(folder), str(port)]
        with (folder / f"{port}.log").open("wb") as log:
            running.append(subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log))
    try:
        logs = [folder / f"{port}.log" for port in ports]
        tokens = [
            _login(*arguments)
            for arguments in zip(ports, [password] * SERVERS, running, logs, strict=True)
        ]
        yield ports, tokens[0]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def _login(port: int, password: str, process: subprocess.Popen[bytes], log: Path) -> str:
    body = {"username": "lena", "password": password}
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}/auth/token", json=body, timeout=30)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        answer.raise_for_status()
        return str(answer.json()["access_token"])
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")


def crowd(
    url: str, ports: Sequence[int], token: str, ids: Sequence[str]
) -> tuple[float, list[float]]:
    """Let all clients answer their share at once; return answers per second and latencies."""
    share = len(ids) // CLIENTS
    parts = [ids[n * share : (n + 1) * share] for n in range(CLIENTS)]
    runners = [
        Runner(answer, (part, ports[number % len(ports)], token))
        for number, part in enumerate(parts)
    ]
    latencies = [json.loads(output[0]) for output in race(url, runners, 1)]
    slowest = max(sum(times) for times in latencies)
    return share * CLIENTS / slowest, [took for times in latencies for took in times]


def answer(store: SqlStore, _round: int, ids: Sequence[str], port: int, token: str) -> str:
    """Approve each release with one connection; return how long each took, in seconds."""
    releases = [release_queries.outcome(store, release_id) for release_id in ids]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    took = []
    for release in releases:
        body = {
            "decision": "approve",
            "reason": "looked at the numbers",
            "level": release.level,
            "round": release.round,
            "subjectDigest": release.subject.digest,
        }
        begun = time.perf_counter()
        path = f"/airlock/api/v1/releases/{release.id}/votes"
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        took.append(time.perf_counter() - begun)
        if response.status != 201:
            raise RuntimeError(f"{response.status}: {content[:500]!r}")
    connection.close()
    return json.dumps(took)
