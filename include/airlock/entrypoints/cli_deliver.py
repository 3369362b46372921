"""`airlock deliver`: the process that carries decisions out of the database.

It registers the policies and pipelines that are valid on disk, at the start and whenever a file
changes; it keeps the list of people in step with Airflow's log-ins; and it empties the outbox:
waking parked tasks, writing notes. It fires the timers that are due, grows the log's tree and
carries checkpoints out of the database. Where a pipeline says `onCommit`, a commit of its code
starts a run. Beside all that it compares MLflow with what was released, and answers what tasks
propose.
It runs as a decider.

Rules:
* Whatever does not answer is tried again, for ever, with growing pauses, and said once.
* A refused policy changes nothing: what was registered before stays in force for open releases.
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

from airlock.domain.errors import AirlockError, Invalid
from airlock.domain.policy import Rulebook
from airlock.domain.recipe import Recipe
from airlock.entrypoints.proposal_loop import ProposalLoop
from airlock.entrypoints.watchman import Watchman
from airlock.services.committing import CommitTrigger
from airlock.services.sequencing import Sequencer
from airlock.services.timing import Keeper

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock

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
        answering = _proposals(airlock)
        if answering:
            answering.drain()
        return
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    watchman.start(stop)
    answering = _proposals(airlock)
    thread = answering.start(stop) if answering else None
    run(courier, stop)
    if thread is not None:
        thread.join(LONGEST_PAUSE_S)


def _proposals(airlock: Airlock) -> ProposalLoop | None:
    """Return what answers tasks; on SQLite they have answered themselves."""
    from airlock.adapters.sql_store.listening import Listener
    from airlock.bootstrap.proposals import handling_of

    url = airlock.settings.database_url or ""
    return None if url.startswith("sqlite") else ProposalLoop(handling_of(airlock), Listener(url))


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
        from airlock.bootstrap.proposals import password_file

        self._airlock, self._looked = airlock, looked
        self._airflow = AirflowRest(airlock.settings.airflow_url, password_file(airlock.settings))
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self._changer, self._changer_at = "", 0.0
        self._rulebook: Rulebook | None = None
        self._people_at = 0.0
        self._sequencer: Sequencer | None = None
        self._keeper = Keeper(airlock.store)
        self._unsettled = ""
        self._commits = CommitTrigger(self._newest_commit, self._airflow)
        self._folders: dict[str, str] = {}
        self._trouble: dict[str, str] = {}

    def round(self) -> int:
        """Do what is due; return how many messages were settled.

        Raises:
            Unreachable: if Airlock's own database did not answer.
        """
        from airlock.services import delivering

        self._register()
        self._keeper.round()  # first: time passes whether or not Airflow answers
        self._settle_promotions()
        signer = self._airlock.signer
        if signer is None:
            raise Invalid("the delivery process has no signing key")
        settled = delivering.Delivery(
            self._airlock.store,
            signer,
            self._airflow,
            looked=self._looked,
            chat=self._airlock.settings.slack is not None,
            alert_mail=self._airlock.settings.alert_mail or "",
        ).run()
        if self._sequencer is None:
            self._sequencer = Sequencer(self._airlock.store, signer, self._airlock.places)
        self._sequencer.round()
        self._look_at_commits()
        self._sync_people()
        return settled

    def _settle_promotions(self) -> None:
        """Ask the guard of MLflow about attempts whose time is over; it is tried again for ever."""
        try:
            self._airlock.promotions.settle_all()
        except AirlockError as error:
            if error.message != self._unsettled:
                log.warning("%s %s", error.message, error.next_step)
            self._unsettled = error.message
        else:
            self._unsettled = ""

    def _register(self) -> None:
        from airlock.config.load import load_pipelines, load_rulebook
        from airlock.domain.duties import is_unknown
        from airlock.services import configuring

        settings = self._airlock.settings
        files = _fingerprint(settings.config_dir)
        if files == self._seen and not (is_unknown(self._changer) and self._names_changer()):
            return
        try:
            document = load_rulebook(settings.config_dir).document
        except Invalid as error:
            log.error("the policies are refused, nothing new is registered: %s", error.message)
            self._seen = files
            return
        pipelines = load_pipelines(settings.config_dir, settings.root)
        documents = [one.document for one in pipelines.valid]
        if files != self._seen:
            self._changer_at = 0.0
            self._names_changer()
        for digest in configuring.register(self._airlock.store, document, documents, self._changer):
            log.info("registered %s", digest)
        for refused in pipelines.refused:
            log.error("%s", refused)
        self._folders = {
            one.name: Recipe(one.document).folder
            for one in pipelines.valid
            if one.spec.triggers.on_commit
        }
        with self._airlock.store.begin() as unit:
            underway = unit.leased()
        if not underway:  # what is being promoted now may have to be voided when that has ended
            self._seen = files
        self._rulebook = Rulebook.from_document(document)
        self._people_at = 0.0

    def _names_changer(self) -> bool:
        """Ask git, now and then, who changed the policies; say whether it knows."""
        from airlock.adapters.git_code import last_author
        from airlock.domain.duties import is_unknown

        if time.monotonic() < self._changer_at:
            return False
        self._changer_at = time.monotonic() + PEOPLE_S
        settings = self._airlock.settings
        self._changer = last_author(settings.root, str(settings.config_dir / "policies"))
        return not is_unknown(self._changer)

    def _look_at_commits(self) -> None:
        troubles = self._commits.round(self._folders)
        for pipeline, why in troubles.items():
            if self._trouble.get(pipeline) != why:
                log.warning("onCommit of %s: %s", pipeline, why)
        self._trouble |= troubles

    def _newest_commit(self, folder: str) -> str:
        from airlock.adapters.git_code import last_commit

        settings = self._airlock.settings
        return settings.code_commit or last_commit(settings.root, folder)

    def _sync_people(self) -> None:
        from airlock.services import directory

        if self._rulebook is None or time.monotonic() < self._people_at:
            return
        accounts = self._airflow.accounts()
        self._people_at = time.monotonic() + PEOPLE_S
        if accounts is not None:
            for person in directory.sync(self._airlock.store, self._rulebook, accounts):
                log.info("roles of %s are in step", person)


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
