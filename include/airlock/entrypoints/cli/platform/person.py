"""`airlock person list|enrol|confirm|end|import`: who may approve as what.

Clients of the REST API, except `enrol --first`: it uses the database owner's credential, because
nobody may enrol anybody yet.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airlock.domain.digest import digest_bytes
from airlock.domain.errors import Invalid
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    advised,
    connect,
    print_json,
    say,
    settings,
    table,
)

if TYPE_CHECKING:
    from airlock.ports import Store

person = typer.Typer(help="Who may approve as what.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why; it becomes part of the record.")]
Name = Annotated[str, typer.Argument(help="The user name in Airflow.", metavar="NAME")]
Id = Annotated[str, typer.Argument(help="The enrolment's id.", metavar="ID")]
#: How long `enrol --first` waits for a new account to be seen, in seconds.
WAIT_S = 30.0


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    person.command("list")(list_command)
    person.command("enrol")(enrol_command)
    person.command("confirm")(confirm_command)
    person.command("end")(end_command)
    person.command("import")(import_command)
    app.add_typer(person, name="person")


def list_command(
    as_user: AsUser = "", session: SessionFile = None, as_json: AsJson = False
) -> None:
    """Show everybody known: which roles count, which nobody has confirmed, and what waits."""
    with connect(as_user, session) as client:
        people = client.get(f"{AIRLOCK}/people")
    if as_json:
        print_json(people)
        return
    rows = [_row(entry) for entry in people]
    table(("person", "name", "counts", "not enrolled for", "enrolments", "may enrol"), rows)


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    standing = (f"{o['role']}: {o['state']} ({o['id']})" for o in entry["enrolments"])
    name = entry["name"] if entry["active"] else f"{entry['name']} (not active)"
    may = "yes" if entry["mayEnrol"] else ""
    counts, waiting = ", ".join(entry["roles"]), ", ".join(entry["unconfirmed"])
    return (entry["id"], name, counts, waiting, ", ".join(standing), may)


def enrol_command(
    name: Name,
    role: Annotated[str, typer.Option(help="The role, as the access policy names it.")],
    reason: Reason,
    first: Annotated[
        bool,
        typer.Option(
            "--first", help="With the database owner's credential, while nobody may enrol yet."
        ),
    ] = False,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Propose NAME for a role; another person has to confirm it."""
    if first:
        from airlock.services.people import enrolment

        proposal = enrolment.view(enrol_first(name, role, reason))
    else:
        body = {"person": name, "role": role, "reason": reason}
        with connect(as_user, session) as client:
            proposal = client.post(f"{AIRLOCK}/enrolments", body, key=uuid.uuid4().hex)
    if as_json:
        print_json(proposal)
    elif first:
        say(f"{name} is enrolled as {role}, set up by the owner's credential.")
    else:
        say(f"{name} is proposed as {role}. Another person who may enrol runs:")
        say(advised(f'  `airlock person confirm {proposal["id"]} --as ANOTHER --reason "..."`'))


def enrol_first(name: str, role: str, reason: str) -> Any:
    """Enrol somebody who may enrol others, with the database owner's credential.

    Raises:
        Refused: (one of its kinds) with the rule that said no.
    """
    from airlock.config.load import load_rulebook
    from airlock.domain.approval.policy import Rulebook
    from airlock.services.people import enrolment

    store = owner_store()
    rulebook = Rulebook.from_document(load_rulebook(settings().config_dir).document)
    _await_account(store, name)
    return enrolment.first(store, rulebook, name, role, reason)


def owner_store() -> Store:
    """Return Airlock's own database as its owner.

    Raises:
        Invalid: if this shell has no such credential.
    """
    from airlock.adapters.sql_store import SqlStore
    from airlock.entrypoints.cli.platform.lifecycle import current_platform

    url = settings().owner_database_url or ""
    if not url:
        platform = current_platform()
        if not platform.secrets.exist():
            raise Invalid(
                "the database owner's credential is not here, and only it enrols the first people",
                next_step="Run `airlock up` first, or set AIRLOCK_OWNER_DATABASE_URL in this "
                "shell: docs/howto/people.md says where it is.",
            )
        url = platform.server().url("airlock_owner")
    return SqlStore(url, pooled=False)


def _await_account(store: Store, name: str) -> None:
    """Wait until the account has been seen: a new one is within seconds."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with store.begin() as unit:
            if unit.account(name) is not None:
                return
        time.sleep(0.5)


def confirm_command(
    reason: Reason,
    enrolment_id: Annotated[str, typer.Argument(help="The enrolment's id.", metavar="ID")] = "",
    file: Annotated[
        Path | None, typer.Option(help="Confirm everybody in this file, once it was imported.")
    ] = None,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Confirm a proposal, or a whole file, as another person than who proposed it."""
    if bool(enrolment_id) == (file is not None):
        raise Invalid(
            "one thing is confirmed at a time",
            next_step="Give the id of an enrolment, or --file and the file that was imported.",
        )
    path = enrolment_id if file is None else f"import/{digest_bytes(_text(file).encode())}"
    with connect(as_user, session) as client:
        address = f"{AIRLOCK}/enrolments/{path}/confirmation"
        response = client.post(address, {"reason": reason}, key=uuid.uuid4().hex)
    enrolments = response if isinstance(response, list) else [response]
    if as_json:
        print_json(response)
        return
    for enrolment in enrolments:
        say(f"{enrolment['person']} is enrolled as {enrolment['role']}.")


def end_command(
    enrolment_id: Id,
    reason: Reason,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """End an enrolment at once."""
    with connect(as_user, session) as client:
        address = f"{AIRLOCK}/enrolments/{enrolment_id}/end"
        enrolment = client.post(address, {"reason": reason}, key=uuid.uuid4().hex)
    if as_json:
        print_json(enrolment)
    else:
        say(f"{enrolment['person']} is not enrolled as {enrolment['role']} any more.")


def import_command(
    file: Annotated[Path, typer.Argument(help="CSV: person,role,reason.", metavar="FILE")],
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Propose everybody a file names; one other person confirms the file."""
    text = _text(file)
    with connect(as_user, session) as client:
        batch = client.post(f"{AIRLOCK}/enrolments/import", {"text": text}, key=uuid.uuid4().hex)
    if as_json:
        print_json(batch)
        return
    say(f"{len(batch['enrolments'])} proposed, from the file {batch['digest']}.")
    command = f'`airlock person confirm --file {file} --as ANOTHER --reason "..."`'
    say(advised(f"Another person confirms: {command}"))


def _text(file: Path) -> str:
    """Return a file's text, its lines ended as everywhere: the digest is taken over it."""
    try:
        return file.read_text("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise Invalid(
            f"{file} cannot be read: {error.strerror}", next_step="Name a CSV file."
        ) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{file} is not UTF-8 text", next_step="Save it as UTF-8.") from error
