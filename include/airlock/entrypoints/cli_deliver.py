"""`airlock deliver`: the process that carries decisions out of the database.

It registers the policies and pipelines that are valid on disk, at the start and whenever a file
changes; it keeps the list of people in step with Airflow's log-ins; and it empties the outbox:
waking parked tasks, writing notes. It fires the timers that are due, grows the log's tree and
carries checkpoints out of the database. Beside all that it compares MLflow with what was released.
It runs as a decider.

Rules:
* Whatever does not answer is tried again, for ever, with growing pauses, and said once.
* A refused policy changes nothing: what was registered before stays in force for open releases.
* SIGTERM ends it between two messages.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airlock.domain.errors import AirlockError, Invalid, Unreachable
from airlock.domain.policy import Rulebook
from airlock.entrypoints.watchman import Watchman
from airlock.services.sequencing import Sequencer
from airlock.services.timing import Keeper

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock
    from airlock.config.settings import Settings

PERIOD_S = 0.5
LONGEST_PAUSE_S = 15.0
#: How long a right taken away in Airflow may still count here, if its holder does not click.
PEOPLE_S = 10.0
_FOLDERS = ("pipelines", "policies")

log = logging.getLogger("airlock.deliver")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("deliver")(deliver)


def deliver(
    once: Annotated[bool, typer.Option("--once", help="Empty the outbox once, then end.")] = False,
) -> None:
    """Register policies and pipelines, and tell Airflow what was decided."""
    from airlock import bootstrap  # every other command would pay for importing it up there

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    airlock = bootstrap.decider()
    watchman = Watchman(airlock.detector)
    courier = Courier(airlock, watchman.answer)
    if once:
        courier.round()
        return
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    watchman.start(stop)
    run(courier, stop)


def run(courier: Courier, stop: threading.Event) -> None:
    """Work until *stop* is set, whatever happens outside."""
    log.info("delivering every %s s", PERIOD_S)
    said, pause = "", PERIOD_S
    while not stop.wait(pause):
        try:
            courier.round()
        except AirlockError as error:
            pause = min(pause * 2, LONGEST_PAUSE_S)
            if error.message != said:
                log.warning("%s %s", error.message, error.next_step)
            said = error.message
            continue
        if said:
            log.info("it works again")
        said, pause = "", PERIOD_S
    log.info("ended as asked")


class Courier:
    """One round after the other: register what changed, deliver what is due."""

    def __init__(self, airlock: Airlock, looked: Callable[[], None] | None = None) -> None:
        from airlock.adapters.airflow_rest import AirflowRest

        self._airlock, self._looked = airlock, looked
        self._airflow = AirflowRest(airlock.settings.airflow_url, _password_file(airlock.settings))
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self._rulebook: Rulebook | None = None
        self._people_at = 0.0
        self._ownerless: frozenset[tuple[str, str]] = frozenset()
        self._sequencer: Sequencer | None = None
        self._keeper = Keeper(airlock.store)

    def round(self) -> int:
        """Do what is due; return how many messages were settled.

        Raises:
            Unreachable: if Airlock's own database did not answer.
        """
        from airlock.services import delivering

        self._register()
        self._keeper.round()  # first: time passes whether or not Airflow answers
        signer = self._airlock.signer
        if signer is None:
            raise Invalid("the delivery process has no signing key")
        settled = delivering.Delivery(
            self._airlock.store,
            signer,
            self._airflow,
            permits=self._airlock.permits,
            looked=self._looked,
            chat=self._airlock.settings.slack is not None,
            alert_mail=self._airlock.settings.alert_mail or "",
        ).run()
        if self._sequencer is None:
            self._sequencer = Sequencer(self._airlock.store, signer, self._airlock.places)
        self._sequencer.round()
        self._sync_people()
        return settled

    def _register(self) -> None:
        from airlock.adapters.git_code import last_author
        from airlock.config.load import load_pipelines, load_rulebook
        from airlock.services import configuring

        settings = self._airlock.settings
        files = _fingerprint(settings.config_dir)
        if files == self._seen:
            return
        try:
            document = load_rulebook(settings.config_dir).document
        except Invalid as error:
            log.error("the policies are refused, nothing new is registered: %s", error.message)
            self._seen = files
            return
        pipelines = load_pipelines(settings.config_dir, settings.root)
        self._rulebook, self._people_at = Rulebook.from_document(document), 0.0
        with contextlib.suppress(Unreachable):  # said at the end of the round
            self._sync_people()  # before it is asked who owns what
        documents = self._owned([one.document for one in pipelines.valid])
        changer = last_author(settings.root, str(settings.config_dir / "policies"))
        for digest in configuring.register(self._airlock.store, document, documents, changer):
            log.info("registered %s", digest)
        for refused in pipelines.refused:
            log.error("%s", refused)
        self._seen = files

    def _owned(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the pipelines whose owner is known; the others are tried again as people come."""
        from airlock.services import configuring

        missing = configuring.without_owner(self._airlock.store, documents)
        for name, owner in missing.items():
            if (name, owner) not in self._ownerless:
                log.warning(
                    "the pipeline %s is not registered: its owner %r is nobody Airlock knows. Make "
                    "the account %s in Airflow, or name somebody else in metadata.owner; `airlock "
                    "person list` shows who is known.",
                    *(name, owner, owner),
                )
        self._ownerless = frozenset(missing.items())
        return [one for one in documents if one["metadata"]["name"] not in missing]

    def _sync_people(self) -> None:
        from airlock.services import directory

        if self._rulebook is None or time.monotonic() < self._people_at:
            return
        accounts = self._airflow.accounts()
        self._people_at = time.monotonic() + PEOPLE_S
        if accounts is not None:
            changed = directory.sync(self._airlock.store, self._rulebook, accounts)
            for person in changed:
                log.info("%s is in step with Airflow", person)
            if self._ownerless and changed:
                self._seen = frozenset()  # the owner may have come: register in the next round


def _fingerprint(config_dir: Path) -> frozenset[tuple[str, int, int]]:
    """Return something that differs when a file was added, removed or written."""
    found = set()
    for folder in _FOLDERS:
        for path in (config_dir / folder).glob("*.y*ml"):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.add((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(found)


def _password_file(settings: Settings) -> Path:
    if settings.service_password_file is None:
        raise Invalid(
            "AIRLOCK_SERVICE_PASSWORD_FILE is not set, so Airflow could not be told anything",
            next_step="`airlock up` sets it for the delivery process.",
        )
    return settings.service_password_file
