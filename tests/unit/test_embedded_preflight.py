"""Each thing that can be wrong before the start is one sentence with what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from airlock.domain.errors import Invalid, Refused
from airlock_platform import preflight
from airlock_platform.components import Component, Probe
from airlock_platform.databases import postgres
from airlock_platform.processes.health_checks import ask
from airlock_platform.processes.supervisor import Supervisor
from tests.support import ROOT


def part(port: int) -> Component:
    ports = ((port, "AIRLOCK_MLFLOW_PORT"),)
    return Component("mlflow", "MLflow", ("x",), {}, Probe("process"), ports=ports)


def test_a_port_in_use_names_who_uses_it_and_what_to_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Refused) as caught:
            preflight.check_ports([part(port)])
    assert f"Port {port}, which MLflow needs, is used by " in caught.value.message
    assert f"(process {os.getpid()})" in caught.value.message
    assert "AIRLOCK_MLFLOW_PORT" in caught.value.next_step


def test_a_free_port_is_fine() -> None:
    preflight.check_ports([part(postgres.free_port())])


def test_a_port_that_cannot_be_is_refused() -> None:
    with pytest.raises(Invalid, match="Port 65600, which MLflow would need, does not exist"):
        preflight.check_ports([part(65600)])


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage("/"))(10**12, 10**12 - 10**9, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Refused, match=r"Only 0\.9 GB are free on the disk of .*; Airlock needs 2"):
        preflight.check_disk(tmp_path / "not" / "yet")


def test_a_missing_tool_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="The program `airflow` is missing") as caught:
        preflight.check_machine(tmp_path, tmp_path)
    assert "make up" in caught.value.next_step


@pytest.mark.parametrize("sign", ["%", ";"])
def test_a_path_the_supervisor_cannot_hold_is_named(sign: str) -> None:
    with pytest.raises(Invalid, match="holds the sign") as caught:
        preflight.check_paths(Path(f"/tmp/100{sign}/home"))
    assert "AIRLOCK_HOME" in caught.value.next_step


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="Cannot write into") as caught:
        preflight.prepare_home(tmp_path / "file" / "home")
    assert "AIRLOCK_HOME" in caught.value.next_step


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as somebody else")
def test_a_folder_postgres_may_not_enter_is_named_and_left_alone(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and not folder.stat().st_mode & 0o001:
            closed = folder
    with pytest.raises(Invalid, match="may not enter") as caught:
        postgres.check_reachable(tmp_path / "closed" / "home" / "postgres")
    assert "chmod o+x" in caught.value.next_step
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_probe_says_what_is_wrong() -> None:
    port = postgres.free_port()
    assert "does not answer" in ask("http", f"http://127.0.0.1:{port}/health")
    assert "does not answer" in ask("postgres", f"postgresql://a:b@127.0.0.1:{port}/x")


def test_a_probe_reads_the_answer(tmp_path: Path) -> None:
    (tmp_path / "health").write_text('{"a": {"status": "healthy"}, "b": null}')
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory"]
    port = postgres.free_port()
    url = f"http://127.0.0.1:{port}/health"
    with subprocess.Popen(
        [*command, str(tmp_path), str(port)], stderr=subprocess.DEVNULL
    ) as server:
        while "does not answer" in ask("http", url):
            assert server.poll() is None
        assert ask("http", url) == ""
        assert ask("http", url, ("a.status", "healthy")) == ""
        assert ask("http", url, ("a.status", "x")) == "a.status is healthy, expected x"
        assert ask("http", url, ("b.status", "healthy")) == "b.status is None, expected healthy"
        assert ask("http", f"{url}/none").endswith("answered 404")
        server.terminate()


def test_a_long_home_gets_a_short_private_socket(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    socket_path = Supervisor(home).socket
    assert len(str(socket_path)) < 100
    assert socket_path != Supervisor(tmp_path / ("y" * 120)).socket
    assert Supervisor(home).pid() is None


def test_programs_start_from_an_empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from airlock_platform.processes.supervisor import base_environment

    monkeypatch.setenv("AIRLOCK_DATABASE_URL", "x")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "x")
    environment = base_environment(Path("/v/bin"))
    assert set(environment) == {"PATH", "HOME", "LANG", "TZ", "PYTHONUNBUFFERED"}


def open_to_others(home: Path) -> list[str]:
    """Return the files below *home* that another user could enter, read or write."""
    names, todo = [], [home]
    while todo:
        for path in todo.pop().iterdir():
            mode = path.lstat().st_mode
            if path.is_dir() and not path.is_symlink():
                todo += [path] if mode & 0o011 else []
                names += [path.name] if mode & 0o066 else []
            elif mode & 0o077 and not path.is_symlink():
                names.append(path.name)
    return sorted(names)


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    cluster = tmp_path / "postgres"
    for folder in ("logs/dag", "mlflow/artifacts/1", "data/pins", "evidence", "work", "postgres"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder).chmod(0o777)
        (tmp_path / folder / "file").write_text("x")
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    (tmp_path / "service.json").write_text("{}")
    (tmp_path / "service.json").chmod(0o644)
    cluster.chmod(0o700)
    assert open_to_others(tmp_path)
    before = cluster.stat()
    preflight.prepare_home(tmp_path)
    preflight.close_home(tmp_path, cluster)
    assert open_to_others(tmp_path) == []
    assert cluster.stat() == before
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        **dict.fromkeys(("airflow", "data", "evidence", "keys", "logs", "mlflow", "work"), 0o700),
        "postgres": 0o700,
        "service.json": 0o600,
    }


def test_a_cluster_further_down_can_still_be_reached(tmp_path: Path) -> None:
    cluster = tmp_path / "databases" / "postgres"
    cluster.mkdir(parents=True)
    preflight.close_home(tmp_path, cluster)
    mode = 0o711 if os.geteuid() == 0 else 0o700
    assert (tmp_path / "databases").stat().st_mode & 0o777 == mode


def test_logs_of_airflow_are_not_opened_again() -> None:
    source = (ROOT / "include/airlock_platform/components.py").read_text()
    assert 'NEW_FOLDER_PERMISSIONS": "0o700"' in source
    assert 'NEW_FILE_PERMISSIONS": "0o600"' in source
