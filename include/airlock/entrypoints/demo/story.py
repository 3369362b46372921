"""What `airlock demo` shows while a run goes on: tasks with state and time, gates, approvals."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from airlock.entrypoints.presentation.progress import console
from airlock.entrypoints.presentation.release_text import print_gates
from airlock.entrypoints.presentation.terminal import say

_FINAL_STYLES = {"success": "green", "skipped": "dim", "failed": "red", "upstream_failed": "red"}
_WAITING = "awaiting_input"


class RunView:
    """The tasks of one run: those that ended as lines, those at work in a live table below."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._printed_tries: set[tuple[str, int]] = set()
        self._since: dict[str, float] = {}
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        """Begin to show."""
        if console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the lines on the screen."""
        self._since = {}
        if console.is_terminal:
            self._live.stop()

    def update(self, tasks: Sequence[dict[str, Any]]) -> list[str]:
        """Show what changed and return the tasks that ended since the last time."""
        ended = []
        for task in sorted(tasks, key=lambda task: task["end_date"] or "9"):
            name, state = str(task["task_id"]), str(task["state"] or "")
            if state not in _FINAL_STYLES:
                self._note(name, state)
                continue
            self._since.pop(name, None)
            if (name, task["try_number"]) not in self._printed_tries:
                self._printed_tries.add((name, task["try_number"]))
                self._line(name, state, task["duration"])
                ended.append(name)
        return ended

    def _note(self, name: str, state: str) -> None:
        if state in ("running", _WAITING):
            self._since.setdefault(name, time.monotonic())
        else:
            self._since.pop(name, None)

    def _line(self, name: str, state: str, duration: float | None) -> None:
        seconds = f"{duration:6.1f} s" if duration else " " * 8
        console.print(f"  [{_FINAL_STYLES[state]}]{state:<15}[/] {seconds}  {escape(name)}")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        now = time.monotonic()
        for name, since in sorted(self._since.items(), key=lambda entry: entry[1]):
            table.add_row(
                "  [yellow]at work        [/]", f"{now - since:6.1f} s", f" {escape(name)}"
            )
        return table


def show_level(view: dict[str, Any], page: str) -> None:
    """Show the open level: who may answer, and exactly how."""
    level = view["levels"][view["level"] - 1]
    say(f"\n  Level {level['number']} of {len(view['levels'])}: {level['name']}")
    for gap in level["missing"]:
        say(f"  still needs {gap['needs']}; may answer: {', '.join(gap['candidates']) or 'nobody'}")
    approver = view["mayAnswer"][0] if view["mayAnswer"] else "NOBODY"
    say(f"  on the page:      {page}/airlock/releases/{view['id']}  (log in as {approver})")
    say(
        f"  on the command line: {program()} release approve {view['id']} --as {approver} "
        '--reason "..."'
    )


def program() -> str:
    """Return what to type for `airlock` here: the demo runs before anybody has set a PATH."""
    return os.path.relpath(sys.argv[0]) if shutil.which("airlock") is None else "airlock"


def show_opened(view: dict[str, Any]) -> None:
    """Show what is up for approval, with the numbers of every gate."""
    against = f"champion v{view['championVersion']}" if view["championVersion"] else "no champion"
    say(f"\n  Release {view['id']}: {view['model']} version {view['version']}, {against}")
    say(f"  subject {view['subject']['digest']}\n")
    print_gates(view)


def show_promoted(view: dict[str, Any], serving: str | None) -> None:
    """Show the promoted version and the grant that allowed it."""
    grant = view["grant"]
    say(f"\n  {view['model']}@{view['alias']} is version {serving} in MLflow")
    say(
        f"  grant {grant['id']}, number {grant['sequence']} of this model, "
        f"signed {grant['issuedAt']}, spent {grant['spentAt']}"
    )
