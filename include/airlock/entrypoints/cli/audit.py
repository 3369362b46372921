"""`airlock audit list|verify|proof|export`: the log, read and checked.

Through the REST API, except `verify FILE`, which checks an export with neither server nor network:
all it needs is the file and the public keys to trust.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from airlock.domain.errors import Invalid
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.presentation.audit_event_text import sentence
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
    settings,
    table,
)

audit = typer.Typer(help="Read and check the log.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    audit.command("list")(list_command)
    audit.command("verify")(verify_command)
    audit.command("proof")(proof_command)
    audit.command("export")(export_command)
    app.add_typer(audit, name="audit")


def list_command(
    stream: Annotated[str, typer.Option(help="One stream only, such as a release's id.")] = "",
    event_kind: Annotated[
        str, typer.Option("--what", help="One kind only, such as VoteCast.")
    ] = "",
    limit: Annotated[int, typer.Option(help="How many events at most.", min=1)] = 100,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the latest events of the log."""
    with connect(as_user, session) as client:
        pages = client.pages(
            f"{AIRLOCK}/audit/events", limit, stream=stream, what=event_kind, limit=min(limit, 1000)
        )
    events = [event for page in reversed(pages) for event in page][-limit:]
    if as_json:
        print_json(events)
        return
    table(("when (UTC)", "stream", "no", "who", "by", "what"), [_row(event) for event in events])


def _row(event: dict[str, Any]) -> list[object]:
    when = event["at"][:23].replace("T", " ")
    person, text = event["who"]["id"], sentence(event)
    return [when, event["stream"], event["seq"], person, event["channel"], text]


def verify_command(
    file: Annotated[
        Path | None, typer.Argument(help="An export to check offline; none: the platform's log.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Folder of public keys to trust.")] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints to compare an export with.")
    ] = None,
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Check chains, tree, checkpoints and signatures; online releases and grants as well."""
    if file is not None:
        report = verify_export(file, keys or settings().trusted_keys, checkpoints)
    else:
        with connect(as_user, session) as client:
            report = client.get(f"{AIRLOCK}/audit/verification")
    if as_json:
        print_json(report)
    else:
        _tell(report)
    if not report["ok"]:
        raise typer.Exit(1)


def _tell(report: dict[str, Any]) -> None:
    counts = f"{report['events']} events in {report['streams']} streams, "
    counts += f"{report['releases']} releases, {report['grants']} grants, "
    counts += f"{report['checkpoints']} checkpoints"
    say(f"Checked {counts}: " + ("nothing is damaged." if report["ok"] else "DAMAGED."))
    for damage in report["damages"]:
        say(f"  {damage}")
    for warning in report["warnings"]:
        say(f"  Note: {warning}.")


def verify_export(file: Path, keys: Path, checkpoints: Path | None) -> dict[str, Any]:
    """Check an export with the keys in a folder.

    Raises:
        Invalid: if the file or the keys cannot be read.
    """
    from airlock.adapters.checkpoints.folder import CheckpointFolder
    from airlock.adapters.keys.ed25519 import FileKeyring
    from airlock.domain.log.erasable_texts import TextCheck
    from airlock.domain.log.export import Export
    from airlock.domain.log.tree import Turn
    from airlock.services.audit.verification import Log, check

    stored = CheckpointFolder(checkpoints).checkpoints() if checkpoints else ()
    try:
        if not file.is_file():
            raise OSError("it is no plain file")
        with file.open(encoding="utf-8") as stream:
            export = Export(stream)
            header = export.header
            now = datetime.fromisoformat(header.exported_at[:26]).replace(tzinfo=UTC)
            texts = TextCheck(export.texts_of)
            waiting = ((entry, Turn.UNKNOWN) for entry in texts.entries(export.leafless()))
            log = Log(header.origin, texts.leaves(export.leaves()), waiting, header.heads, now)
            report, _ = check(log, FileKeyring(keys), [*header.checkpoints, *stored])
            report = report.and_also(texts.findings())
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"{file} cannot be read as an export: {error}") from error
    document = report.to_document()
    if not export.complete:
        document["damages"].append("the export has no end, or not all of its entries: cut off")
        document["ok"] = False
    return document


def proof_command(
    stream: Annotated[str, typer.Argument(help="The stream, such as a release's id.")],
    seq: Annotated[int, typer.Argument(help="The number of the entry in it.", min=1)],
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Print the proof that an entry is in the log, in C2SP's tlog-proof format."""
    with connect(as_user, session) as client:
        typer.echo(client.text(f"{AIRLOCK}/audit/proof", stream=stream, seq=seq), nl=False)


def export_command(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    reason: Annotated[str, typer.Option(help="Who wants it, and what for; goes into the log.")],
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Take the whole log away, for checking it offline. Only auditors may."""
    with connect(as_user, session) as client:
        client.download(f"{AIRLOCK}/audit/export", {"reason": reason}, file)
    say(f"Wrote {file}. Check it anywhere with `airlock audit verify {file} --keys DIR`.")
