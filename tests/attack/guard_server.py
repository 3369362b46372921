"""The processes of the attack suite: a guarded MLflow server, and a stock one to compare with."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support import ROOT, short_folder

#: Where the one proxy that is believed speaks from: another address of this machine.
PROXY = "127.0.0.2"
WORKER, SECRET = "airlock-worker", "a-secret-of-the-worker"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, database: str, destination: str) -> dict[str, str]:
    """What a guarded server is told."""
    ours = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    path = os.pathsep.join([str(ROOT / "include"), os.environ.get("PYTHONPATH", "")])
    return ours | {
        "PYTHONPATH": path,
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_ARTIFACTS_DESTINATION": destination,
        "AIRLOCK_TRUSTED_KEYS": str(folder / "keys"),
        "AIRLOCK_MLFLOW_ACCOUNTS": f"{WORKER}:{SECRET}",
        "AIRLOCK_MLFLOW_PROXIES": PROXY,
        "FORWARDED_ALLOW_IPS": "",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def command(port: int) -> list[str]:
    """How a guarded server is started."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "airlock"),
        *("--registry-store-uri", "airlock://backend", "--serve-artifacts", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def migrate(told: Mapping[str, str], *roles: str) -> None:
    argv = [sys.executable, "-m", "airlock_mlflow.schema", *roles]
    done = subprocess.run(argv, env=dict(told), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@functools.cache
def empty_database() -> Path:
    """Create an SQLite database with all tables once; it is copied for each server."""
    folder = short_folder("empty")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    migrate(environment(folder, f"sqlite:///{folder}/mlflow.db", "airlock+file:///x"))
    return folder / "mlflow.db"


@contextlib.contextmanager
def serving(
    told: Mapping[str, str], port: int, log: Path, argv: Sequence[str] = (), health: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one server process group until the block ends; a guarded one unless told otherwise."""
    with log.open("ab") as stream:
        server = subprocess.Popen(
            argv or command(port),
            cwd=log.parent,
            env=dict(told),
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        wait_healthy(f"http://127.0.0.1:{port}{health or '/airlock/health'}", server, log)
        yield server
    finally:
        if server.poll() is None:  # otherwise its number may be somebody else's by now
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_healthy(url: str, server: subprocess.Popen[bytes], log: Path, seconds: int = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        assert server.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@contextlib.contextmanager
def stock(folder: Path, database: str) -> Iterator[str]:
    """Run MLflow's own server without any guard; return its address."""
    told = environment(folder, database, str(folder / "artifacts"))
    port = free_port()
    argv = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts", "--workers", "1"]
    argv += ["--host", "127.0.0.1", "--port", str(port)]
    with serving(told, port, folder / "mlflow.log", argv, "/health"):
        yield f"http://127.0.0.1:{port}"
