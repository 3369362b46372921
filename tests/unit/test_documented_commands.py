"""Every command of README and docs exists as written, and is run by a test or says why not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from airlock.entrypoints.main import app
from tests.support import ROOT

pytestmark = pytest.mark.unit

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/howto").glob("*.md")),
    *sorted((ROOT / "docs/reference").glob("*.md")),
]
#: Commands no test types as they are, each with the reason. Everything else has to be in a test.
NOT_RUN = {
    "make bench": "an hour of measuring; tests/unit/test_bench_main.py runs its program",
    "make demo": "sets up and calls `airlock demo`, which tests/airflow/conftest.py runs",
    "make down": "calls `airlock down`",
    "make lint": "is run beside the tests",
    "make scanners": "installs the scanners; tests/integration/test_scanners.py needs them",
    "make test": "is what runs this",
    "make test-all": "is this, on every database and store",
    "make test-compose": "half an hour with containers, as root on Debian; `tests/compose` is it",
    "make lock": "compiles the requirements files anew, from an index",
    "make upgrade-check": "installs another environment; tests/unit/test_upgrade_check.py runs it",
    "make up": "sets up and calls `airlock up`",
    "airlock slack": "with a command behind it, or the process of `airlock up`",
}
_MAKE = re.compile(r"^([a-z-]+):.*##", re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    """Yield page and command line: in blocks of code, and between backticks."""
    for page in PAGES:
        text = page.read_text()
        for line in re.findall(r"^(?:\$ )?((?:airlock|make) [^#\n]*)", text, re.MULTILINE):
            if "`" not in line:
                yield page.name, line
        for line in re.findall(r"`((?:airlock|make) [^`\n]+)`", text):
            yield page.name, line


def paths() -> dict[str, list[tuple[str, list[str]]]]:
    """Return each command with the pages and arguments it is written with."""
    uses: dict[str, list[tuple[str, list[str]]]] = {}
    root = typer.main.get_command(app)
    for page, line in commands():
        for command in _spelled_out(line):
            words = shlex.split(command.replace("…", "").replace("'", ""), comments=True)
            name = words[0]
            place: Any = root
            rest = words[1:]
            while name.startswith("airlock") and rest and rest[0] in getattr(place, "commands", {}):
                place = place.commands[rest[0]]
                name += f" {rest.pop(0)}"
            if words[0] == "make":
                name += f" {rest.pop(0)}"
            uses.setdefault(name, []).append((page, rest))
    return uses


def _spelled_out(line: str) -> list[str]:
    """`airlock audit list|verify` stands for two commands."""
    match = re.search(r"(?<= )[a-z-]+(?:\|[a-z-]+)+(?= |$)", line)
    if not match:
        return [line.strip()]
    return [line.replace(match[0], word).strip() for word in match[0].split("|")]


DOCUMENTED = paths()
TESTS = "\n".join(
    path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)
)


def test_there_are_commands_to_check() -> None:
    assert len(DOCUMENTED) > 30
    assert "airlock release approve" in DOCUMENTED


@pytest.mark.parametrize("command", sorted(DOCUMENTED))
def test_a_documented_command_exists_with_its_options(command: str) -> None:
    if command.startswith("make "):
        targets = _MAKE.findall((ROOT / "Makefile").read_text())
        assert command.split()[1] in targets
        return
    place: Any = typer.main.get_command(app)
    for word in command.split()[1:]:
        place = place.commands[word]
    options = {name for param in place.params for name in param.opts} | {"--help"}
    for page, rest in DOCUMENTED[command]:
        if hasattr(place, "commands") and rest and not rest[0].startswith("-"):
            assert not re.fullmatch(r"[a-z][a-z-]+", rest[0]), f"{page}: {command} {rest[0]}?"
        used = {word.partition("=")[0].rstrip(".,)") for word in rest if word.startswith("--")}
        assert used <= options, f"{page}: {command} has no {', '.join(sorted(used - options))}"


@pytest.mark.parametrize("command", sorted(DOCUMENTED))
def test_a_documented_command_is_run_by_a_test_or_says_why_not(command: str) -> None:
    words = command.split()[1:]
    typed = re.search(r",\s*".join(f'"{word}"' for word in words), TESTS) if words else True
    if command in NOT_RUN:
        return
    assert typed, f"no test types `{command}`: write one, or say in NOT_RUN why not"


def test_no_reason_is_given_for_what_is_nowhere() -> None:
    assert set(NOT_RUN) <= set(DOCUMENTED)
