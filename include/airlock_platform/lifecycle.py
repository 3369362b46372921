"""Bring a platform up and down, step by step. Doing either twice is harmless.

Independent steps run at the same time. A step that fails raises one sentence with the end of
the log it concerns; the steps beside it stop waiting. What runs already, as planned, is left
alone, so that `up` also repairs: it starts what is missing and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Protocol

from airlock.domain.errors import Refused, Unreachable
from airlock_platform import guard, preflight
from airlock_platform.components import Component, airflow_environment
from airlock_platform.databases import postgres
from airlock_platform.databases.preparation import prepare
from airlock_platform.databases.server import SUPERUSER
from airlock_platform.people import Entry
from airlock_platform.platform import Platform
from airlock_platform.processes import process_group
from airlock_platform.processes.supervisor import Supervisor, base_environment
from airlock_platform.saved import load, save
from airlock_platform.secrets import provision_document, write_private

#: Seconds a process gets until its probe says yes; a loaded machine needs half of it.
HEALTHY_SECONDS = 240.0
_STOP_ORDER = (
    ("deliver", "slack", "scheduler", "triggerer", "dag-processor"),
    ("api-server",),
    ("mlflow",),
    ("postgres",),
)


class Progress(Protocol):
    """Where the steps are shown."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Show one step while the block runs."""


class Launch:
    """One attempt to bring a platform up."""

    def __init__(
        self,
        platform: Platform,
        progress: Progress,
        migrate: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Use *migrate* for Airlock's own tables; it gets the owner's URL.

        *environment*: that of the command, of which the settings are written down.
        """
        self._environment = environment or {}
        self._platform = platform
        self._supervisor = platform.supervisor
        self._options = platform.options
        self._progress = progress
        self._migrate = migrate
        self._abort = threading.Event()

    def up(self, people: Iterable[Entry] = ()) -> None:
        """Bring everything up that is not up; make accounts for *people* beside the operator."""
        os.umask(process_group.PRIVATE)
        with self._progress.step("Check the machine"):
            preflight.check_machine(self._options.home, self._options.programs)
            preflight.prepare_home(self._options.home)
            preflight.close_home(self._options.home, self._platform.cluster)
        with self._platform.exclusive():
            with self._progress.step("Secrets and keys"):
                self._platform.secrets.create()
                added = self._platform.secrets.add_people(people)
                self._end_where_it_was()
                save(self._platform, self._environment)
            if not self._all_well():
                self._start_everything()
                save(self._platform, self._environment)  # the service account has its number now
            elif added:
                self._provision()

    def _end_where_it_was(self) -> None:
        """End what still runs of a platform whose folder was moved: its paths are all wrong."""
        before = load(self._options.home)
        if before is not None and before.home != str(self._options.home):
            self._supervisor.shut_down()
            process_group.kill_all(lambda: process_group.marked(before.home))

    def _all_well(self) -> bool:
        """Return whether everything runs as planned and works."""
        if not self._supervisor.pid() or not self._supervisor.knows(self._platform.parts()):
            return False
        unchanged = all(
            self._supervisor.is_current(part, self._options.programs, self._options.root)
            for part in self._platform.parts()
        )
        return unchanged and all(row.healthy for row in self._platform.health())

    def _start_everything(self) -> None:
        with self._progress.step("Supervisor"):
            self._start_supervisor()
        if not self._options.postgres_url:
            with self._progress.step("PostgreSQL"):
                self._start_postgres()
        with self._progress.step("Databases and roles"):
            prepare(self._platform.server())
        with self._interruptible(), ThreadPoolExecutor() as pool:
            mlflow = pool.submit(self._guard, self._start_mlflow)
            _results(
                [
                    pool.submit(self._guard, self._provision),
                    pool.submit(self._guard, self._migrate_airlock),
                ]
            )
            names = [part.name for part in self._platform.parts()]
            rest = [name for name in names if name not in ("postgres", "mlflow")]
            jobs = [pool.submit(self._guard, self._start, name) for name in rest]
            _results([mlflow, *jobs])
        with self._progress.step("Ask every process once more"):
            self._await_all_healthy()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let Ctrl-C end the waiting for all steps at once."""
        handler = signal.getsignal(signal.SIGINT)

        def end(number: int, frame: FrameType | None) -> None:
            self._abort.set()
            raise KeyboardInterrupt

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)

    def _guard(self, job: Callable[..., None], *arguments: str) -> None:
        try:
            job(*arguments)
        except BaseException:
            self._abort.set()
            raise

    def _start_supervisor(self) -> None:
        parts = self._platform.parts()
        if self._supervisor.pid():
            if self._supervisor.knows(parts):
                preflight.check_ports(part for part in parts if not self._runs(part.name))
                return
            self._supervisor.shut_down()
        self._supervisor.sweep()
        preflight.check_ports(parts)
        self._supervisor.start(parts, self._options.programs, self._options.root)

    def _runs(self, name: str) -> bool:
        return bool(self._supervisor.processes(name))

    def _start_postgres(self) -> None:
        password = self._platform.server().passwords[SUPERUSER]
        if postgres.initialise(self._platform.cluster, password):
            self._stamp_file.unlink(missing_ok=True)
        part = self._platform.postgres()
        self._supervisor.ensure(part, self._options.programs, self._options.root)
        self._await_healthy(part)

    def _start(self, name: str) -> None:
        part = next(part for part in self._platform.parts() if part.name == name)
        with self._progress.step(part.title.partition(",")[0]):
            self._supervisor.ensure(part, self._options.programs, self._options.root)
            self._await_healthy(part)

    def _start_mlflow(self) -> None:
        with self._progress.step("MLflow's tables and its guard's"):
            guard.migrate(
                self._platform.server(),
                self._options.programs / "python",
                self._options.root / "include",
                self._options.protected_aliases,
                base_environment(self._options.programs),
            )
        self._start("mlflow")

    def _await_healthy(self, part: Component) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        pids: set[int] = set()
        while True:
            state = self._supervisor.states()[part.name]
            pids |= {state.pid} - {0}
            problem = self._platform.check(part, state)
            if not problem:
                return
            if state.state == "FATAL" or len(pids) > 3:
                raise self._failed(part, "ends as soon as it starts")
            if time.monotonic() > deadline:
                raise self._failed(part, f"is not healthy after {HEALTHY_SECONDS:.0f} s: {problem}")
            if self._abort.wait(0.25):
                raise Unreachable(f"{part.title} was not waited for: another step failed.")

    def _await_all_healthy(self) -> None:
        """Wait until all work at once: one that was well may have gone short while others started.

        Raises:
            Refused: one still is not, with the end of its log.
        """
        deadline = time.monotonic() + HEALTHY_SECONDS
        while problems := [row for row in self._platform.health() if not row.healthy]:
            first = problems[0]
            if time.monotonic() > deadline:
                part = next(part for part in self._platform.parts() if part.name == first.name)
                raise self._failed(part, f"was healthy and no longer is: {first.problem}")
            self._abort.wait(1)

    def _failed(self, part: Component, problem: str) -> Refused:
        log = self._supervisor.log_file(part.name)
        return Refused(
            f"{part.title} ({part.name}) {problem}. Its log ends:\n{tail(log)}",
            next_step=f"Read {log}, mend the cause, then run `airlock up` again.",
        )

    # -- Airlock's own tables, Airflow's tables, roles and users ------------------------------

    def _migrate_airlock(self) -> None:
        with self._progress.step("Airlock's tables"):
            self._migrate(self._platform.server().url("airlock_owner"))

    @property
    def _stamp_file(self) -> Path:
        return self._options.home / "provisioned.sha256"

    def _provision(self) -> None:
        with self._progress.step("Airflow's tables, roles and users"):
            secrets = self._platform.secrets
            document = provision_document(secrets.users(), secrets.service_password())
            document["output"] = str(self._platform.service_file)
            text = json.dumps(document)
            stamp = _stamp(text)
            unchanged = self._stamp_file.exists() and self._stamp_file.read_text() == stamp
            if (
                unchanged
                and self._platform.service_file.exists()
                and not self._options.postgres_url
            ):
                return
            self._run_provision(text)
            self._stamp_file.write_text(stamp)

    def _run_provision(self, text: str) -> None:
        file = self._options.home / "secrets" / "provision.json"
        log = self._options.home / "logs" / "provision.log"
        write_private(file, text)
        environment = airflow_environment(self._platform.site())
        environment["PYTHONPATH"] = f"{self._options.root}/include:{self._options.root}/plugins"
        with log.open("wb") as stream:
            completed = subprocess.run(
                [self._options.programs / "python", "-m", "airlock_airflow.provision", file],
                cwd=self._options.root,
                env=base_environment(self._options.programs) | environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                check=False,
            )
        file.unlink()
        if completed.returncode:
            raise Refused(
                f"Airflow's tables or users could not be created. The log ends:\n{tail(log)}",
                next_step=f"Read {log}, mend the cause, then run `airlock up` again.",
            )


