"""`airlock deliver`: the process that carries decisions out of the database.

It registers the policies and pipelines that are valid on disk, at the start and whenever a file
changes; it keeps the list of people in step with Airflow's log-ins; and it empties the outbox:
waking parked tasks, writing notes. It fires the timers that are due, grows the log's tree and
carries checkpoints out of the database. Where a pipeline says `onCommit`, a commit of its code
starts a run. Beside all that it compares MLflow with what was released, and answers what tasks
propose.
It runs as a decider.

Rules:
* Each step of a round is its own: whatever does not answer, or breaks, is tried again, for ever,
  with growing pauses, is said once, and keeps no other step from its work.
* A refused policy changes nothing: what was registered before stays in force for open releases,
  and a step of its own says so for as long as it lasts.
* Files count when they have stayed the same for a moment: an editor that saves twice, or a
  checkout that is half done, is one change.
* Messages are delivered as soon as the database says that there are some; that it is looked at
  every half second besides makes a lost wake-up harmless.
* SIGTERM ends it between two messages.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airlock.domain.approval.policy import Rulebook
from airlock.domain.errors import AirlockError, Invalid, Unreachable
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.entrypoints.workers.drift_monitor import Watchman
from airlock.entrypoints.workers.housekeeping import Housekeeper
from airlock.entrypoints.workers.proposal_loop import ProposalLoop
from airlock.entrypoints.workers.steps import LONGEST_PAUSE_S, Round, Step
from airlock.services.approvals.deadlines import Keeper
from airlock.services.audit.transparency_log import Sequencer
from airlock.services.pipeline.commit_trigger import CommitTrigger

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock
    from airlock.config.load import Fingerprint
    from airlock.ports import Signer, Waiting

PERIOD_S = 0.5
#: How long a right taken away in Airflow may still count here, if its holder does not click.
PEOPLE_S = 10.0
#: So long files have to stay the same before they are registered; at the start they count at once.
SETTLED_S = 4.0
#: How often open releases are held against the rules in force, besides after every change.
STALE_S = 60.0

log = logging.getLogger("airlock.deliver")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("deliver")(deliver)


def deliver(
    once: Annotated[bool, typer.Option("--once", help="Empty the outbox once, then end.")] = False,
) -> None:
    """Register policies and pipelines, and tell Airflow what was decided."""
    from airlock import bootstrap  # every other command would pay for importing it up there
    from airlock.adapters.sql_store.outbox.listening import outbox_watch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    airlock = bootstrap.decider()
    watchman = Watchman(airlock.detector, folder=airlock.settings.home / "run")
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
    proposals = threading.Thread(target=_answer, args=(airlock, stop), name="proposals")
    proposals.start()
    run(courier, stop, outbox_watch(airlock.settings.database_url or ""))
    proposals.join(LONGEST_PAUSE_S)


def _answer(airlock: Airlock, stop: threading.Event) -> None:
    """Answer tasks until *stop* is set; what it needs and is not there yet is waited for."""
    loops: list[ProposalLoop | None] = []
    making = Step("answer what tasks propose", lambda: loops.append(_proposals(airlock)))
    while not loops and not stop.wait(PERIOD_S):
        making.run()
    if loops and loops[0] is not None:
        loops[0].run(stop)


def _proposals(airlock: Airlock) -> ProposalLoop | None:
    """Return what answers tasks; on SQLite they have answered themselves."""
    from airlock.adapters.sql_store.outbox.listening import PROPOSALS, Listener
    from airlock.bootstrap.proposals import handling_of

    url = airlock.settings.database_url or ""
    if url.startswith("sqlite"):
        return None
    return ProposalLoop(handling_of(airlock), Listener(url, PROPOSALS))


def run(courier: Courier, stop: threading.Event, posted: Waiting) -> None:
    """Work until *stop* is set, whatever happens outside; *posted* says when to deliver."""
    log.info("delivering when woken, and every %s s", PERIOD_S)
    rounds = (
        (courier.asking(), stop.wait),
        (courier.delivering(), posted.wait),
        *((carrier_round, stop.wait) for carrier_round in courier.carrying()),
    )
    beside = [threading.Thread(target=_repeat, args=(*arguments, stop)) for arguments in rounds]
    for thread in beside:
        thread.start()
    _repeat(courier.deciding(), stop.wait, stop)
    for thread in beside:
        thread.join(LONGEST_PAUSE_S)
    posted.close()
    log.info("ended as asked")


def _repeat(work: Round, wait: Callable[[float], object], stop: threading.Event) -> None:
    while not stop.is_set():
        wait(PERIOD_S)
        if not stop.is_set():
            work.run()


class Courier:
    """One round after the other: register what changed, deliver what is due."""

    def __init__(self, airlock: Airlock, looked: Callable[[], None] | None = None) -> None:
        from airlock.adapters.airflow.rest import AirflowRest
        from airlock.bootstrap.proposals import password_file

        self._airlock, self._looked = airlock, looked
        self._airflow = AirflowRest(airlock.settings.airflow_url, password_file(airlock.settings))
        self._registered: Fingerprint | None = None
        self._written: Fingerprint = frozenset()
        self._written_at = 0.0
        self._again = False
        self._in_force: tuple[dict[str, Any], list[dict[str, Any]]] | None = None
        self._stale_at = 0.0
        self._refused: tuple[str, ...] = ()
        self._changer, self._changer_at = "", 0.0
        self._rulebook: Rulebook | None = None
        self._people_at = 0.0
        self._ownerless: frozenset[tuple[str, str]] = frozenset()
        self._sequencer: Sequencer | None = None
        self._keeper = Keeper(airlock.store)
        self._house = Housekeeper(airlock.settings)
        self._commits = CommitTrigger(self._newest_commit, self._airflow)
        self._folders: dict[str, str] = {}
        self._trouble: dict[str, str] = {}

    def round(self) -> None:
        """Do every step once."""
        self.asking().run()
        self.delivering().run()
        self.deciding().run()
        for carrier_round in self.carrying():
            carrier_round.run()

    def deciding(self) -> Round:
        """Return the steps that nobody outside the database can make wait."""
        return self._steps(
            "deciding",
            Step("fire timers", self._keeper.round, self._keeper.notes),
            Step("grow the log's tree", self._sequence),
        )

    def carrying(self) -> list[Round]:
        """Return a round for each place that keeps checkpoints; none waits for another."""
        from airlock.services.audit.transparency_log import carriers

        for old in (self._airlock.settings.home / "run").glob("work-carrying*.json"):
            with contextlib.suppress(OSError):  # of a place that may not be one any more
                old.unlink()
        try:
            each = carriers(self._airlock.store, self._airlock.places)
        except AirlockError:  # a setting is wrong: the step says so for as long as it is
            return [self._steps("carrying", Step("keep checkpoints", lambda: self._airlock.places))]
        return [
            self._steps(
                f"carrying-{number}",
                Step(f"keep checkpoints in {carrier.place.name}", carrier.round),
            )
            for number, carrier in enumerate(each)
        ]

    def asking(self) -> Round:
        """Return the steps that wait for Airflow or MLflow; one that hangs delays no timer."""
        return self._steps(
            "asking",
            Step("register policies and pipelines", self._register),
            Step("read every policy and pipeline", self._say_refused),
            Step("void what was asked for under other rules", self._void_stale),
            Step("end promotions that are over", self._settle_promotions),
            Step("look at commits", self._look_at_commits),
            Step("keep people in step", self._sync_people),
            Step("look after the disk", self._house.round, self._house.notes),
        )

    def delivering(self) -> Round:
        """Return the step a person's answer waits for; it waits for no other step."""
        return self._steps("delivering", Step("deliver messages", self._deliver))

    def _steps(self, name: str, *steps: Step) -> Round:
        return Round(steps, self._airlock.settings.home / "run" / f"work-{name}.json")

    def _settle_promotions(self) -> None:
        """Ask the guard of MLflow about attempts whose time is over."""
        self._airlock.promotions.settle_all()

    def _sequence(self) -> None:
        if self._sequencer is None:
            self._sequencer = Sequencer(self._airlock.store, self._signer())
        self._sequencer.round()

    def _signer(self) -> Signer:
        if self._airlock.signer is None:
            raise Invalid("the delivery process has no signing key")
        return self._airlock.signer

    def _deliver(self) -> int:
        from airlock.services.notifications import outbox_relay

        return outbox_relay.Delivery(
            self._airlock.store,
            self._signer(),
            self._airflow,
            looked=self._looked,
            chat=self._airlock.settings.slack is not None,
            alert_mail=self._airlock.settings.alert_mail or "",
        ).run()

    def _register(self) -> None:
        from airlock.config.load import fingerprint, load_pipelines, load_rulebook
        from airlock.domain.people.separation_of_duties import is_unknown
        from airlock.services.approvals import policy_registry

        settings = self._airlock.settings
        files = fingerprint(settings.config_dir)
        same = files == self._registered and not self._again
        if same and not (is_unknown(self._changer) and self._names_changer()):
            return
        if not self._settled(files):
            return
        try:
            document = load_rulebook(settings.config_dir).document
        except Invalid as error:
            self._refused = (f"the policies are refused: {error.message}",)
            self._registered, self._again = files, False
            return
        pipelines = load_pipelines(settings.config_dir, settings.root)
        if fingerprint(settings.config_dir) != files:
            return  # written while they were read
        self._rulebook, self._people_at = Rulebook.from_document(document), 0.0
        with contextlib.suppress(Unreachable):  # said by the step that keeps people in step
            self._sync_people()  # before it is asked who owns what
        documents = self._owned([pipeline.document for pipeline in pipelines.valid])
        if files != self._registered:
            self._changer_at = 0.0
            self._names_changer()
        for digest in policy_registry.keep(self._airlock.store, document, documents, self._changer):
            log.info("registered %s; the policies were last changed by %s", digest, self._changer)
        self._refused = tuple(map(str, pipelines.refused))
        self._folders = {
            pipeline.name: Recipe(pipeline.document).folder
            for pipeline in pipelines.valid
            if pipeline.spec.triggers.on_commit
        }
        self._in_force, self._stale_at = (document, documents), 0.0
        self._registered, self._again = files, False

    def _settled(self, files: Fingerprint) -> bool:
        """Say whether the files have stayed the same for long enough."""
        if files != self._written:
            self._written, self._written_at = files, time.monotonic()
        first = self._registered is None or files == self._registered
        return first or time.monotonic() - self._written_at >= SETTLED_S

    def _say_refused(self) -> None:
        """Fail for as long as a file is refused, so that its problems stay to be seen."""
        if self._refused:
            raise Invalid(
                "\n".join(self._refused),
                next_step="What was registered before stays in force; `airlock policy check` says "
                "when the files are right.",
            )

    def _void_stale(self) -> None:
        """Hold the open releases against the rules in force."""
        from airlock.services.approvals.invalidation import void_stale

        if self._in_force is None or time.monotonic() < self._stale_at:
            return
        sweep = void_stale(self._airlock.store, *self._in_force)
        self._stale_at = time.monotonic() + (1.0 if sweep.underway else STALE_S)
        for release_id in sweep.moved:
            log.info("%s was asked for under other rules, and is void or over", release_id)
        if sweep.failed:
            reasons = "; ".join(f"{name}: {why}" for name, why in sweep.failed.items())
            raise Invalid(
                f"{len(sweep.failed)} releases cannot be held against the rules in force: "
                f"{reasons}",
                next_step="`airlock audit verify` says whether their rows were changed.",
            )

    def _owned(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the pipelines whose owner is known; the others are tried again as people come."""
        from airlock.services.approvals import policy_registry

        missing = policy_registry.without_owner(self._airlock.store, documents)
        for name, owner in missing.items():
            if (name, owner) not in self._ownerless:
                log.warning(
                    "the pipeline %s is not registered: its owner %r is nobody Airlock knows. Make "
                    "the account %s in Airflow, or name somebody else in metadata.owner; `airlock "
                    "person list` shows who is known.",
                    *(name, owner, owner),
                )
        self._ownerless = frozenset(missing.items())
        return [document for document in documents if document["metadata"]["name"] not in missing]

    def _names_changer(self) -> bool:
        """Ask git, now and then, who changed the policies; say whether it knows."""
        from airlock.adapters.git_code import last_author
        from airlock.domain.people.separation_of_duties import is_unknown

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
        from airlock.services.people import sync

        if self._rulebook is None or time.monotonic() < self._people_at:
            return
        accounts = self._airflow.accounts()
        self._people_at = time.monotonic() + PEOPLE_S
        if accounts is not None:
            changed = sync.sync(self._airlock.store, self._rulebook, accounts)
            for person in changed:
                log.info("%s is in step with Airflow", person)
            if self._ownerless and changed:
                self._again = True  # the owner may have come: register in the next round
