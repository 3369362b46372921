"""How the command line talks: shared options, tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from airlock.config.settings import Settings
from airlock.domain.clock import spelled
from airlock.domain.errors import AirlockError
from airlock.domain.number_format import NONE
from airlock.entrypoints import platform_location
from airlock.entrypoints.client import (
    Client,
    demo_password,
    load_session,
    log_in,
    session_file,
)
from airlock.entrypoints.presentation.printed_commands import spelled_for
from airlock.entrypoints.presentation.progress import console

AsUser = Annotated[
    str, typer.Option("--as", metavar="USER", help="Act as a demo user of this machine's platform.")
]
SessionFile = Annotated[
    Path | None, typer.Option("--session", help="Use the login kept in this file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

#: Columns people copy from; they are never broken.
_WHOLE = ("id", "stream", "when (UTC)")
#: Width of a table that goes into a file or a pipe.
_WIDE = 200

#: The demo user this command acts as, if any.
_ACTING: list[str] = []

_STYLES = {
    "PASSED": "green",
    "FAILED": "red",
    "ERRORED": "red",
    "WAIVED": "yellow",
    "PROMOTED": "green",
    "APPROVED": "green",
    "PROMOTING": "yellow",
    "REJECTED": "red",
    "BLOCKED": "red",
    "AWAITING_APPROVAL": "yellow",
}


def settings() -> Settings:
    """Return the settings of this command, from whatever folder of the checkout."""
    return platform_location.settings()


def begin() -> None:
    """Begin a command: nobody has acted yet."""
    _ACTING.clear()


def acting() -> str:
    """Return what `--as` has to say in the next command: a name, or "" where people log in.

    Whoever has acted as a demo user goes on so; nobody yet: USER, where there are demo users.
    """
    if _ACTING:
        return _ACTING[-1]
    try:
        demo = platform_location.settings(anywhere=True).home / "secrets" / "users.json"
        return "USER" if os.access(demo, os.R_OK) and not session_file(os.environ).exists() else ""
    except (AirlockError, OSError):
        return ""


def advised(text: str) -> str:
    """Return a text with its commands as they can be typed here."""
    return spelled_for(text, acting())


def connect(as_user: str = "", session_path: Path | None = None) -> Client:
    """Return a client for a demo user, a session file, or the login of this user."""
    if as_user:
        _ACTING[:] = [as_user]
        local = platform_location.settings(anywhere=True)
        return Client(log_in(local.airflow_url, as_user, demo_password(local.home, as_user)))
    return Client(load_session(session_path or session_file(os.environ)))


def print_json(data: Any) -> None:
    """Print data for programs."""
    sys.stdout.write(f"{json.dumps(data, indent=2, ensure_ascii=False)}\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table for people. Nothing in a cell is read as markup."""
    grid = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    for column in columns:
        grid.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        grid.add_row(*(cell(value) for value in row))
    wide = console if console.is_terminal else Console(width=_WIDE, highlight=False)
    wide.print(grid)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print what was read: whole for programs, these columns of it for people."""
    if as_json:
        print_json(rows)
    else:
        table(columns, [[row[column] for column in columns] for row in rows])


def cell(value: object) -> str:
    """Return a value as a table shows it."""
    text = NONE if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    style = _STYLES.get(text)
    return f"[{style}]{text}[/]" if style else escape(printable(text))


def say(text: str = "") -> None:
    """Print a line for people; nothing in it is read as markup."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """Return text for a terminal: times on this machine's clock, control characters shown.

    A control character is never sent, so nothing can steer the terminal.
    """
    local = spelled(text, None)
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in local)
