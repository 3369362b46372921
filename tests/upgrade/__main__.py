"""`make upgrade-check`: would Airlock run with the newest versions of what it stands on?

In an environment of its own (`build/upgrade`); nothing in use is touched. It lifts every pin of
pyproject.toml, installs the newest versions that go together, and looks there at what tells
quickly: imports, what the guard has not classified, MLflow's tables, the DAG files, some tests.

Ends with 0 if all of it passes, 1 if something is unclassified or broken, 3 if no environment
could be made. `build/upgrade/report.json` holds the report.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support import ROOT
from tests.upgrade import look
from tests.upgrade.versions import Move, lifted, moves, named, versions

HOME = ROOT / "build/upgrade"
UV = str(Path(sys.executable).parent / "uv")
#: What the tests of the check are: quick, and each of another library.
TESTS = (
    "tests/unit/test_airflow_rest.py",
    "tests/unit/test_artifacts.py",
    "tests/unit/test_guard_rules.py",
    "tests/contract/test_registry.py",
    "tests/attack/test_door.py::test_a_method_nobody_has_classified_stops_the_start",
    "tests/attack/test_door.py::test_an_address_nobody_has_classified_stops_the_start",
)


class Failed(Exception):
    """No environment of the newest versions could be made; the message says why."""


def main(home: Path = HOME) -> int:
    """Make the environment, look, write and print the report; return the exit code."""
    home.mkdir(parents=True, exist_ok=True)
    try:
        moved = resolve(home)
        python = install(home)
    except Failed as error:
        sys.stderr.write(f"{error}\n")
        return 3
    found = {name: problems_of(python, name) for name in look.LOOKS}
    found["tests"] = tests(python)
    (home / "report.json").write_text(json.dumps(document(moved, found), indent=1))
    sys.stdout.write(report(moved, found))
    return 1 if any(found.values()) else 0


def resolve(home: Path) -> list[Move]:
    """Choose the newest versions that go together; return what differs from what is pinned."""
    project = (ROOT / "pyproject.toml").read_text()
    wanted = lifted(project)
    (home / "requirements.in").write_text("\n".join(wanted))
    chosen, newest = home / "requirements.txt", home / "newest.txt"
    compiled = ("pip", "compile", "--upgrade", "--python-version", "3.11", "--no-header", "--quiet")
    _uv(*compiled, "--no-annotate", str(home / "requirements.in"), "-o", str(chosen))
    (home / "names.in").write_text("\n".join(named(wanted)))
    _uv(*compiled, "--no-annotate", "--no-deps", str(home / "names.in"), "-o", str(newest))
    pinned = (ROOT / "requirements-dev.txt").read_text()
    return moves(named(wanted), *map(versions, (pinned, chosen.read_text(), newest.read_text())))


def install(home: Path) -> Path:
    """Install what was chosen into an environment of its own; return its Python."""
    venv = home / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    _uv("venv", "--quiet", "--python", sys.executable, str(venv))
    python = venv / "bin/python"
    into = ("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "--no-deps")
    _uv(*into, "--requirement", str(home / "requirements.txt"))
    _uv(*into, "--editable", str(ROOT))
    return python


def _uv(*arguments: str) -> None:
    done = subprocess.run([UV, *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"the newest versions do not go together or cannot be had:\n{done.stderr}")


def problems_of(python: Path, name: str) -> list[str]:
    """Look at one thing in the new environment."""
    return _answer([str(python), "-W", "ignore", "-m", "tests.upgrade.look", name])


def _answer(argv: Sequence[str]) -> list[str]:
    """Return the problems a program printed as JSON in its last line, or that it broke."""
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    last = (done.stdout.splitlines() or [""])[-1]
    if done.returncode == 0 and last.startswith("["):
        return [str(one) for one in json.loads(last)]
    return [f"it broke: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}"]


def tests(python: Path) -> list[str]:
    """Run the quick tests in the new environment; return those that fail."""
    argv = [str(python), "-m", "pytest", "-q", "--no-header", "-rfE", *TESTS]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return failed or [(lines or done.stderr.splitlines() or ["pytest said nothing"])[-1]]


def document(moved: Sequence[Move], found: dict[str, list[str]]) -> dict[str, object]:
    """Return the report for programs."""
    rows = [{"package": one.name, "pinned": one.pinned, "tried": one.tried} for one in moved]
    return {"passes": not any(found.values()), "versions": rows, "problems": found}


def report(moved: Sequence[Move], found: dict[str, list[str]]) -> str:
    """Return the report for people."""
    lines = ["Versions tried that differ from what is pinned:"]
    lines += [f"  {one}" for one in moved] or ["  none: everything is the newest there is"]
    for name, problems in found.items():
        lines.append(f"{name}: {'passes' if not problems else f'{len(problems)} to look at'}")
        lines += [f"  {problem}" for problem in problems]
    broken = [name for name, problems in found.items() if problems]
    lines.append(
        f"Not yet: look at {', '.join(broken)}, then docs/howto/upgrade.md."
        if broken
        else "All of it passes: docs/howto/upgrade.md says how these versions come in."
    )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    raise SystemExit(main())