def down(platform: Platform, progress: Progress) -> bool:
    """Stop everything and leave no process behind; return whether anything was running."""
    if not platform.options.home.exists():
        return False
    with platform.exclusive():
        supervisor = platform.supervisor
        running = _pid_or_none(supervisor) is not None
        if running:
            states = supervisor.states()
            for wave in _STOP_ORDER:
                names = [name for name in wave if name in states]
                with progress.step(f"Stop {', '.join(names)}") if names else nullcontext():
                    supervisor.stop(names)
        with progress.step("Stop the supervisor and look for leftovers"):
            supervisor.shut_down()
        return running


def _pid_or_none(supervisor: Supervisor) -> int | None:
    try:
        return supervisor.pid()
    except Unreachable:
        return None


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log, indented."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 8000))
            text = stream.read().decode(errors="replace")
    except OSError:
        return "    (there is no log yet)"
    return "\n".join(f"    {line[:300]}" for line in text.splitlines()[-lines:])


def _stamp(text: str) -> str:
    versions = [
        importlib.metadata.version(name)
        for name in ("apache-airflow", "apache-airflow-providers-fab")
    ]
    return hashlib.sha256("\n".join([text, *versions]).encode()).hexdigest()


def _results(futures: Iterable[Future[None]]) -> None:
    """Wait for all; raise the first real failure, not one that only followed from it."""
    errors = [error for future in list(futures) if (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, Unreachable)):
        raise error
