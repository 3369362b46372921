"""`airlock demo`: two real releases, from training to promotion, step by step.

It is an ordinary user of the platform: it logs in as the demo people, uses the same REST APIs as
everybody, and has no way round any rule. A release that is already open is gone on with, so the
demo may be stopped and started at any point.
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Annotated, Any

import typer
from rich.rule import Rule

from airlock.adapters.embedded.people import PEOPLE
from airlock.adapters.mlflow_registry import MlflowRegistry
from airlock.domain.errors import Refused, Unreachable
from airlock.entrypoints.cli_platform import current_platform, print_addresses
from airlock.entrypoints.cli_platform import start as start_platform
from airlock.entrypoints.cli_runs import run_path, tasks, trigger
from airlock.entrypoints.client import AIRLOCK, Client
from airlock.entrypoints.demo_people import enrol_everybody
from airlock.entrypoints.demo_show import RunView, program, show_level, show_opened, show_promoted
from airlock.entrypoints.progress import console
from airlock.entrypoints.terminal import connect, say, settings

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
        run_id = _open_run(client, name) or _new_run(client, name)
        _follow(client, name, run_id, auto)
        view = _released(client, name, run_id)
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


def _open_run(client: Client, name: str) -> str:
    for state in ("AWAITING_APPROVAL", "APPROVED"):
        for release in client.get(f"{AIRLOCK}/releases", model=name, state=state):
            run_id = str(release["origin"]["runId"])
            say(f"  {release['id']} is still open: going on with run {run_id}")
            return run_id
    return ""


def _new_run(client: Client, name: str) -> str:
    conf = {"reason": "airlock demo"}
    first = not client.get(f"{AIRLOCK}/releases", model=name, state="PROMOTED")
    if first and name in FIRST_UNTIL:
        conf["until"] = FIRST_UNTIL[name]
    run_id = trigger(client, name, conf)
    window = f" on data until {conf['until']}" if "until" in conf else ""
    say(f"  {REQUESTER} started run {run_id}{window}")
    return run_id


def _follow(client: Client, name: str, run_id: str, auto: bool) -> None:
    answer = _Answers(client, auto)
    last = time.monotonic()
    with RunView() as shown:
        while True:
            state = str(client.get(run_path(name, run_id))["state"])
            rows = tasks(client, name, run_id)
            if shown.update(rows):
                last = time.monotonic()
            if any(row["state"] == "awaiting_input" for row in rows) and answer(name, run_id):
                last = time.monotonic()
            if state in ("success", "failed"):
                return
            if auto and time.monotonic() - last > _PATIENCE_SECONDS:
                raise Unreachable(
                    f"run {run_id} of {name} has not changed for {_PATIENCE_SECONDS:.0f} s",
                    next_step="Look at it in Airflow, and at `airlock status`.",
                )
            time.sleep(_POLL_SECONDS)


class _Answers:
    """Shows what waits, once per change, and with *auto* answers as the people who may."""

    def __init__(self, client: Client, auto: bool) -> None:
        """Start with nothing shown."""
        self._client, self._auto = client, auto
        self._opened = False
        self._seen: tuple[int, int] = (0, 0)

    def __call__(self, name: str, run_id: str) -> bool:
        """Show or answer the open level of a run's release; say whether anything changed."""
        view = _of_run(self._client, name, run_id)
        if view is None or not view["level"]:
            return False
        if not self._opened:
            show_opened(view)
            self._opened = True
        place = (view["level"], len(view["levels"][view["level"] - 1]["votes"]))
        if place == self._seen:
            return False
        self._seen = place
        show_level(view, current_platform().site().public_url)
        if self._auto:
            _answer(view, view["mayAnswer"][0])
        return True


def _answer(view: dict[str, Any], who: str) -> None:
    level = view["levels"][view["level"] - 1]
    body = {
        "decision": "approve",
        "reason": f"demo: {level['name']} looked at the gates and agrees",
        "level": view["level"],
        "round": view["round"],
        "subjectDigest": view["subject"]["digest"],
    }
    with connect(who) as client:
        client.post(f"{AIRLOCK}/releases/{view['id']}/votes", body, key=uuid.uuid4().hex)
    say(f"  {who} approves\n")


def _of_run(client: Client, name: str, run_id: str) -> dict[str, Any] | None:
    for row in client.get(f"{AIRLOCK}/releases", model=name):
        if row["origin"]["runId"] == run_id:
            view: dict[str, Any] = client.get(f"{AIRLOCK}/releases/{row['id']}")
            return view
    return None


def _released(client: Client, name: str, run_id: str) -> dict[str, Any]:
    view = _of_run(client, name, run_id)
    if view is None:
        raise Refused(
            f"run {run_id} of {name} ended without a release",
            next_step="Look at the red task's log in Airflow; its last line says why.",
        )
    if view["state"] != "PROMOTED":
        raise Refused(
            f"release {view['id']} of {name} is {view['state']}: {view['why'] or 'not promoted'}",
            next_step=f"See `{program()} release show {view['id']} --as {REQUESTER}`.",
        )
    return view


def _verify_log() -> None:
    with connect(AUDITOR) as client:
        report = client.get(f"{AIRLOCK}/audit/verification")
    for damage in report["damages"]:
        say(f"  damaged: {damage}")
    if not report["ok"]:
        raise Refused("the audit log does not verify", next_step="Keep everything; find out who.")
    found = f"{report['events']} events in {report['streams']} streams"
    found += f", {report['releases']} releases and {report['grants']} grants"
    say(f"  {found}: every hash, every state and every signature is right")
    say(f"  to look yourself: {program()} audit list --as {AUDITOR}")
