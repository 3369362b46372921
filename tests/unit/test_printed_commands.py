"""Printed commands, as their reader can type them: with `--as` where people act as demo users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from airlock.domain.errors import Refused
from airlock.entrypoints import main
from airlock.entrypoints.presentation import printed_commands, terminal
from airlock.entrypoints.presentation.printed_commands import PERSONAL, RIGHTS, spelled_for
from tests.command import run_cli
from tests.support import ROOT

pytestmark = pytest.mark.unit

WITHDRAW = '`airlock release withdraw rel-1 --as ana --reason "..."`'


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody has acted or logged in, and there is no platform."""
    monkeypatch.setattr(terminal, "_ACTING", [])
    monkeypatch.setenv("AIRLOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _commands(place: Any, name: str = "") -> Iterator[str]:
    for word, inner in getattr(place, "commands", {}).items():
        yield from _commands(inner, f"{name} {word}".strip())
    if any("--as" in option.opts for option in place.params):
        yield name


def test_the_commands_that_take_as_are_those_of_the_command_line() -> None:
    assert sorted(_commands(typer.main.get_command(main.app))) == sorted(PERSONAL)


def test_a_right_that_few_have_is_one_of_the_policy_and_not_of_everybody() -> None:
    access = yaml.safe_load((ROOT / "include/policies/access.yaml").read_text())
    roles = access["spec"]["roles"]
    rights = {right for role in roles.values() for right in role["permissions"]}
    usual = {right for name in ("viewer", "developer") for right in roles[name]["permissions"]}
    assert {right for right, _ in RIGHTS.values()} <= rights - usual
    assert set(RIGHTS) <= set(PERSONAL)


@pytest.mark.parametrize(
    ("text", "user", "typed"),
    [
        (
            "See `airlock release show rel-1`.",
            "ana",
            "See `airlock release show rel-1 --as ana`.",
        ),
        ("See `airlock release show rel-1`.", "", "See `airlock release show rel-1`."),
        (WITHDRAW, "lena", WITHDRAW),
        (WITHDRAW, "", '`airlock release withdraw rel-1 --reason "..."`'),
        ("`airlock audit verify` says it", "ana", "`airlock audit verify --as AUDITOR` says it"),
        (
            "`airlock audit verify` says it",
            "",
            "`airlock audit verify` (needs audit:verify) says it",
        ),
        ("`airlock audit verify f --keys DIR`", "ana", "`airlock audit verify f --keys DIR`"),
        ("`airlock person enrol A --first`", "ana", "`airlock person enrol A --first`"),
        ("`airlock status`, `make up`", "ana", "`airlock status`, `make up`"),
    ],
)
def test_a_command_is_spelled_for_its_reader(text: str, user: str, typed: str) -> None:
    assert spelled_for(text, user) == typed


def _refusing(monkeypatch: pytest.MonkeyPatch, acting: str) -> str:
    """Return what the command line prints of a refusal that names a command."""

    def refuse() -> None:
        if acting:
            terminal._ACTING[:] = [acting]
        raise Refused("no", next_step=f"Withdraw it ({WITHDRAW}), see `airlock release list`.")

    monkeypatch.setattr(main, "app", refuse)
    return run_cli().err


def test_whoever_acted_by_as_is_told_to_go_on_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = _refusing(monkeypatch, "lena")
    assert "`airlock release list --as lena`" in refusal
    assert WITHDRAW in refusal, "somebody else's command keeps that name"


def test_whoever_has_a_login_is_told_of_no_demo_user(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = _refusing(monkeypatch, "")
    assert "--as" not in refusal
    assert '`airlock release withdraw rel-1 --reason "..."`' in refusal


def test_where_there_are_demo_users_and_no_login_as_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    users = tmp_path / "home/secrets/users.json"
    users.parent.mkdir(parents=True)
    users.write_text("[]")
    assert "`airlock release list --as USER`" in _refusing(monkeypatch, "")
    login = tmp_path / "config/airlock/session.json"
    login.parent.mkdir(parents=True)
    login.write_text("{}")
    assert "--as" not in _refusing(monkeypatch, "")


def test_an_example_of_a_time_lies_ahead() -> None:
    assert printed_commands.example_time(1) < printed_commands.example_time(30)
