"""docker-compose.yml as running containers: made by podman-compose, started and asked by us.

podman 4.3 waits for no health by itself and needs systemd to ask at all, so the order and the
health checks of the file are carried out here: as the file says them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.compose.machine import FOLDER, compose_program, podman, run
from tests.support import ROOT

PROJECT = "airlocktest"
AIRFLOW_PORT, MLFLOW_PORT = "18180", "15180"
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
RUNNING = [name for name, service in SERVICES.items() if "profiles" not in service]
JOBS = [name for name in RUNNING if name.startswith("init-")]
_PATIENCE = 1200.0


class Containers:
    """The containers of one platform, with its secrets in *secrets*."""

    def __init__(self, secrets: Path) -> None:
        self.secrets = secrets

    def create(self) -> None:
        """Make every container, network and volume; start none."""
        self._compose("up", "--no-start", "--no-build", "--no-deps", *RUNNING)

    def start(self) -> None:
        """Start everything in the order of `depends_on`; end with a sentence if a thing is ill."""
        started: set[str] = set()
        while waiting := [name for name in RUNNING if name not in started]:
            ready = [name for name in waiting if self._needs(name) <= started]
            for name in ready:
                podman("start", self.name(name))
            for name in ready:
                self._await(name)
            started.update(ready)

    def _needs(self, name: str) -> set[str]:
        return set(SERVICES[name].get("depends_on", {}))

    def _await(self, name: str) -> None:
        """Wait until a service is healthy, or a job has ended well."""
        deadline, begun = time.monotonic() + _PATIENCE, time.monotonic()
        while not self._is_well(name):
            if time.monotonic() > deadline:
                sys.stderr.write(f"{name} is not well:\n{self.log(name)}\n")
                raise SystemExit(1)
            time.sleep(2)
        print(f"    {name}: {time.monotonic() - begun:.0f} s", flush=True)

    def _is_well(self, name: str) -> bool:
        state = json.loads(podman("inspect", self.name(name)))[0]["State"]
        if name in JOBS and state["Status"] == "exited" and state["ExitCode"]:
            sys.stderr.write(f"{name} ended with {state['ExitCode']}:\n{self.log(name)}\n")
            raise SystemExit(1)
        if name in JOBS:
            return bool(state["Status"] == "exited" and state["ExitCode"] == 0)
        if "healthcheck" not in SERVICES[name]:
            return bool(state["Running"])
        done = subprocess.run(
            ["podman", "healthcheck", "run", self.name(name)], capture_output=True, timeout=120
        )
        return done.returncode == 0

    def once(self, service: str, *command: str) -> None:
        """Run one command in a container of its own."""
        self._compose("--profile", service, "run", "--rm", "--no-deps", "-T", service, *command)

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self._compose("down", "--volumes", "--timeout", "5", check=False)
        shutil.rmtree(self.secrets, ignore_errors=True)

    def log(self, name: str, lines: int = 40) -> str:
        """Return the end of a container's log."""
        done = subprocess.run(
            ["podman", "logs", "--tail", str(lines), self.name(name)],
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout + done.stderr

    @staticmethod
    def name(service: str) -> str:
        """Return podman's name of a service's container."""
        return f"{PROJECT}_{service}_1"

    def processes(self, service: str) -> Iterator[Path]:
        """Yield /proc/PID of every process of a container, as this machine sees it."""
        pid = json.loads(podman("inspect", self.name(service)))[0]["State"]["Pid"]
        space = Path(f"/proc/{pid}/ns/pid").readlink()
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if (place / "ns/pid").readlink() == space:
                    yield place
            except OSError:
                continue

    def python(self, service: str, code: str) -> str:
        """Run Python inside a container and return what it printed."""
        return podman("exec", self.name(service), "python", "-c", code)

    def _compose(self, *command: str, check: bool = True) -> None:
        run(
            str(compose_program()), "-p", PROJECT, *command, check=check,
            AIRLOCK_SECRETS=str(self.secrets), AIRLOCK_AIRFLOW_PORT=AIRFLOW_PORT,
            AIRLOCK_MLFLOW_PORT=MLFLOW_PORT,
            CONTAINERS_CONF=str(FOLDER / "containers.conf"),
        )  # fmt: skip
