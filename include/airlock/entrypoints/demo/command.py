"""`airlock demo`: two real releases, from training to promotion, step by step.

It is an ordinary user of the platform: it logs in as the demo people, uses the same REST APIs as
everybody, and has no way round any rule. A release that is already open is gone on with, whoever
started its run, so the demo may be stopped and started at any point and on any day.
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Annotated, Any

import typer
from rich.rule import Rule

from airlock.adapters.mlflow import MlflowRegistry
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.entrypoints.cli.pipelines.runs import Run, no_release, run_path, tasks, trigger
from airlock.entrypoints.cli.platform.lifecycle import current_platform, print_addresses
from airlock.entrypoints.cli.platform.lifecycle import start as start_platform
from airlock.entrypoints.cli.release import run_promotion
from airlock.entrypoints.client import AIRLOCK, Client
from airlock.entrypoints.demo.people import enrol_everybody
from airlock.entrypoints.demo.story import RunView, program, show_level, show_opened, show_promoted
from airlock.entrypoints.presentation.progress import console
from airlock.entrypoints.presentation.terminal import connect, say, settings
from airlock_platform.people import PEOPLE

REQUESTER, AUDITOR = "ana", "sam"
#: Pipeline -> why it is in the demo.
CHAPTERS = {
    "employment": "a decision about a person: high risk, three levels, four people",
    "doctor-visits": "planning numbers: low risk, one level, one person",
}
#: The first release of a pipeline trains on data until this day, so that the next run of the demo
#: has new data and a champion to compare with.
FIRST_UNTIL = {"employment": "2017-12-31"}
_POLL_SECONDS = 1.0
#: States in which a release waits for nothing more.
_ENDED = ("BLOCKED", "PROMOTED", "REJECTED", "WITHDRAWN", "ROLLED_BACK", "SUPERSEDED", "EXPIRED")
#: Longest time between two changes before the demo says that something is stuck.
_PATIENCE_SECONDS = 1800.0

Auto = Annotated[bool, typer.Option("--auto", help="Answer as the demo approvers.")]
Start = Annotated[bool, typer.Option("--up/--no-up", help="Start the platform first.")]


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("demo")(demo_command)


def demo_command(auto: Auto = False, start: Start = True) -> None:
    """Start everything and walk two real releases from training to promotion."""
    if start:
        console.print(Rule("starting", align="left"))
        start_platform(PEOPLE)
    console.print(Rule("who may approve", align="left"))
    enrol_everybody()
    for name, about in CHAPTERS.items():
        console.print(Rule(f"{name}: {about}", align="left"))
        _chapter(name, auto)
    console.print(Rule("the audit trail", align="left"))
    _verify_log()
    console.print(Rule("what is running", align="left"))
    print_addresses(current_platform())
    say(f"\nLog in as one of the people in the file above; {REQUESTER} starts pipelines.")
    say("Stop everything with `make down`; nothing is lost.")


def _chapter(name: str, auto: bool) -> None:
    with connect(REQUESTER) as client:
        view = _walk(client, name, auto)
        login = client.post(f"{AIRLOCK}/mlflow-token", {})
    os.environ["MLFLOW_TRACKING_USERNAME"] = login["user"]
    os.environ["MLFLOW_TRACKING_PASSWORD"] = login["token"]
    serving = MlflowRegistry(settings().mlflow_tracking_uri).alias(view["model"], view["alias"])
    if serving != view["version"]:
        raise Refused(
            f"{name}@{view['alias']} is {serving} in MLflow, but version {view['version']} "
            "was released",
            next_step="Find out who moved the alias; `airlock audit list` has every event.",
        )
    show_promoted(view, serving)


def _walk(client: Client, name: str, auto: bool) -> dict[str, Any]:
    """Return the promoted release of a pipeline.

    A scheduled run may open its release first, and then the demo's own run ends without one, or
    take the place of the demo's: whichever is open is gone on with.
    """
    followed: set[Run] = set()
    run = _open_run(client, name) or _new_run(client, name)
    while True:
        followed.add(run)
        _follow(client, run, auto)
        view = _of_run(client, name, run.run_id)
        if view is not None and view["state"] == "APPROVED":
            view = run_promotion(client, view["id"], int(_PATIENCE_SECONDS))
        if view is not None and view["state"] != "SUPERSEDED":
            return _promoted(view)
        ending = no_release(client, name, run) if view is None else _not_promoted(view)
        other = _open_run(client, name)
        if other is None or other in followed:
            raise ending
        say(f"  {ending}")
        run = other


def _open_run(client: Client, name: str) -> Run | None:
    for release in client.get(f"{AIRLOCK}/releases", model=name):
        if release["state"] not in _ENDED:
            run = Run(str(release["origin"]["dagId"]), str(release["origin"]["runId"]))
            say(f"  {release['id']} is still open: going on with run {run.run_id}")
            return run
    return None


def _new_run(client: Client, name: str) -> Run:
    conf = {"reason": "airlock demo"}
    first = not client.get(f"{AIRLOCK}/releases", model=name, state="PROMOTED")
    if first and name in FIRST_UNTIL:
        conf["until"] = FIRST_UNTIL[name]
    run_id = trigger(client, name, conf)
    window = f" on data until {conf['until']}" if "until" in conf else ""
    say(f"  {REQUESTER} started run {run_id}{window}")
    return Run(name, run_id)


def _follow(client: Client, run: Run, auto: bool) -> None:
    """Show a run, and what its release waits for, until both wait for nothing more."""
    answer = _Answers(client, auto)
    last = time.monotonic()
    with RunView() as run_view:
        while True:
            state, rows = _progress(client, run)
            over = state in ("success", "failed")
            if run_view.update(rows):
                last = time.monotonic()
            is_due = over or any(row["state"] == "awaiting_input" for row in rows)
            if is_due and answer(run.dag_id, run.run_id):
                last = time.monotonic()
            if over and not answer.waiting:
                return
            if auto and time.monotonic() - last > _PATIENCE_SECONDS:
                raise Unreachable(
                    f"run {run.run_id} of {run.dag_id} has not changed for "
                    f"{_PATIENCE_SECONDS:.0f} s",
                    next_step="Look at it in Airflow, and at `airlock status`.",
                )
            time.sleep(_POLL_SECONDS)


def _progress(client: Client, run: Run) -> tuple[str, list[dict[str, Any]]]:
    """Return the state of a run and its tasks; one deleted in Airflow is over."""
    try:
        state = str(client.get(run_path(run.dag_id, run.run_id))["state"])
        return state, tasks(client, run.dag_id, run.run_id)
    except NotFound:
        return "failed", []


class _Answers:
    """Shows what waits, once per change, and with *auto* answers as the people who may."""

    def __init__(self, client: Client, auto: bool) -> None:
        """Start with nothing shown."""
        self._client, self._auto = client, auto
        self._opened = False
        self._last_place: tuple[int, int] = (0, 0)
        self.waiting = False  #: whether a level was open when last looked at

    def __call__(self, name: str, run_id: str) -> bool:
        """Show or answer the open level of a run's release; say whether anything changed."""
        view = _of_run(self._client, name, run_id)
        self.waiting = view is not None and bool(view["level"])
        if view is None or not view["level"]:
            return False
        if not self._opened:
            show_opened(view)
            self._opened = True
        place = (view["level"], len(view["levels"][view["level"] - 1]["votes"]))
        if place == self._last_place:
            return False
        self._last_place = place
        show_level(view, current_platform().site().public_url)
        if self._auto:
            _answer(view)
        return True


