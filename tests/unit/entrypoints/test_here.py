"""From any folder and any shell a command finds the platform, its settings and its roles."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from airlock.domain.errors import Invalid, Refused
from airlock.entrypoints import platform_location
from airlock.entrypoints.cli.platform.lifecycle import current_platform
from airlock_platform.platform import Options, Platform
from airlock_platform.saved import PORTS, load, save
from tests.command import run_cli
from tests.support import ROOT

SLACK = {"AIRLOCK_SLACK_CHANNEL": "C0001", "AIRLOCK_SLACK_BOT_TOKEN": "xoxb-1-abc"}


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A shell in which nobody has set anything, outside of any checkout."""
    for name in [*os.environ]:
        if name.startswith("AIRLOCK_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platform_location, "_CHOSEN", [])
    monkeypatch.setattr(os, "environ", os.environ.copy())


def checkout(root: Path) -> Path:
    for folder in ("dags", "include/pipelines", "include/policies", "deep/down"):
        (root / folder).mkdir(parents=True)
    return root


def started(root: Path, home: Path | None = None, **environment: str) -> Path:
    """Save the state of a platform with other ports and Slack, as `airlock up` does."""
    home = home or root / ".airlock"
    options = Options(root, home, Path("bin"), 9080, 9050, 9033, slack=SLACK)
    platform = Platform(options)
    home.mkdir(parents=True)
    platform.secrets.create()
    save(platform, environment)
    return home


def test_nothing_written_down_are_the_defaults(tmp_path: Path) -> None:
    settings = platform_location.settings()
    assert (settings.airflow_port, settings.root) == (8080, tmp_path)


@pytest.mark.parametrize("where", [".", "deep", "deep/down", "include/pipelines"])
def test_a_platform_is_found_from_every_folder_of_its_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    root = checkout(tmp_path / "a")
    home = started(root)
    monkeypatch.chdir(root / where)
    options = current_platform().options
    assert (options.airflow_port, options.mlflow_port, options.postgres_port) == (9080, 9050, 9033)
    assert (options.home, options.root, options.slack) == (home, root, SLACK)


def test_of_two_clones_the_one_the_shell_is_in_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(checkout(tmp_path / "a"))
    other = checkout(tmp_path / "b")
    monkeypatch.chdir(other / "deep")
    assert current_platform().options.home == other / ".airlock"
    assert current_platform().options.airflow_port == 8080


def test_home_is_named_from_anywhere(tmp_path: Path) -> None:
    home = started(checkout(tmp_path / "a"), tmp_path / "elsewhere")
    status = json.loads(run_cli("--home", str(home), "status", "--json").out)
    assert status["usersFile"] == str(home / "secrets/users.json")
    assert {process["address"] for process in status["processes"]} >= {"http://127.0.0.1:9050"}
    assert run_cli("--home", str(home), "down").code == 0


def test_outside_of_any_checkout_the_commands_own_is_meant() -> None:
    assert current_platform().options.root == ROOT
    assert platform_location.settings().root != ROOT, "but nothing is written there by accident"


def test_a_setting_can_be_changed_and_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout(tmp_path / "a")
    started(root, AIRLOCK_ALERT_MAIL="ops@example.org")
    monkeypatch.chdir(root)
    assert current_platform().options.alert_mail == "ops@example.org"
    monkeypatch.setenv("AIRLOCK_ALERT_MAIL", "more@example.org")
    assert current_platform().options.alert_mail == "more@example.org"
    monkeypatch.setenv("AIRLOCK_ALERT_MAIL", "")
    assert current_platform().options.alert_mail == ""


def test_ports_move_by_a_word_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = checkout(tmp_path / "a")
    started(root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("AIRLOCK_AIRFLOW_PORT", "8888")
    assert current_platform().options.airflow_port == 9080, "that is where it is"
    result = run_cli("up")
    assert result.code == 1
    assert "AIRLOCK_AIRFLOW_PORT is 8888 and was 9080" in result.err
    assert "`airlock up --move`" in result.err
    moving = platform_location.environment(moving=True)
    assert (moving["AIRLOCK_AIRFLOW_PORT"], moving["AIRLOCK_MLFLOW_PORT"]) == ("8888", "9050")
    monkeypatch.setenv("AIRLOCK_AIRFLOW_PORT", "9080")
    platform_location.check_ports(platform_location.environment(moving=True))
    with pytest.raises(Refused):
        platform_location.check_ports({**platform_location.environment(moving=True), PORTS[2]: "1"})


def test_the_first_start_is_free_to_choose_its_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout(tmp_path / "a"))
    monkeypatch.setenv("AIRLOCK_AIRFLOW_PORT", "8888")
    platform_location.check_ports(platform_location.environment(moving=True))
    assert current_platform().options.airflow_port == 8888


def test_a_port_that_is_set_to_nothing_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout(tmp_path / "a")
    started(root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("AIRLOCK_AIRFLOW_PORT", "")
    assert platform_location.environment(moving=True)["AIRLOCK_AIRFLOW_PORT"] == "9080"


def test_a_moved_clone_is_found_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(checkout(tmp_path / "a"))
    (tmp_path / "a").rename(tmp_path / "b")
    monkeypatch.chdir(tmp_path / "b")
    options = current_platform().options
    assert (options.root, options.airflow_port) == (tmp_path / "b", 9080)
    assert options.config_dir == tmp_path / "b/include"


def test_what_is_written_down_is_private(tmp_path: Path) -> None:
    home = started(checkout(tmp_path / "a"))
    assert (home / "platform.json").stat().st_mode & 0o777 == 0o600


def test_another_users_platform_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = started(checkout(tmp_path / "a"))

    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Invalid, match=f"{home} belongs to the user "):
        load(home)


@pytest.mark.parametrize("text", ["", "{", '{"home": 1}', "[]"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    home = started(checkout(tmp_path / "a"))
    (home / "platform.json").write_text(text)
    with pytest.raises(Invalid, match=r"platform\.json cannot be read"):
        load(home)


COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "keys rotate": (("keys", "rotate"), ("operator",)),
    "keys show": (("keys", "show"), ("operator",)),
    "timers run": (("timers", "run", "--once"), ("operator",)),
    "detect run": (("detect", "run"), ("operator",)),
    "gate run": (("gate", "run", "latency", "--model", "m", "--version", "1"), ("worker",)),
}


@pytest.mark.parametrize(("command", "roles"), COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("role", ["", "operator", "worker", "owner"])
def test_a_command_runs_in_a_role_that_is_named_and_allowed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    roles: tuple[str, ...],
    role: str,
) -> None:
    root = checkout(tmp_path / "a")
    started(root)
    monkeypatch.chdir(root)
    result = run_cli(*command, *(("--role", role) if role else ()))
    refused = f"needs the rights of the role {' or '.join(roles)}" in result.err
    assert refused == (role not in roles), result.err
    if refused:
        assert f"add `--role {roles[0]}`" in result.err
        assert "AIRLOCK_DATABASE_URL" not in os.environ
    else:
        role_name = {"operator": "airlock_decider", "worker": "airlock_worker"}[role]
        assert role_name in os.environ["AIRLOCK_DATABASE_URL"]


def test_a_worker_is_told_no_key_that_signs_grants(tmp_path: Path) -> None:
    saved = load(started(checkout(tmp_path / "a")))
    assert saved is not None
    worker = saved.roles["worker"]
    assert "AIRLOCK_SIGNING_KEY" not in worker
    assert "airlock_decider" not in str(worker)
    assert "AIRLOCK_SIGNING_KEY" in saved.roles["operator"]


def test_a_role_without_a_platform_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    root = checkout(tmp_path / "a")
    monkeypatch.chdir(root)
    result = run_cli("keys", "rotate", "--role", "operator")
    assert f"nothing was written down for a role in {root}/.airlock" in result.err


def test_a_container_needs_no_role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRLOCK_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    platform_location.take_role("", ("operator",))


def test_the_version_is_said() -> None:
    result = run_cli("--version")
    assert (result.code, result.out.split()[0]) == (0, "airlock")


def test_the_end_of_a_log_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = checkout(tmp_path / "a")
    logs = started(root) / "logs"
    logs.mkdir()
    (logs / "deliver.log").write_text("first\nsecond\n\x1b[31mthird\n")
    monkeypatch.chdir(root)
    assert run_cli("logs", "deliver", "--lines", "2").out == "second\n\\x1b[31mthird\n"
    result = run_cli("logs", "delivery")
    assert (result.code, "There are: deliver." in result.err) == (1, True)


def test_a_pipeline_is_shown_as_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "docs")
    result = run_cli("pipeline", "show", "employment")
    assert (result.code, "whenReleaseOpen: keep" in result.out, "sha256:" in result.out) == (
        0,
        True,
        True,
    )
    document = json.loads(run_cli("pipeline", "show", "employment", "--json").out)
    assert document["document"]["metadata"]["name"] == "employment"
    none = run_cli("pipeline", "show", "employmnt")
    assert "valid: doctor-visits, employment" in none.err
