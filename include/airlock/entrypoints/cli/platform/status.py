"""`airlock status`: how the processes are, and what is late, refused, set aside or runs out.

Exit code, for monitoring: 0 all is well; 1 something needs a look; 2 something does not run, or
could not be asked. It ends within half a minute, whatever does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from airlock.config.settings import Settings
from airlock.entrypoints.cli.platform.lifecycle import (
    current_platform,
    print_addresses,
    print_health,
    slack_state,
)
from airlock.entrypoints.cli.platform.work_report import Line, problems, report
from airlock.entrypoints.platform_location import environment
from airlock.entrypoints.presentation.progress import console
from airlock_platform.budget import Answer, ask_all
from airlock_platform.platform import Health, Platform
from airlock_platform.saved import load

#: Seconds the processes have to say how they are; the work has a budget of its own.
BUDGET_S = 20.0
#: Exit codes.
WELL, LOOK, DOWN = 0, 1, 2

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("status")(status_command)


def status_command(as_json: JsonFlag = False) -> None:
    """Show processes and work. Exit 0: well, 1: something needs a look, 2: down or silent."""
    platform = current_platform()
    was_started = platform.secrets.exist()
    answer: Answer[list[Health]] = _health(platform) if was_started else Answer([])
    lines = _work(platform) if was_started else []
    code = _code(answer, lines)
    if as_json:
        typer.echo(json.dumps(_document(platform, answer, lines, code), indent=2))
    elif was_started:
        _print(platform, answer, lines)
    else:
        console.print("Airlock was never started here. Run `make up` or `airlock up`.")
    raise typer.Exit(code)


def _health(platform: Platform) -> Answer[list[Health]]:
    question: Callable[[], list[Health]] = platform.health
    return ask_all({"processes": question}, BUDGET_S)["processes"]


def _work(platform: Platform) -> list[Line]:
    saved = load(platform.options.home)
    if saved is None:
        return [Line("work", "could not be asked", "`airlock up` has not ended yet", silent=True)]
    environ = environment(anywhere=True) | dict(saved.roles["operator"])
    return report(Settings.from_environment(environ, Path.cwd()))


def _code(answer: Answer[list[Health]], lines: list[Line]) -> int:
    if not answer.value or not all(row.healthy for row in answer.value):
        return DOWN
    if any(line.silent for line in lines):
        return DOWN
    return LOOK if problems(lines) else WELL


def _document(
    platform: Platform, answer: Answer[list[Health]], lines: list[Line], code: int
) -> dict[str, object]:
    rows = answer.value or []
    processes = [
        {
            "name": row.name,
            "state": row.state,
            "healthy": row.healthy,
            "problem": row.problem,
            "pid": row.pid,
            "uptimeSeconds": round(row.seconds),
            "memoryMb": round(row.memory_mb, 1),
            "address": row.address,
            "log": row.log,
            "oldCode": row.old_code,
        }
        for row in rows
    ]
    work = [
        {"name": line.name, "said": line.text, "problem": line.problem, "silent": line.silent}
        for line in lines
    ]
    return {
        "exitCode": code,
        "healthy": bool(rows) and all(row.healthy for row in rows),
        "problem": answer.problem,
        "processes": processes,
        "work": work,
        "usersFile": str(platform.secrets.users_file),
        "slack": slack_state(platform),
    }


def _print(platform: Platform, answer: Answer[list[Health]], lines: list[Line]) -> None:
    if answer.value is None:
        console.print(f"The processes could not be asked: {answer.problem}", soft_wrap=True)
    else:
        print_health(answer.value)
    print_addresses(platform)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("work", ""):
        table.add_column(name)
    for line in lines:
        table.add_row(line.name, line.text)
    console.print()
    console.print(table)
    for line in problems(lines):
        console.print(f"{line.name}: {line.problem}", soft_wrap=True, markup=False)
    if problems(lines):
        console.print("What each line means and what to do: docs/reference/status.md")