def _answer(view: dict[str, Any]) -> None:
    level = view["levels"][view["level"] - 1]
    if not view["mayAnswer"]:
        raise Refused(
            f"release {view['id']} waits at level {level['number']} ({level['name']}), "
            "and nobody may answer it",
            next_step=f"`{program()} release show {view['id']} --as {REQUESTER}` says who was "
            "excluded and why.",
        )
    approver = view["mayAnswer"][0]
    body = {
        "decision": "approve",
        "reason": f"demo: {level['name']} looked at the gates and agrees",
        "level": view["level"],
        "round": view["round"],
        "subjectDigest": view["subject"]["digest"],
    }
    with connect(approver) as client:
        client.post(f"{AIRLOCK}/releases/{view['id']}/votes", body, key=uuid.uuid4().hex)
    say(f"  {approver} approves\n")


def _of_run(client: Client, name: str, run_id: str) -> dict[str, Any] | None:
    for row in client.get(f"{AIRLOCK}/releases", model=name):
        if row["origin"]["runId"] == run_id:
            view: dict[str, Any] = client.get(f"{AIRLOCK}/releases/{row['id']}")
            return view
    return None


def _promoted(view: dict[str, Any]) -> dict[str, Any]:
    if view["state"] != "PROMOTED":
        raise _not_promoted(view)
    return view


def _not_promoted(view: dict[str, Any]) -> Refused:
    return Refused(
        f"release {view['id']} of {view['model']} is {view['state']}: "
        f"{view['why'] or 'not promoted'}",
        next_step=f"See `{program()} release show {view['id']} --as {REQUESTER}`.",
    )


def _verify_log() -> None:
    with connect(AUDITOR) as client:
        report = client.get(f"{AIRLOCK}/audit/verification")
    for damage in report["damages"]:
        say(f"  damaged: {damage}")
    if not report["ok"]:
        raise Refused("the audit log does not verify", next_step="Keep everything; find out who.")
    summary = f"{report['events']} events in {report['streams']} streams"
    summary += f", {report['releases']} releases and {report['grants']} grants"
    say(f"  {summary}: every hash, every state and every signature is right")
    say(f"  to look yourself: {program()} audit list --as {AUDITOR}")
