"""`airlock delegate to|list|end`, and what goes beyond a vote: findings, emergencies, rollbacks.

Clients of the REST API, as every command that changes something.
"""

from __future__ import annotations

import math
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote

import typer

from airlock.domain.errors import Invalid
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.presentation.printed_commands import example_time
from airlock.entrypoints.presentation.release_text import print_subject
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_rows,
    say,
)

delegations = typer.Typer(
    help="Let somebody else answer for you for a while.", no_args_is_help=True
)
findings = typer.Typer(help="What conditional approvals want mended.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why; it becomes part of the record.")]
ReleaseId = Annotated[str, typer.Argument(help="The release's id.", metavar="ID")]
Most = Annotated[int, typer.Option("--limit", help="How many at most.", min=1)]
When = Annotated[str, typer.Option(help="A time such as 2026-11-21T09:00+01:00; default: now.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    delegations.command("to")(to_command)
    delegations.command("list")(list_command)
    delegations.command("end")(end_command)
    app.add_typer(delegations, name="delegate")
    findings.command("list")(findings_command)
    findings.command("close")(close_command)
    app.add_typer(findings, name="finding")


def to_command(
    person: Annotated[str, typer.Argument(help="Who may answer for you.", metavar="NAME")],
    reason: Reason,
    days: Annotated[float, typer.Option(help="For how many days.", min=0.04, max=90)] = 7,
    start: When = "",
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Let NAME answer for you from a start to an end; nobody can pass it on."""
    if math.isnan(days):
        raise Invalid("the number of days is not a number", next_step="Such as --days 7.")
    begin = moment_of(start)
    body = {
        "to": person,
        "start": begin.isoformat(),
        "end": (begin + timedelta(days=days)).isoformat(),
        "reason": reason,
    }
    with connect(as_user, session) as client:
        delegation = client.post(f"{AIRLOCK}/delegations", body, key=uuid.uuid4().hex)
    say(
        f"{delegation['taker']} may answer for {delegation['giver']} until "
        f"{local(delegation['end'])} ({delegation['id']})."
    )


def moment_of(text: str) -> datetime:
    """Return a time typed on the command line, in the zone of this machine unless it says so.

    Raises:
        Invalid: if it is none.
    """
    if not text:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.astimezone()
    except (ValueError, OverflowError):
        moment = datetime.min.replace(tzinfo=UTC)
    if not 2000 <= moment.year < 3000:
        raise Invalid(f"{text!r} is not a time", next_step=f"Such as {example_time()}.")
    return moment


def end_of(text: str) -> datetime:
    """Return until when something holds; a day without a time means its end, in the same zone.

    Raises:
        Invalid: if it is no time.
    """
    bare = re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip())
    return moment_of(f"{text.strip()}T23:59:59" if bare else text or "none")


def local(at: str | datetime) -> str:
    """Write a time for the reader: on the clock of this machine, with its zone."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def list_command(
    person: Annotated[str, typer.Option(help="Only from or to this person.")] = "",
    most: Most = 200,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """List delegations, the one that begins last first."""
    with connect(as_user, session) as client:
        rows = client.rows(f"{AIRLOCK}/delegations", most, person=person)
    columns = ("id", "giver", "taker", "start", "end", "inForce", "reason")
    print_rows(rows, columns, as_json)


def end_command(
    delegation: Annotated[str, typer.Argument(help="Its id.", metavar="ID")],
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """End a delegation early."""
    with connect(as_user, session) as client:
        path = f"{AIRLOCK}/delegations/{quote(delegation, safe='')}/end"
        ended = client.post(path, {}, key=uuid.uuid4().hex)
    say(f"{ended['taker']} no longer answers for {ended['giver']}.")


def findings_command(
    model: Annotated[str, typer.Option(help="Only of this model.")] = "",
    most: Most = 200,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """List findings, the most urgent first."""
    with connect(as_user, session) as client:
        rows = client.rows(f"{AIRLOCK}/findings", most, model=model)
    columns = ("id", "model", "owner", "due", "overdue", "closed_by", "text")
    print_rows(rows, columns, as_json)


def close_command(
    finding: Annotated[str, typer.Argument(help="Its id.", metavar="ID")],
    reason: Reason,
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Close a finding; whoever has to mend it cannot."""
    with connect(as_user, session) as client:
        path = f"{AIRLOCK}/findings/{quote(finding, safe='')}/closing"
        client.post(path, {"reason": reason}, key=uuid.uuid4().hex)
    say(f"Finding {finding} is closed.")


def break_glass_command(
    release_id: ReleaseId,
    reason: Reason,
    incident: Annotated[str, typer.Option(help="The incident's id.")],
    subject: Annotated[
        str, typer.Option(help="Only for this subject (sha256:...); default: the one shown.")
    ] = "",
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Release in an emergency without the levels; it takes two people, and a review."""
    with connect(as_user, session) as client:
        release = client.get(_path(release_id))
        print_subject(release)
        body = {
            "reason": reason,
            "incident": incident,
            "subjectDigest": subject or release["subject"]["digest"],
        }
        view = client.post(f"{_path(release_id)}/emergency", body, key=uuid.uuid4().hex)
    say(f"Release {release_id} is {view['state']}.")
    if view["emergency"]["brokenAt"] is None:
        glass = view["emergency"]
        say(f"{glass['missing']} more must agree; in all it takes {glass['needs']}.")


def review_command(
    release_id: ReleaseId, reason: Reason, as_user: AsUser = "", session: SessionFile = None
) -> None:
    """Record that you, who were not involved, have reviewed an emergency."""
    with connect(as_user, session) as client:
        path = f"{_path(release_id)}/review"
        emergency = client.post(path, {"reason": reason}, key=uuid.uuid4().hex)
    say(f"The emergency {emergency['incident']} of release {release_id} is reviewed.")


def _path(release_id: str) -> str:
    return f"{AIRLOCK}/releases/{quote(release_id, safe='')}"
