"""Ask a process whether it works. Standard library only (psycopg for PostgreSQL).

Also a command, for container health checks, so that both places ask the same question:
`python -m airlock_platform.processes.health_checks http URL [dotted.path value]`. A worker of
Celery answers nothing by itself: `connected PORT` asks whether a connection to that port is open
from here. It never raises: an answer is a sentence saying what is wrong, or an empty string.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

#: A loaded machine with two cores takes seconds to answer; a dead process refuses at once.
TIMEOUT = 10.0
_ESTABLISHED = "01"


def ask(kind: str, target: str, expect: tuple[str, str] | None = None) -> str:
    """Return the problem of *target*, or an empty string."""
    if kind == "process":
        return ""
    if kind == "connected":
        return _ask_connections(int(target), Path("/proc/net"))
    return _ask_postgres(target) if kind == "postgres" else _ask_http(target, expect)


def _ask_http(url: str, expect: tuple[str, str] | None) -> str:
    # No proxy: every address here is the platform's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            body = answer.read(1_000_000)
    except urllib.error.HTTPError as error:
        return f"{url} answered {error.code}"
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return f"{url} does not answer ({reason})"
    return _judge(body, *expect) if expect else ""


def _judge(body: bytes, path: str, expected: str) -> str:
    try:
        value: Any = json.loads(body)
    except ValueError:
        return "the answer is not JSON"
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return "" if str(value) == expected else f"{path} is {value}, expected {expected}"


def _ask_postgres(url: str) -> str:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=int(TIMEOUT)) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        return f"PostgreSQL does not answer ({str(error).strip().splitlines()[0]})"
    return ""


def _ask_connections(port: int, tables: Path) -> str:
    """Look in the kernel's tables of connections; in a container they are the container's own."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (tables / name).read_text().splitlines()[1:]:
                _, _, remote, state, *_ = line.split()
                if state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                    return ""
    return f"there is no open connection to port {port}"


def main(arguments: list[str]) -> int:
    """Probe once; say what is wrong on standard error."""
    kind, target, *rest = arguments
    problem = ask(kind, target, (rest[0], rest[1]) if rest else None)
    if problem:
        sys.stderr.write(f"{problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
