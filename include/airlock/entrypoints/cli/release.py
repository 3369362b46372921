"""`airlock release list|show|approve|reject|withdraw|promote|request`: a client of the REST API.

An answer is given to what was shown: the command reads the release, shows the subject and the
gates, and sends the level, the round and the subject digest it has shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from airlock.domain.errors import Refused, Unreachable
from airlock.entrypoints.cli.delegation import break_glass_command, review_command
from airlock.entrypoints.cli.pipelines.runs import follow, trigger
from airlock.entrypoints.cli.waivers import Findings, Segments, Share, Until, conditions, sentences
from airlock.entrypoints.client import AIRLOCK, Client
from airlock.entrypoints.presentation.release_text import print_release, print_subject
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    print_rows,
    say,
)

releases = typer.Typer(help="Look at releases and answer them.", no_args_is_help=True)
PROMOTION_DAG = "airlock_promote"

ReleaseId = Annotated[str, typer.Argument(help="The release's id.", metavar="ID")]
Reason = Annotated[str, typer.Option(help="Why; it becomes part of the record.")]
Level = Annotated[
    int, typer.Option(help="Answer only this level; default: the open one.", min=0, max=1000)
]
Subject = Annotated[
    str, typer.Option(help="Answer only this subject (sha256:...); default: the one shown.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    releases.command("list")(list_command)
    releases.command("show")(show_command)
    releases.command("approve")(approve_command)
    releases.command("reject")(reject_command)
    releases.command("withdraw")(withdraw_command)
    releases.command("promote")(promote_command)
    releases.command("request")(request_command)
    releases.command("rollback")(rollback_command)
    releases.command("break-glass")(break_glass_command)
    releases.command("review")(review_command)
    app.add_typer(releases, name="release")


def list_command(
    state: Annotated[str, typer.Option(help="Only this state, such as APPROVED.")] = "",
    model: Annotated[str, typer.Option(help="Only this model.")] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what waits for me.")] = False,
    most: Annotated[int, typer.Option("--limit", help="How many at most.", min=1)] = 200,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """List releases, newest first; with --waiting the next to expire first."""
    with connect(as_user, session) as client:
        rows = client.rows(
            f"{AIRLOCK}/releases",
            most,
            state=state.upper().replace("-", "_"),
            model=model,
            waiting="me" if waiting else "",
        )
    columns = ("id", "model", "version", "environment", "state", "level", "tier", "requester")
    print_rows(rows, (*columns, "why"), as_json)


def show_command(
    release_id: ReleaseId,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one release: subject, gates, metrics, levels, who may answer, grant."""
    with connect(as_user, session) as client:
        view = client.get(_path(release_id))
    print_json(view) if as_json else print_release(view)


