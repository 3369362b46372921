"""`airlock completion bash|zsh|fish`: a script that lets a shell complete the command.

Typer's own option writes into the shell's start-up files unasked; the parts behind it are private,
so a newer Typer is tried by `tests/unit/entrypoints/test_cli_offline.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_classes import completion_init
from typer._completion_shared import get_completion_script as script_of

_VARIABLE = "_AIRLOCK_COMPLETE"


class Shell(StrEnum):
    """A shell there is a script for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def register(app: typer.Typer) -> None:
    """Add the command to the main program, and the answers its script asks for."""
    app.command("completion")(completion_command)
    completion_init()


def completion_command(
    shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")],
) -> None:
    """Print a script that completes `airlock`: `source <(airlock completion bash)`."""
    typer.echo(script_of(prog_name="airlock", complete_var=_VARIABLE, shell=shell.value))
