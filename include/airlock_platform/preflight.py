"""What must be true before anything starts; each problem is one sentence with what to do."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airlock.domain.errors import Invalid, Refused
from airlock_platform.components import Component
from airlock_platform.processes import process_group

#: A first start writes about 300 MB; PostgreSQL stops hard when the disk is full.
FREE_BYTES = 2 * 1024**3
HIGHEST_PORT = 65535


def check_machine(home: Path, programs: Path) -> None:
    """Refuse a machine this cannot work on: system, tools, disk."""
    if not sys.platform.startswith("linux"):
        raise Invalid(
            f"The embedded platform runs on Linux only; this is {sys.platform}.",
            next_step="Use docker-compose.yml instead.",
        )
    for tool in ("airflow", "mlflow", "supervisord"):
        if not (programs / tool).exists():
            raise Invalid(
                f"The program `{tool}` is missing in {programs}.",
                next_step="Run `make up`: it installs everything into .venv first.",
            )
    check_paths(home, programs)
    check_disk(home)


def check_paths(*paths: Path) -> None:
    """Refuse names the supervisor's configuration cannot hold."""
    for path in paths:
        signs = [sign for sign in "%;\n" if sign in str(path)]
        if signs:
            raise Invalid(
                f"The path {str(path)!r} holds the sign {signs[0]!r}, which the process "
                "supervisor cannot work with.",
                next_step="Move the checkout, or set AIRLOCK_HOME to a folder without it.",
            )


def check_disk(home: Path) -> None:
    """Refuse a disk that is nearly full."""
    folder = home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise Refused(
            f"Only {free / 1024**3:.1f} GB are free on the disk of {folder}; "
            f"Airlock needs {FREE_BYTES / 1024**3:.0f} GB.",
            next_step="Free some space, or set AIRLOCK_HOME to a folder on another disk.",
        )


def prepare_home(home: Path) -> None:
    """Create the state folder and its parts, or say why that is impossible."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        # Others may pass through (PostgreSQL's own user must) but not look around.
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for part in ("airflow", "mlflow/artifacts", "data", "logs", "keys"):
            (home / part).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(
            f"Cannot write into {home}: {error.strerror}.",
            next_step="Give yourself the right to, or set AIRLOCK_HOME to another folder.",
        ) from error


def close_home(home: Path, cluster: Path) -> None:
    """Close what lies in the state folder to other users of the machine, older files included.

    A folder nobody else may enter closes all that is in it. PostgreSQL's own folder keeps its owner
    and its rights, and the folders on the way to it can still be passed through.
    """
    for path in home.iterdir():
        if path.is_symlink() or path == cluster:
            continue
        on_the_way = cluster.is_relative_to(path) and os.geteuid() == 0
        try:
            mode = (0o711 if on_the_way else 0o700) if path.is_dir() else 0o600
            if on_the_way or path.stat().st_mode & 0o077 & ~mode:
                path.chmod(mode)
        except OSError as error:
            raise Invalid(
                f"Cannot close {path} to other users: {error.strerror}.",
                next_step="Give the folder to the user who runs Airlock, with `chown -R`.",
            ) from error


def check_ports(parts: Iterable[Component], host: str = "127.0.0.1") -> None:
    """Refuse a port somebody else listens on, and say who."""
    for part in parts:
        for port, variable in part.ports:
            name = part.title.partition(",")[0]
            if port > HIGHEST_PORT:
                raise Invalid(
                    f"Port {port}, which {name} would need, does not exist.",
                    next_step=f"Set {variable} to a lower port: the health check uses it plus 894.",
                )
            if _is_in_use(host, port):
                raise Refused(
                    f"Port {port}, which {name} needs, is used by {_holder(port)}.",
                    next_step=f"Stop it, or set {variable} to a free port, for this clone "
                    "once, and run `airlock up --move`.",
                )


def _is_in_use(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _platform_of(pid: int) -> str:
    """Return the platform of this machine a process belongs to, or ""."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{process_group.MARK}=".encode()
    marks = [entry.removeprefix(prefix).decode() for entry in entries if entry.startswith(prefix)]
    home = marks[0].partition("#")[0] if marks else ""
    return f"the platform of another clone, {home}" if home else ""


def _holder(port: int) -> str:
    """Name the process that listens on *port*, as far as we may see it."""
    import psutil

    try:
        for entry in psutil.net_connections(kind="tcp"):
            address: Any = entry.laddr
            if entry.status == psutil.CONN_LISTEN and address.port == port and entry.pid:
                return _platform_of(entry.pid) or (
                    f"`{psutil.Process(entry.pid).name()}` (process {entry.pid})"
                )
    except psutil.Error:
        pass
    return "another program (whose, this user may not see)"