def approve_command(
    release_id: ReleaseId,
    reason: Reason,
    level: Level = 0,
    subject: Subject = "",
    share: Share = None,
    segment: Segments = None,
    until: Until = "",
    finding: Findings = None,
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Approve at the level that is open, if asked under conditions."""
    tied = conditions(share, segment or [], until, finding or [])
    with connect(as_user, session) as client:
        _answer(client, release_id, "approve", reason, level, subject, tied)


def reject_command(
    release_id: ReleaseId,
    reason: Reason,
    level: Level = 0,
    subject: Subject = "",
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Reject; one rejection ends the release."""
    with connect(as_user, session) as client:
        _answer(client, release_id, "reject", reason, level, subject)


def _answer(
    client: Client,
    release_id: str,
    decision: str,
    reason: str,
    level: int,
    subject: str,
    tied: Mapping[str, Any] | None = None,
) -> None:
    view = client.get(_path(release_id))
    print_subject(view)
    body = {
        "decision": decision,
        "reason": reason,
        "level": level or view["level"],
        "round": view["round"],
        "subjectDigest": subject or view["subject"]["digest"],
        **({"conditions": tied} if tied else {}),
    }
    after = client.post(f"{_path(release_id)}/votes", body, key=uuid.uuid4().hex)
    did = "approved" if decision == "approve" else "rejected"
    say(f"{client.session.user} {did} level {view['level']} of release {release_id}.")
    for sentence in sentences(dict(tied or {})):
        say(sentence)
    _say_state(after)


def _say_state(view: dict[str, Any]) -> None:
    if not view["level"]:
        say(f"The release is {view['state']}" + (f": {view['why']}" if view["why"] else "."))
        return
    level = view["levels"][view["level"] - 1]
    say(f"Now open: level {level['number']} ({level['name']}).")
    for gap in level["missing"]:
        say(f"  missing {gap['needs']}; may answer: {', '.join(gap['candidates']) or 'nobody'}")


def withdraw_command(
    release_id: ReleaseId, reason: Reason, as_user: AsUser = "", session: SessionFile = None
) -> None:
    """Take a release back; only who requested it can."""
    with connect(as_user, session) as client:
        path = f"{_path(release_id)}/withdrawal"
        after = client.post(path, {"reason": reason}, key=uuid.uuid4().hex)
    _say_state(after)


def promote_command(
    release_id: ReleaseId,
    timeout: Annotated[int, typer.Option(help="Seconds to wait at most.", min=1)] = 300,
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Promote an approved release now: run the promotion DAG and wait for its result."""
    with connect(as_user, session) as client:
        before = client.get(_path(release_id))  # an unknown id is said at once
        if before["state"] == "PROMOTED":
            say(f"Release {release_id} is promoted already; {_serving(before)}.")
            return
        view = run_promotion(client, release_id, timeout)
    say(f"Release {release_id} is {view['state']}; {_serving(view)}.")


def request_command(
    after_rejection: Annotated[
        str, typer.Option(help="The rejected release whose bytes may come back.", metavar="ID")
    ],
    why: Annotated[str, typer.Option(help="Why it is asked again; the approvers read it.")],
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Run the pipeline again and let its release name an earlier rejection.

    A no is final: bytes that were rejected are refused unless the request names that rejection.
    """
    with connect(as_user, session) as client:
        rejected = client.get(f"{AIRLOCK}/releases/{quote(after_rejection, safe='')}")
        if rejected["state"] != "REJECTED":
            raise Refused(
                f"release {after_rejection} is {rejected['state']}, not REJECTED: there is no "
                "rejection to name",
                next_step="`airlock release list --state REJECTED` lists those there are.",
            )
        conf: dict[str, Any] = {"after_rejection": rejected["id"], "reason": why}
        run_id = trigger(client, rejected["model"], conf)
        say(f"Started run {run_id} of {rejected['model']}, which names {rejected['id']}.")
        say("Its release then waits for approval, with your reason and that reference.")


def rollback_command(
    release_id: ReleaseId,
    reason: Reason,
    to: Annotated[str, typer.Option(help="To this release; default: the newest that stands.")] = "",
    timeout: Annotated[int, typer.Option(help="Seconds to wait at most.", min=1)] = 300,
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Go back from this release to an older version whose approval still stands."""
    with connect(as_user, session) as client:
        body = {"reason": reason, "to": to}
        allowed = client.post(f"{_path(release_id)}/rollback", body, key=uuid.uuid4().hex)
        say(f"Going back to version {allowed['version']} ({allowed['to']}).")
        view = run_promotion(client, release_id, timeout)
    say(f"Release {release_id} is {view['state']}; {_serving(view)}.")


def run_promotion(client: Client, release_id: str, timeout: int) -> dict[str, Any]:
    """Have the promotion DAG promote a release; return the release as it is then.

    Raises:
        Refused: if Airlock said no.
        Unreachable: if the run failed before it could be asked, or takes longer than *timeout* s.
    """
    run_id = trigger(client, PROMOTION_DAG, {"release": release_id})
    say(f"Started run {run_id} of {PROMOTION_DAG}.")
    state = follow(client, PROMOTION_DAG, run_id, _changed, timeout)
    view: dict[str, Any] = client.get(_path(release_id))
    if state != "success":
        raise _why_not_promoted(client, release_id, run_id)
    return view


def _serving(view: dict[str, Any]) -> str:
    return f"{view['model']} now serves version {view['line']['version']}"


def _changed(task: str, state: str) -> None:
    say(f"  {state:<15} {task}")


def _why_not_promoted(client: Client, release_id: str, run_id: str) -> Exception:
    """Return the refusal Airlock recorded, or that the run failed for another reason."""
    events = client.get(f"{_path(release_id)}/events")
    refusals = [
        event["why"]
        for event in events
        if event["what"] in ("PromotionRefused", "RollbackRefused")
        and run_id in str(event["data"].get("attempt"))
    ]
    if refusals:
        return Refused(refusals[-1], next_step=f"See `airlock release show {release_id}`.")
    return Unreachable(
        f"run {run_id} of {PROMOTION_DAG} failed before Airlock could answer",
        next_step="Look at its log in Airflow, then try again.",
    )


def _path(release_id: str) -> str:
    return f"{AIRLOCK}/releases/{quote(release_id, safe='')}"
