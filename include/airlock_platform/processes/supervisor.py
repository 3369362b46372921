"""The kept supervisor library (`supervisord`): start, stop and ask, for one platform.

Nothing starts by itself: `lifecycle.py` says when. Each program runs under `process_group.py`,
reads its command and environment from a private plan file, and is restarted when it dies. If the
supervisor itself is killed, the sessions stop their programs; what is left even then is found
by the mark in its environment or by its recorded process id, and killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock.domain.errors import Unreachable
from airlock_platform.components import Component
from airlock_platform.processes import process_group, stale_processes
from airlock_platform.secrets import private_folder, write_private

#: The kernel's limit for the path of a Unix socket, without the closing zero.
_SOCKET_PATH_LIMIT = 100
#: `supervisord` as a full disk does not end it.
_PROGRAM = str(Path(__file__).with_name("supervising.py"))
#: Where the code of the platform's own processes is, below the root.
_CODE_FOLDERS = (
    "include/airlock",
    "include/airlock_mlflow",
    "include/airlock_evidence",
    "include/airlock_platform",
    "plugins",
)
#: A program that ends earlier than this many seconds counts as not started.
START_SECONDS = 10
#: A program that ends too soon is started again, each time a second later; it is never given up.
FOR_EVER = 1_000_000


@dataclass(frozen=True)
class State:
    """What the supervisor knows about one program."""

    name: str
    state: str
    seconds: float
    pid: int

    @property
    def running(self) -> bool:
        """Return whether the program is there at this moment."""
        return self.state in ("STARTING", "RUNNING")

    @property
    def dead(self) -> bool:
        """Return whether the program ended although it should run."""
        return self.state in ("BACKOFF", "EXITED", "FATAL", "UNKNOWN")


class Supervisor:
    """The supervisor of the platform in *home*."""

    def __init__(self, home: Path) -> None:
        """Use `<home>/run`, `<home>/logs` and `<home>/supervisord.conf`."""
        self.home = home
        self.run = home / "run"
        self.logs = home / "logs"
        self.config = home / "supervisord.conf"
        self.socket = _socket_path(home)

    # -- the supervisor itself -------------------------------------------------------------

    def pid(self) -> int | None:
        """Return its process id, or None when it does not run.

        Raises:
            Unreachable: it is there but does not answer.
        """
        if not self.socket.exists():
            return None
        try:
            with self._rpc(seconds=5) as rpc:
                return int(rpc.getPID())
        except (ConnectionRefusedError, ConnectionResetError, FileNotFoundError):
            return None  # not there, or ending at this moment
        except OSError as error:
            raise Unreachable(
                f"The supervisor at {self.socket} does not answer ({error}).",
                next_step=f"Look at {self.logs / 'supervisord.log'}, then run `airlock down`.",
            ) from error

    def start(self, parts: Iterable[Component], programs: Path, root: Path) -> None:
        """Start the supervisor with *parts* known and none of them running."""
        self.sweep()
        for folder in (self.run, self.run / "plans", self.run / "pids", self.socket.parent):
            private_folder(folder)
        self.logs.mkdir(parents=True, exist_ok=True)
        write_private(self.config, self._render(parts))
        with (self.logs / "supervisord.log").open("ab") as log:
            process = subprocess.Popen(
                [str(programs / "python"), "-I", _PROGRAM, "-n", "-c", str(self.config)],
                cwd=root,
                env=base_environment(programs),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                umask=process_group.PRIVATE,
            )
        process_group.record(self.run / "supervisord.json", {"supervisor": process.pid})
        self._await_socket()

    def _await_socket(self) -> None:
        deadline = time.monotonic() + 15
        while self.pid() is None:
            if time.monotonic() > deadline:
                raise Unreachable(
                    "The supervisor did not start within 15 s.",
                    next_step=f"Look at {self.logs / 'supervisord.log'}.",
                )
            time.sleep(0.05)

    def shut_down(self) -> None:
        """End the supervisor and whatever is left; safe to repeat."""
        with contextlib.suppress(Unreachable, OSError):
            pid = self.pid()
            if pid:
                with self._rpc() as rpc:
                    rpc.shutdown()
                stale_processes.await_end(pid, 60)
        self.sweep()

    def sweep(self) -> None:
        """Kill what an earlier platform in this home left behind, and its stale files."""
        records = [self.run / "supervisord.json", *sorted((self.run / "pids").glob("*.json"))]
        stale_processes.kill_recorded(records)
        if not process_group.kill_all(lambda: process_group.marked(str(self.home))):
            raise Unreachable(
                f"Processes of an earlier platform in {self.home} do not end: "
                f"{process_group.marked(str(self.home))}.",
                next_step="End them by hand, then run the command again.",
            )
        for record in records:
            record.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self.run:
            with contextlib.suppress(OSError):
                self.socket.parent.rmdir()

    # -- its programs ----------------------------------------------------------------------

    def states(self) -> dict[str, State]:
        """Return the state of every program."""
        with self._rpc() as rpc:
            processes = rpc.getAllProcessInfo()
        return {
            info["name"]: State(
                name=info["name"],
                state=info["statename"],
                seconds=max(0.0, info["now"] - info["start"]) if info["start"] else 0.0,
                pid=info["pid"],
            )
            for info in processes
        }

    def knows(self, parts: Iterable[Component]) -> bool:
        """Return whether the running supervisor was started for exactly these programs."""
        return set(self.states()) == {part.name for part in parts}

    def is_current(self, part: Component, programs: Path, root: Path) -> bool:
        """Return whether *part* was last started with today's command, environment and code."""
        file = self.run / "plans" / f"{part.name}.json"
        planned = file.exists() and file.read_text() == self._plan(part, programs, root)
        return planned and not self.runs_old_code(part, root)

    def runs_old_code(self, part: Component, root: Path) -> bool:
        """Return whether the code *part* was started with has changed since."""
        try:
            started_with = (self.run / "pids" / f"{part.name}.code").read_text()
        except OSError:
            return False  # it never ran, or is just being started
        return started_with != process_group.code_digest(_code(part, root))

    def ensure(self, part: Component, programs: Path, root: Path) -> bool:
        """Start *part* unless it runs as planned; return whether anything was done.

        A program whose command, environment or code has changed since is restarted.
        """
        running = self.states()[part.name].running
        if running and self.is_current(part, programs, root):
            return False
        file = self.run / "plans" / f"{part.name}.json"
        write_private(file, self._plan(part, programs, root))
        with self._rpc() as rpc:
            if running:
                rpc.stopProcess(part.name, True)
            (self.run / "pids" / f"{part.name}.code").unlink(missing_ok=True)
            rpc.startProcess(part.name, False)
        return True

    def stop(self, names: Iterable[str], seconds: float = 60) -> None:
        """Stop programs, all at once, and wait for them."""
        states = self.states()
        waiting = {name for name in names if name in states and states[name].running}
        with self._rpc() as rpc:
            for name in waiting:
                rpc.stopProcess(name, False)
        deadline = time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            time.sleep(0.1)
            states = self.states()
            waiting = {name for name in waiting if states[name].pid}

    def log_file(self, name: str) -> Path:
        """Return the file with a program's output."""
        return self.logs / f"{name}.log"

    def processes(self, name: str) -> dict[str, int]:
        """Return the live process ids of a program: its wrapper and its child."""
        record = stale_processes.read_record(self.run / "pids" / f"{name}.json")
        return {
            role: entry["pid"] for role, entry in record.items() if stale_processes.is_same(entry)
        }

    def _plan(self, part: Component, programs: Path, root: Path) -> str:
        tool = programs / part.command[0]
        command = [str(tool) if tool.exists() else part.command[0], *part.command[1:]]
        plan = {
            "command": command,
            "environment": base_environment(programs) | part.environment,
            "directory": "/" if part.user else str(root),
            "user": part.user,
            "stop_signal": part.stop_signal,
            "grace": part.grace,
            "mark": f"{self.home}#{part.name}",
            "record": str(self.run / "pids" / f"{part.name}.json"),
            "code": _code(part, root),
        }
        return json.dumps(plan, indent=1)

    def _render(self, parts: Iterable[Component]) -> str:
        head = [
            *("[supervisord]", f"logfile={self.logs / 'supervisord.log'}"),
            *("logfile_maxbytes=10MB", "logfile_backups=3", "nodaemon=true", "silent=true"),
            f"pidfile={self.run / 'supervisord.pid'}",
            f"childlogdir={self.logs}",
            f"umask={process_group.PRIVATE:03o}",
            *(["user=root"] if os.geteuid() == 0 else []),
            *("[unix_http_server]", f"file={self.socket}", "chmod=0600"),
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        return "\n".join([*head, *(line for part in parts for line in self._program(part))]) + "\n"

    def _program(self, part: Component) -> list[str]:
        plan = self.run / "plans" / f"{part.name}.json"
        command = [sys.executable, "-I", "-S", process_group.__file__, str(plan)]
        return [
            f"[program:{part.name}]",
            f"command={shlex.join(command)}",
            *("autostart=false", "autorestart=true", f"startretries={FOR_EVER}"),
            f"startsecs={START_SECONDS}",
            "stopsignal=TERM",
            # The wrapper kills its own children after `grace`; it must not be killed before.
            f"stopwaitsecs={part.grace + 15}",
            "redirect_stderr=true",
            f"stdout_logfile={self.log_file(part.name)}",
            *("stdout_logfile_maxbytes=10MB", "stdout_logfile_backups=3"),
        ]

    @contextlib.contextmanager
    def _rpc(self, seconds: float = 90) -> Iterator[Any]:
        import xmlrpc.client

        from supervisor.xmlrpc import SupervisorTransport, UnixStreamHTTPConnection

        connection = UnixStreamHTTPConnection("localhost")
        connection.socketfile = str(self.socket)
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket}")
        try:
            connection.connect()
            # The library sets no limit: a stuck supervisor would hang every command.
            connection.sock.settimeout(seconds)
            transport._get_connection = lambda: connection
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        finally:
            connection.close()


def _code(part: Component, root: Path) -> list[str]:
    """Return the folders a program's own code comes from; models are run in fresh children."""
    if not part.ours:
        return []
    return [str(root / folder) for folder in _CODE_FOLDERS]


def base_environment(programs: Path) -> dict[str, str]:
    """Return the environment every process starts from: nothing of the caller's leaks in."""
    return {
        "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
    }


def _socket_path(home: Path) -> Path:
    path = home / "run" / "supervisor.sock"
    if len(str(path)) <= _SOCKET_PATH_LIMIT:
        return path
    name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"airlock-{os.geteuid()}-{name}" / "supervisor.sock"
