"""Airlock's app behind uvicorn for a benchmark: `python -m tests.bench.http_server URL KEYS PORT`.

What Airflow's API server would mount is mounted here: the doorman, the same `identify` as in
Airflow (the token's signature and revocation checked, account and roles read from Airflow's
database at every request), the routes, a decider's database role and an Ed25519 key. Airflow's
login is at /auth. Airflow's own middleware and routes, its workers and TLS are not here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from airflow.api_fastapi.app import init_auth_manager
from fastapi import FastAPI

from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.policy import Rulebook
from airlock.entrypoints.http.app import create_app
from airlock.testing import RULEBOOK
from airlock_airflow.identity import identify


@dataclass
class Served:
    """What the app works with; the rule book is the one of the benchmark's releases."""

    store: SqlStore
    keyring: FileKeyring
    signer: FileSigner
    rulebook: Rulebook
    places: tuple[Any, ...] = ()
    witnesses: Any = None
    slack: Any = None


def main(url: str, keys: str, port: str) -> None:
    """Serve until stopped."""
    folder = Path(keys)
    served = Served(
        store=SqlStore(url),
        keyring=FileKeyring(folder / "keys"),
        signer=FileSigner(folder / "signing.pem"),
        rulebook=Rulebook.from_document(RULEBOOK),
        witnesses={},
    )
    app = FastAPI()
    init_auth_manager(app)
    app.mount("/airlock", create_app(served, identify))
    uvicorn.run(app, port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
