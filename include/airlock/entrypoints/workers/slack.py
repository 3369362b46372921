"""`airlock slack`: the process that speaks in Slack, and listens there if no ingress is open.

It runs as a decider, once per installation. It says what waits in the outbox for the chat, and
shows inboxes. With an app token (xapp-...) it also receives what is clicked, by Socket Mode.

Rules:
* It starts whether or not Slack answers, and goes on whatever Slack answers.
* That Slack went away is said once, and once that it is back. So with Airlock's own database.
* It says what is due as soon as the database says there is something, and looks besides.
* Its step is written down for `airlock status`, as those of the delivery process are.
* SIGTERM ends it between two messages.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from airlock.domain.errors import AirlockError
from airlock.entrypoints.slack import diagnostics_command
from airlock.entrypoints.workers.steps import Round, Step

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock
    from airlock.ports import Waiting
    from airlock.services.notifications.slack import Speaker

PERIOD_S = 0.5
#: How long what is being answered may take to end.
LISTENED_S = 5.0
#: How often a connection of Airflow that cannot be used is read again.
CONNECTION_S = 60.0

log = logging.getLogger("airlock.slack")

slack = typer.Typer(help="Speak in Slack.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    diagnostics_command.register(slack)
    app.add_typer(slack, name="slack")


@slack.callback()
def main(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Say what is due once, then end.")] = False,
) -> None:
    """Say in Slack what the database decided; with an app token, listen there as well."""
    if context.invoked_subcommand is not None:
        return
    from airlock.adapters.sql_store.outbox.listening import outbox_watch
    from airlock.bootstrap.slack import speaker  # every other command would pay for it up there

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    airlock = _decider(patient=not once)
    speaks = speaker(airlock)
    if once:
        speaks.catch_up()
        while speaks.run():
            pass
        return
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    ears = listen(airlock, stop)
    file = airlock.settings.home / "run" / "work-speaking.json"
    run(speaks, stop, outbox_watch(airlock.settings.database_url or ""), file)
    if ears is not None:
        ears.join(LISTENED_S)
        raise typer.Exit(int(ears.broke))


def listen(airlock: Airlock, stop: threading.Event) -> Ears | None:
    """Receive by Socket Mode until *stop* is set, if there is an app token."""
    slack_settings = airlock.settings.slack
    if slack_settings is None or not slack_settings.app_token:
        log.info("no app token, so Slack reaches us by HTTP alone")
        return None
    from airlock.adapters.slack import socket
    from airlock.entrypoints.slack.dispatcher import desk_of

    try:
        desk = desk_of(airlock)
    except AirlockError as error:
        log.error("not listening: %s %s", error.message, error.next_step)
        return None
    token, url = slack_settings.app_token, slack_settings.api_url
    ears = Ears(lambda: socket.listen(token, url, desk.handle, stop), stop)
    ears.start()
    return ears


class Ears(threading.Thread):
    """Listens beside who speaks; if that breaks, the process ends, to be started again."""

    def __init__(self, hear: Callable[[], None], stop: threading.Event) -> None:
        super().__init__(name="airlock-slack-ears", daemon=True)
        self._hear, self._stop_all, self.broke = hear, stop, False

    def run(self) -> None:
        """Listen."""
        try:
            self._hear()
        except Exception:
            log.exception("listening broke, so this process ends, to be started again")
            self.broke = True
            self._stop_all.set()


def _decider(*, patient: bool) -> Airlock:
    """Put everything together; a connection of Airflow that is not right yet is waited for."""
    from airlock import bootstrap

    chosen, last_error = bootstrap.settings(), ""
    while True:
        try:
            chosen = bootstrap.connected(chosen)
            break
        except AirlockError as error:
            if not patient or chosen.slack_connection is None:
                raise
            if error.message != last_error:
                log.warning("%s. %s", error.message, error.next_step)
            last_error = error.message
            time.sleep(CONNECTION_S)
    return bootstrap.decider(chosen)


def run(speaker: Speaker, stop: threading.Event, posted: Waiting, file: Path | None = None) -> None:
    """Speak until *stop* is set, whatever happens outside; *posted* says when to look.

    *file*: where `airlock status` reads how it fares.
    """
    log.info("speaking in Slack")
    speaks = _Speaking(speaker)
    work = Round([Step("speak in Slack", speaks.once, speaks.notes)], file)
    while not stop.is_set():
        speaks.settled = 0
        work.run()
        if not speaks.settled:
            posted.wait(PERIOD_S)
    work.forget()
    posted.close()
    log.info("ended as asked")


class _Speaking:
    """What a round of this process does; *settled*: how many messages it settled for good."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker, self._caught_up, self.settled = speaker, False, 0

    def once(self) -> None:
        """Ask for cards that lack, once, and say what is due."""
        if not self._caught_up:
            self._speaker.catch_up()
            self._caught_up = True
        self.settled = self._speaker.run()

    def notes(self) -> tuple[str, ...]:
        """Return why Slack takes nothing at the moment."""
        return (self._speaker.away,) if self._speaker.away else ()
