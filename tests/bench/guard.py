"""What the guard costs: the guarded MLflow server against the stock one, turn by turn in one run.

Both are whole servers with one worker, asked over one kept connection each, on the same kind of
database. Ours logs a person in by a signed token; the peer asks nobody who they are.

* read: the version behind the alias `champion`; ours checks the signed release behind it.
* move: the alias goes to the other version; ours takes a new grant first, hashes the files and
  spends the grant. The decider's signature and its permit on PostgreSQL are made beforehand.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import requests
from mlflow import MlflowClient

from airlock_platform.databases.postgres import ephemeral_postgres
from airlock_platform.databases.server import Server
from tests.attack.guard_kit import Site, guarded
from tests.attack.guard_server import stock
from tests.attack.guard_sites import on_postgres
from tests.support import short_folder

MODEL, ALIAS = "bench", "/api/2.0/mlflow/registered-models/alias"
READS, MOVES, WARM_UP = 200, 40, 10
#: Ours may take so many times as long as the stock server.
READ_GOAL, MOVE_GOAL = 1.5, 4.0
Ask = Callable[..., requests.Response]


def run() -> list[dict[str, Any]]:
    """Return two rows for each database."""
    rows = []
    for database in ("SQLite", "PostgreSQL"):
        with sites(database) as (site, peer):
            versions = [site.candidate(MODEL), site.candidate(MODEL, b"second")]
            ours = logged_in(site)
            plain = registered(peer)
            rows += [
                row(
                    f"read of a protected alias on {database}", *reads(site, ours, plain, versions)
                ),
                row(
                    f"move of a protected alias on {database}", *moves(site, ours, plain, versions)
                ),
            ]
    return rows


@contextlib.contextmanager
def sites(database: str) -> Iterator[tuple[Site, str]]:
    """Run a guarded server and a stock one; return both."""
    folder = short_folder("guard-bench")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("ours", "peer"):
            (folder / name).mkdir(mode=0o755)
        options: dict[str, Any] = {}
        address = f"sqlite:///{folder}/peer/mlflow.db"
        if database == "PostgreSQL":
            server = stack.enter_context(ephemeral_postgres(folder, durable=True))
            options, address = on_postgres(server), second_database(server)
        site = stack.enter_context(guarded(folder / "ours", **options))
        yield site, stack.enter_context(stock(folder / "peer", address))


def second_database(server: Server) -> str:
    """Create a database for the stock server beside the guarded one's and return its address."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE stock OWNER mlflow_owner")
    return server.url("mlflow_owner", "stock")


def logged_in(site: Site) -> Ask:
    """Return how to ask the guarded server over one connection."""
    session = requests.Session()
    session.auth = ("ana", site.token("ana"))
    return lambda method, path, **more: session.request(method, f"{site.url}{path}", **more)


def registered(url: str) -> Ask:
    """Register a model with two versions at the stock server; return how to ask it."""
    client = MlflowClient(tracking_uri=url, registry_uri=url)
    client.create_registered_model(MODEL)
    for _ in range(2):
        logged = client.create_logged_model("0").model_id
        client.create_model_version(MODEL, f"models:/{logged}", model_id=logged)
    session = requests.Session()
    return lambda method, path, **more: session.request(method, f"{url}{path}", **more)


def reads(
    site: Site, ours: Ask, plain: Ask, versions: list[str]
) -> tuple[list[float], list[float], float]:
    """Read the alias turn by turn."""
    site.release(MODEL, versions[0])
    plain("POST", ALIAS, json={"name": MODEL, "alias": "champion", "version": "1"})
    query = {"name": MODEL, "alias": "champion"}
    our_times, peer_times = [], []
    for _ in range(WARM_UP + READS):
        our_times.append(timed(ours, "GET", ALIAS, params=query))
        peer_times.append(timed(plain, "GET", ALIAS, params=query))
    return our_times[WARM_UP:], peer_times[WARM_UP:], READ_GOAL


def moves(
    site: Site, ours: Ask, plain: Ask, versions: list[str]
) -> tuple[list[float], list[float], float]:
    """Move the alias to the other version turn by turn."""
    our_times, peer_times = [], []
    for number in range(WARM_UP + MOVES):
        turn = (number + 1) % 2
        grant = site.grant(MODEL, versions[turn])
        if site.permits:
            site.permits(grant)
        sealed = {"envelope": site.envelope(grant)}
        sent = {"name": MODEL, "alias": "champion"}

        our_times.append(timed(governed, ours, sealed, sent | {"version": grant.version}))
        site.moved(grant)
        peer_times.append(timed(plain, "POST", ALIAS, json=sent | {"version": str(turn + 1)}))
    return our_times[WARM_UP:], peer_times[WARM_UP:], MOVE_GOAL


def governed(ask: Ask, sealed: dict[str, str], sent: dict[str, str]) -> requests.Response:
    """Hand in a grant, then move the alias as any MLflow client does."""
    ask("POST", "/airlock/grants", json=sealed).raise_for_status()
    return ask("POST", ALIAS, json=sent)


def timed(ask: Ask, *arguments: Any, **more: Any) -> float:
    """Return the milliseconds of something that has to succeed."""
    begun = time.perf_counter()
    ask(*arguments, **more).raise_for_status()
    return (time.perf_counter() - begun) * 1000


def row(name: str, our_times: list[float], peer_times: list[float], goal: float) -> dict[str, Any]:
    """Return what was measured, by the medians."""
    ours, peer = statistics.median(our_times), statistics.median(peer_times)
    return {
        "name": f"{name} (peer: the stock server)",
        "unit": "ms",
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "ratio": round(ours / peer, 2),
        "goal": f"ratio at most {goal:g}",
        "met": ours / peer <= goal,
        "n": len(our_times),
    }
