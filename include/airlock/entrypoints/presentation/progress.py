"""Steps shown as they happen: a live table on a terminal, one line per step elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

console = Console(highlight=False)


@dataclass
class _Row:
    name: str
    begun: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    failed: bool = False


class Steps:
    """A list of steps with state and seconds; several may run at once."""

    def __init__(self) -> None:
        """Start with no steps."""
        self._rows: list[_Row] = []
        self._lock = threading.Lock()
        self._live = Live(
            get_renderable=self._table, console=console, refresh_per_second=5, transient=False
        )

    def __enter__(self) -> Steps:
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
        """Leave the finished table on the screen."""
        if console.is_terminal:
            self._live.stop()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show one step while the block runs."""
        row = _Row(name)
        with self._lock:
            self._rows.append(row)
        try:
            yield
        except BaseException:
            row.failed = True
            raise
        finally:
            row.seconds = time.monotonic() - row.begun
            if not console.is_terminal:
                word = "failed" if row.failed else "done"
                console.print(f"{word:<7} {row.seconds:6.1f} s  {name}")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            rows = list(self._rows)
        for row in rows:
            seconds = row.seconds if row.seconds is not None else time.monotonic() - row.begun
            table.add_row(_word(row), f"{seconds:6.1f} s", row.name)
        return table


def _word(row: _Row) -> str:
    if row.failed:
        return "[red]failed[/]"
    return "[green]done[/]" if row.seconds is not None else "[yellow]...[/]"
