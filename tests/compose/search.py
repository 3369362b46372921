"""Look into every container for every secret it must not have: by value, wherever it could be.

Looked at: the environment and command line of every process, every file below the container's
mounts, its home and /tmp, and what podman itself says of the container. What a container may have
is the table of tests/unit/test_compose.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.compose.machine import podman
from tests.compose.platform import JOBS, PROJECT, RUNNING, Containers
from tests.unit.test_compose import HOLDERS, VOLUMES

_FILE_LIMIT = 64 << 20
_PLACES = (
    "run/secrets",
    "opt/airlock/.airlock",
    "opt/airlock/.mlflow",
    "tmp",
    "data",
    "var/lib/postgresql",
)
_KEYS = {"secrets": ("signing.pem",), "training": ("model-signing.pem", "gate-signing.pem")}


def secrets_of(containers: Containers) -> dict[str, tuple[bytes, set[str]]]:
    """Return every secret's value and who may hold it."""
    values = {file.name: file.read_bytes().strip() for file in containers.secrets.iterdir()}
    plain = {name: value for name, value in values.items() if _is_plain(name) and value}
    found = {}
    for name, value in plain.items():
        files = [file for file in HOLDERS if value in values[file]]
        holders = {who for file in files for who in HOLDERS[file]}
        found[name] = (value, holders)
    for volume, files in _KEYS.items():
        place = Path(
            podman(
                "volume", "inspect", "--format", "{{.Mountpoint}}", f"{PROJECT}_{volume}"
            ).strip()
        )
        for file in files:
            body = (place / file).read_bytes().splitlines()[1]
            found[file] = (body, set(VOLUMES[volume]))
    return found


def _is_plain(name: str) -> bool:
    """Return whether a file is one secret alone; the others are made of those."""
    return not name.endswith(("_url", "_acl", "_accounts", "_account"))


def leaks(containers: Containers) -> tuple[list[str], int, int]:
    """Return who holds what it must not, and how many forbidden pairs and places were seen."""
    known, wrong, places = secrets_of(containers), [], 0
    services = [name for name in RUNNING if name not in JOBS]
    for service in services:
        forbidden = {name: value for name, (value, who) in known.items() if service not in who}
        for where, content in _contents(containers, service):
            places += 1
            wrong += [
                f"{service} holds {name}: {where}" for name, v in forbidden.items() if v in content
            ]
    allowed = sum(len(who & set(services)) for _, who in known.values())
    return wrong, len(known) * len(services) - allowed, places


def held(containers: Containers, service: str, name: str) -> bool:
    """Return whether a container really holds a secret: the search must be able to find one."""
    value = secrets_of(containers)[name][0]
    return any(value in content for _, content in _contents(containers, service))


def _contents(containers: Containers, service: str) -> Iterator[tuple[str, bytes]]:
    yield "podman inspect", podman("inspect", containers.name(service)).encode()
    root: Path | None = None
    for process in containers.processes(service):
        for part in ("environ", "cmdline"):
            try:
                yield f"{part} of process {process.name}", (process / part).read_bytes()
            except OSError:
                continue
        root = root or process / "root"
    if root is None:
        raise SystemExit(f"{service} has no process")
    for place in _PLACES:
        yield from _files(root, place)


def _files(root: Path, place: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted((root / place).rglob("*")) if (root / place).is_dir() else []:
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _FILE_LIMIT:
                yield f"/{path.relative_to(root)}", path.read_bytes()
        except OSError:
            continue


def limits(containers: Containers) -> dict[str, dict[str, object]]:
    """Return what podman says a container runs with."""
    found = {}
    for service in RUNNING:
        one = json.loads(podman("inspect", containers.name(service)))[0]
        host = one["HostConfig"]
        found[service] = {
            "read_only": host["ReadonlyRootfs"], "memory": host["Memory"],
            "pids": host["PidsLimit"], "user": one["Config"]["User"],
            "capabilities": one.get("EffectiveCaps") or [],
        }  # fmt: skip
    return found
