"""`airlock security scan|audit|convert|released`: what models are made of, and what may be served.

Nothing is ever loaded: files are read, and what is not known is refused. Exit codes: 0 everything
is on the allow-list, 1 something is not, 2 wrong use, 3 something could not be told.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from airlock.domain.errors import Invalid, NotFound
from airlock.entrypoints.client import AIRLOCK
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

security = typer.Typer(help="Look into models without loading them.", no_args_is_help=True)
Tracking = Annotated[str, typer.Option("--mlflow", help="Another MLflow server than the set one.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    security.command("scan")(scan_command)
    security.command("audit")(audit_command)
    security.command("convert")(convert_command)
    security.command("released")(released_command)
    app.add_typer(security, name="security")


def scan_command(
    target: Annotated[str, typer.Argument(help="A file, a folder, MODEL, MODEL/3 or MODEL@alias.")],
    scanners: Annotated[bool, typer.Option("--scanners", help="Run the scanners too.")] = False,
    mlflow: Tracking = "",
    as_json: AsJson = False,
) -> None:
    """Say whether a model is in a format that cannot run code, file by file."""
    from airlock.entrypoints.presentation import security_report as report

    with tempfile.TemporaryDirectory(prefix="airlock-scan-") as scratch:
        path = Path(target)
        there = path.is_symlink() or path.exists()
        place = path if there else _download(target, mlflow, Path(scratch))
        scan = report.scanned(place, scanners=scanners, work=Path(scratch))
    if as_json:
        print_json(scan)
    else:
        table(("file", "format", "size"), [_file(file) for file in scan["files"]])
        for text in scan["why"]:
            say(f"  {text}")
        for scanner in scan["scanners"]:
            name, version = scanner["name"], scanner["version"]
            say(f"  {name} {version}: {scanner['status']} {scanner['why']}".rstrip())
        say(f"{target}: {scan['verdict']}")
    raise typer.Exit({"ALLOWED": 0, "REFUSED": 1}.get(scan["verdict"], 3))


def _file(file: dict[str, Any]) -> tuple[str, str, str]:
    return file["path"], file["format"], f"{file['size']:,}"


def _download(target: str, mlflow: str, scratch: Path) -> Path:
    """Fetch MODEL, MODEL/VERSION or MODEL@ALIAS from MLflow."""
    from airlock.adapters.mlflow.inventory import MlflowInventory

    if target.startswith((".", "/")) or not target.strip():
        raise Invalid(f"there is no file or folder {target}")
    inventory = MlflowInventory(mlflow or settings().mlflow_tracking_uri)
    name, slash, version = target.partition("/")
    model, at, alias = name.partition("@")
    if at:
        version = inventory.version_at(model, alias) or ""
    elif not slash:
        version = max(
            (v.version for v in inventory.versions() if v.model == model), key=int, default=""
        )
    if not version:
        raise NotFound(f"there is no file {target}, and no such model version in MLflow")
    return inventory.fetch(model, version, scratch)


def audit_command(
    mlflow: Tracking = "",
    sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at every version of an MLflow server; nothing there is changed."""
    from airlock.adapters.mlflow.inventory import MlflowInventory
    from airlock.entrypoints.presentation import security_report as report
    from airlock.services.registry.survey import survey

    uri = mlflow or settings().mlflow_tracking_uri
    result = survey(MlflowInventory(uri), report.known_weaknesses())
    if sarif:
        print_json(report.sarif(result))
    elif as_json:
        print_json(result.to_document())
    else:
        columns = ("model", "version", "verdict", "formats", "aliases", "signed", "why")
        table(columns, [report.cells(row) for row in result.rows])
        for finding in result.server:
            say(f"  {finding['rule']}: {finding['what']}. {finding['nextStep']}")
        say(report.summary(result))
    raise typer.Exit(1 if result.refused else 3 if result.unsure else 0)


def convert_command(
    path: Annotated[Path, typer.Argument(help="A pickled model, or the MLflow folder it is in.")],
    to: Annotated[Literal["skops", "onnx"], typer.Option(help="The safe format.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a pickled scikit-learn model into a safe format, inside a sandbox."""
    from airlock.adapters.jobs import quarantine
    from airlock.domain.digest import file_digest

    source = path / "model.pkl" if path.is_dir() else path
    result = out or path.with_name(quarantine.TARGETS[to])
    if result.exists():
        raise Invalid(f"{result} is there already", next_step="Give another file with --out.")
    with tempfile.TemporaryDirectory(prefix="airlock-quarantine-") as work:
        model_file = quarantine.convert(source, to, result, Path(work))
    digest = file_digest(model_file)
    if as_json:
        print_json({"file": str(model_file), "format": to, "digest": digest})
    else:
        say(
            f"Wrote {model_file}, {digest}. It is a new artifact: evaluate it, then log and "
            "release it."
        )


def released_command(
    model: Annotated[str, typer.Argument(help="The model.")],
    environment: Annotated[str, typer.Argument(help="The environment.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it.")] = None,
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Fetch the signed statement of what serves, for hosts that cannot reach Airlock."""
    with connect(as_user, session) as client:
        document = client.get(
            f"{AIRLOCK}/released/{quote(model, safe='')}/{quote(environment, safe='')}"
        )
    if out is None:
        typer.echo(document["statement"])
        return
    out.write_text(document["statement"] + "\n", encoding="utf-8")
    say(f"Wrote {out}. Load with airlock.serving: release=FromFile({str(out)!r}).")
