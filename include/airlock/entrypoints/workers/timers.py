"""`airlock timers run`: the sweep, for platforms without the delivery process.

It runs as a decider, where the API server runs. Several at once do no harm: each takes timers
nobody else has.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from airlock.domain.errors import Unreachable
from airlock.entrypoints.platform_location import RoleName, take_role
from airlock.entrypoints.presentation.terminal import say
from airlock.services.approvals import deadlines, review_reminders

timers = typer.Typer(help="Reminders, escalation, expiry.", no_args_is_help=True)


@timers.callback()
def main() -> None:
    """Reminders, escalation, expiry."""


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    timers.command("run")(run_command)
    app.add_typer(timers, name="timers")


def run_command(
    once: Annotated[bool, typer.Option("--once", help="Fire what is due, then end.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two sweeps.", min=0.5)] = 60.0,
    role: RoleName = "",
) -> None:
    """Fire the timers that are due: remind, and end what nobody answered. Never approves."""
    from airlock import bootstrap  # every other command would pay for importing it up there

    take_role(role, ("operator",))
    store = bootstrap.decider().store
    deadlines.arm_missing(store)
    review_reminders.arm_missing(store)
    if once:
        say(_summary(deadlines.sweep(store)))
        return
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    keeper = deadlines.Keeper(store)
    while not stop.is_set():
        try:
            swept = keeper.round()
        except Unreachable as error:
            say(f"{error.message} {error.next_step}")
        else:
            if swept.batches:
                say(_summary(swept))
        stop.wait(every)


def _summary(swept: deadlines.Swept) -> str:
    return f"{swept.fired} timers fired, {swept.cancelled} had nothing left to do."
