"""The operator's commands on the machine of `make up`: from any folder, nothing set by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from airlock_platform.databases.postgres import free_port
from airlock_platform.processes.supervisor import base_environment
from tests.airflow.harness import RunningPlatform, lasting

PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Machine:
    """The machine on which a platform was started, as somebody meets it in another shell."""

    home: Path

    def airlock(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command from a folder that has nothing to do with it, in a fresh shell."""
        return subprocess.run(
            [PROGRAMS / "airlock", "--home", self.home, *arguments],
            env=base_environment(PROGRAMS) | more,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=900,
        )

    def status(self) -> dict[str, dict[str, object]]:
        rows = json.loads(self.airlock("status", "--json").stdout)["processes"]
        return {row["name"]: row for row in rows}

    def problems(self) -> dict[str, str]:
        """What is not well, by process."""
        return lasting(
            lambda: {
                name: str(row["problem"])
                for name, row in self.status().items()
                if not row["healthy"]
            }
        )


@pytest.fixture(scope="module")
def machine(platform: RunningPlatform) -> Machine:
    return Machine(platform.home)


def test_another_shell_finds_the_platform_where_it_is(
    platform: RunningPlatform, machine: Machine
) -> None:
    assert machine.problems() == {}
    assert machine.status()["mlflow"]["address"] == platform.mlflow_uri


def test_up_from_another_shell_changes_nothing(machine: Machine) -> None:
    before = {name: row["pid"] for name, row in machine.status().items()}
    again = machine.airlock("up")
    assert again.returncode == 0, again.stdout + again.stderr
    assert {name: row["pid"] for name, row in machine.status().items()} == before


def test_up_with_another_port_is_refused_without_the_word(machine: Machine) -> None:
    said = machine.airlock("up", AIRLOCK_MLFLOW_PORT=str(free_port()))
    assert said.returncode == 1
    assert "`airlock up --move`" in said.stderr
    assert machine.problems() == {}


def test_a_process_with_old_code_is_named_and_restarted_alone(machine: Machine) -> None:
    (machine.home / "run/pids/deliver.code").write_text("the digest of yesterday")
    before = machine.status()
    assert [name for name, row in before.items() if row["oldCode"]] == ["deliver"]
    assert "Running code from before the last change: deliver." in machine.airlock("status").stdout
    again = machine.airlock("up")
    assert again.returncode == 0, again.stdout + again.stderr
    after = machine.status()
    assert [name for name in after if after[name]["pid"] != before[name]["pid"]] == ["deliver"]
    assert not any(row["oldCode"] for row in after.values())


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("keys", "show", "--role", "operator"), "+"),
        (("timers", "run", "--once", "--role", "operator"), "0 timers fired"),
        (("detect", "run", "--role", "operator"), "ompared"),
        (("detect", "list", "--as", "admin"), "No finding is open"),
        (("keys", "rotate", "--role", "operator"), "signs from now on"),
        (("keys", "show", "--role", "operator", "--json"), "vkey"),
        (("audit", "verify", "--as", "admin"), ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_operators_command_runs(
    machine: Machine, arguments: tuple[str, ...], shown: str
) -> None:
    done = machine.airlock(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shown in done.stdout


@pytest.mark.timeout(20 * 60)
def test_a_workers_commands_run_on_a_release(
    machine: Machine, demonstrated: subprocess.CompletedProcess[str]
) -> None:
    assert demonstrated.returncode == 0, demonstrated.stdout + demonstrated.stderr
    (release, *_) = json.loads(
        machine.airlock(
            *("release", "list", "--as", "ana", "--state", "PROMOTED", "--json"),
            *("--model", "doctor-visits"),
        ).stdout
    )
    tried = machine.airlock(
        *("gate", "run", "metrics-threshold", "--model", "doctor-visits"),
        *("--version", release["version"], "--role", "worker"),
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "PASSED" in tried.stdout
    again = machine.airlock(
        *("gate", "recompute", release["id"], "--numbers", "--as", "sam", "--role", "worker")
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "The same." in again.stdout
