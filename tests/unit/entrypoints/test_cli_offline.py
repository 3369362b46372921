from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import run_cli


@pytest.fixture
def config(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the real configuration, to break it."""
    monkeypatch.setenv("AIRLOCK_ROOT", str(root))
    for part in ("pipelines", "policies"):
        shutil.copytree(root / "include" / part, tmp_path / part)
    return tmp_path


def test_the_real_configuration_may_be_used(config: Path) -> None:
    result = run_cli("policy", "check", str(config))
    assert (result.code, "may be used" in result.out) == (0, True), result.out
    assert "employment: roc_auc with margin 0.005 needs about " in " ".join(result.out.split())
    assert json.loads(run_cli("policy", "check", str(config), "--json").out) == []


def test_a_finding_names_file_and_line_and_ends_with_2(config: Path) -> None:
    file = config / "policies" / "risk.yaml"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, "surprise: true", ""]))
    result = run_cli("policy", "check", str(config))
    assert result.code == 2
    assert f"policies/risk.yaml:{len(lines) + 1}: " in result.out
    finding = json.loads(run_cli("policy", "check", str(config), "--json").out)[0]
    assert (finding["line"], finding["path"]) == (len(lines) + 1, "surprise")


def test_schemas_are_printed_and_an_unknown_kind_is_wrong_use() -> None:
    assert json.loads(run_cli("policy", "schema", "ModelPipeline").out)["$schema"]
    result = run_cli("policy", "schema", "ModelPipelin")
    assert (result.code, 'Did you mean "ModelPipeline"?' in result.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("release", "approve"),
        ("release", "approve", "rel-1"),
        ("audit", "list", "--limit", "0"),
        ("release", "show", "rel-1", "--unknown"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run_cli(*arguments).code == 2


def test_every_command_helps_itself() -> None:
    for command in (
        *("up", "down", "status", "login", "whoami"),
        *("pipeline list", "pipeline run", "policy check", "policy schema"),
        *("release list", "release show", "release approve", "release reject"),
        *("release withdraw", "release promote", "audit list", "audit verify"),
        *("slack", "slack check"),
    ):
        result = run_cli(*command.split(), "--help")
        assert (result.code, "Usage: " in result.out) == (0, True), command


def test_an_unknown_setting_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_HOM", "/x")
    result = run_cli("release", "list", "--as", "lena")
    assert result.code == 2
    assert "AIRLOCK_HOME" in result.err


def test_bash_completes_the_command_by_the_script_it_is_given() -> None:
    programs = str(Path(sys.executable).parent)
    completed = subprocess.run(
        ["bash", "-c", 'source <(airlock completion bash); COMP_WORDS=(airlock pipeline l)'
         "; COMP_CWORD=2; _airlock_completion airlock; echo ${COMPREPLY[@]}"],
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert completed.stdout.split() == ["list", "logs"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_and_no_other(shell: str) -> None:
    result = run_cli("completion", shell)
    assert (result.code, f"_AIRLOCK_COMPLETE=complete_{shell}" in result.out) == (0, True)
    assert run_cli("completion", "csh").code == 2
