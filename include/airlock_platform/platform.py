"""One platform as an object: its options, its secrets, its processes, their health.

It knows what there is and how it is; bringing it up and down is `lifecycle.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from airlock.domain.errors import Unreachable
from airlock_platform.budget import ask_all
from airlock_platform.components import Component, components
from airlock_platform.databases import postgres
from airlock_platform.databases.server import SUPERUSER, Server, external_server
from airlock_platform.paths import Site
from airlock_platform.processes.health_checks import ask
from airlock_platform.processes.supervisor import State, Supervisor
from airlock_platform.secrets import Secrets

#: Seconds each process has to say how it is; its probe takes two thirds of them at most.
ASKED_S = 15.0


@dataclass(frozen=True)
class Options:
    """Where and how one platform is to run."""

    root: Path
    home: Path
    #: The folder with python, airflow, mlflow: `<venv>/bin`.
    programs: Path
    airflow_port: int = 8080
    mlflow_port: int = 5000
    postgres_port: int = 5433
    #: An external PostgreSQL server's administrator URL; then none is started.
    postgres_url: str = field(default="", repr=False)
    own_dags: tuple[str, ...] = ()
    #: Other places than `<root>/include` and `<home>/data`.
    config_dir: Path | None = None
    data_dir: Path | None = None
    #: Aliases that move by grants alone, by commas; empty means the guard's own list.
    protected_aliases: str = ""
    detector_revert: str = "off"
    #: How people's browsers reach Airflow; empty means this machine.
    public_url: str = ""
    mlflow_public_url: str = ""
    #: What is set of Slack, by variable, and who hears by e-mail when Slack takes no messages.
    slack: dict[str, str] = field(default_factory=dict, repr=False)
    alert_mail: str = ""
    #: What is set of the disk, by variable.
    disk: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Health:
    """How one process is."""

    name: str
    title: str
    state: str
    #: What is wrong; empty when it works.
    problem: str
    pid: int | None
    seconds: float
    memory_mb: float
    address: str
    log: str
    #: Whether its code has changed since it was started.
    old_code: bool = False

    @property
    def healthy(self) -> bool:
        """Return whether the process works."""
        return not self.problem


class Platform:
    """The platform of one checkout."""

    def __init__(self, options: Options) -> None:
        """Describe the platform; nothing is started or written."""
        self.options = options
        self.secrets = Secrets(options.home)
        self.supervisor = Supervisor(options.home)

    @property
    def service_file(self) -> Path:
        """Return the file with the number of airlock-service in Airflow."""
        return self.options.home / "service.json"

    @property
    def cluster(self) -> Path:
        """Return the data folder of the embedded PostgreSQL."""
        return self.options.home / "postgres"

    def server(self) -> Server:
        """Return the PostgreSQL server, embedded or external."""
        values = self.secrets.values()
        if self.options.postgres_url:
            return external_server(self.options.postgres_url, values)
        return Server("127.0.0.1", self.options.postgres_port, values)

    def site(self) -> Site:
        """Return the platform as its processes see it."""
        options = self.options
        return Site(
            root=str(options.root),
            home=str(options.home),
            config_dir=str(options.config_dir or options.root / "include"),
            data_dir=str(options.data_dir or options.home / "data"),
            urls=self.server().urls(),
            secrets=self.secrets.values(),
            airflow_port=options.airflow_port,
            mlflow_port=options.mlflow_port,
            own_dags=options.own_dags,
            mlflow_public_url=options.mlflow_public_url,
            public_url=options.public_url or f"http://localhost:{options.airflow_port}",
            slack=options.slack,
            disk=options.disk,
            alert_mail=options.alert_mail,
            service_user_id=self._service_user_id(),
            protected_aliases=options.protected_aliases,
            detector_revert=options.detector_revert,
        )

    def parts(self) -> tuple[Component, ...]:
        """Return every process in starting order."""
        own = () if self.options.postgres_url else (self.postgres(),)
        return (*own, *components(self.site()))

    def postgres(self) -> Component:
        """Return the embedded PostgreSQL as a process."""
        dsn = self.server().dsn(SUPERUSER)
        return postgres.component(self.cluster, self.options.postgres_port, dsn)

    def health(self) -> list[Health]:
        """Ask every process how it is.

        Raises:
            Unreachable: the supervisor does not answer, so nobody can tell.
        """
        states = self.supervisor.states() if self.supervisor.pid() else {}
        parts = self.parts()
        answers = ask_all(
            {part.name: partial(self._health, part, states.get(part.name)) for part in parts},
            ASKED_S,
        )
        return [
            answers[part.name].value or self._silent(part, answers[part.name].problem)
            for part in parts
        ]

    def check(self, part: Component, state: State | None) -> str:
        """Return the problem of *part*, or an empty string."""
        if state is None or not state.running:
            return f"it is not running ({state.state.lower() if state else 'stopped'})"
        if part.probe.kind == "process":
            return "" if state.state == "RUNNING" else "it is starting"
        return ask(part.probe.kind, part.probe.target, part.probe.expect)

    def _silent(self, part: Component, problem: str) -> Health:
        """Return the health of a process that could not be asked."""
        log = str(self.supervisor.log_file(part.name))
        return Health(part.name, part.title, "UNKNOWN", problem, None, 0.0, 0.0, part.address, log)

    def _health(self, part: Component, state: State | None) -> Health:
        pids = self.supervisor.processes(part.name)
        return Health(
            name=part.name,
            title=part.title,
            state=state.state if state else "STOPPED",
            problem=self.check(part, state),
            pid=pids.get("child"),
            seconds=state.seconds if state and state.running else 0.0,
            memory_mb=memory_mb(pids.get("wrapper")),
            address=part.address,
            log=str(self.supervisor.log_file(part.name)),
            old_code=bool(pids) and self.supervisor.runs_old_code(part, self.options.root),
        )

    def _service_user_id(self) -> str:
        try:
            return str(json.loads(self.service_file.read_text())["id"])
        except (OSError, ValueError, KeyError):
            return ""

    @contextlib.contextmanager
    def exclusive(self, seconds: float = 300) -> Iterator[None]:
        """Hold the platform's lock: one `up` or `down` at a time."""
        self.supervisor.run.mkdir(parents=True, exist_ok=True)
        with (self.supervisor.run / "lock").open("a+") as lock:
            deadline = time.monotonic() + seconds
            while not _locked(lock.fileno()):
                if time.monotonic() > deadline:
                    lock.seek(0)
                    raise Unreachable(
                        f"Another `airlock up` or `airlock down` (process {lock.read().strip()}) "
                        f"is at work in {self.options.home} for over {seconds:.0f} s.",
                        next_step="Wait for it, or end that process, then try again.",
                    )
                time.sleep(0.2)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def memory_mb(pid: int | None) -> float:
    """Return the memory of *pid* and everything below it; shared pages are counted once."""
    import psutil

    if not pid:
        return 0.0
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 1024**2
