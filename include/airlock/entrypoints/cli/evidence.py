"""`airlock evidence export|verify`: what proves one release, taken away and checked.

`export` is a client of the REST API. `verify` needs neither server nor network; it is the same
program that lies in every bundle as `verify.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from airlock.domain.errors import Invalid, Unreachable
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
    settings,
)
from airlock_evidence import command
from airlock_evidence.checking import Unknown
from airlock_evidence.trust import WrongUse

evidence = typer.Typer(help="What proves a release.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    evidence.command("export")(export_command)
    evidence.command("verify")(verify_command)
    app.add_typer(evidence, name="evidence")


def export_command(
    release: Annotated[str, typer.Argument(help="The release's id.")],
    reason: Annotated[str, typer.Option(help="Who wants it, and what for; goes into the log.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to write it.", metavar="FILE")
    ] = None,
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Take the evidence of a release away, as a zip for anybody to check. Only auditors may."""
    file = out or Path(f"evidence-{Path(release).name}.zip")
    with connect(as_user, session) as client:
        path = f"{AIRLOCK}/releases/{quote(release, safe='')}/evidence"
        client.download(path, {"reason": reason}, file)
    say(f"Wrote {file}. Check it anywhere with `airlock evidence verify {file} --keys DIR`,")
    say("or without Airlock: unpack it and run `python3 verify.py`.")


def verify_command(
    file: Annotated[Path, typer.Argument(help="The bundle: a zip, or the folder it was in.")],
    keys: Annotated[
        Path | None, typer.Option(help="Folder of public keys to trust: *.pem, *.vkey.")
    ] = None,
    fingerprint: Annotated[
        list[str] | None, typer.Option(help="SHA-256 of a public key to trust.", metavar="HEX")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle offline: files, signatures, log, votes, grant, and what its pages say."""
    trusted = keys if keys or fingerprint else _own_keys()
    try:
        result = command.run(file, trusted, fingerprint or [])
    except WrongUse as error:
        raise Invalid(str(error)) from error
    except Unknown as error:
        raise Unreachable(str(error)) from error
    if as_json:
        print_json(command.document(result))
    else:
        for line in command.lines(result):
            say(line)
    if not result.ok:
        raise typer.Exit(1)


def _own_keys() -> Path | None:
    """Return the folder of keys this installation trusts, if it has one."""
    folder = settings().trusted_keys
    return folder if any(folder.glob("*.pem")) else None
