"""`airlock gate list|run|waive|recompute`.

`list` works offline. `run` collects and judges with the settings of a worker on this machine, and
keeps nothing unless asked. `waive` and `recompute` are clients of the REST API; with `--numbers`
the latter also computes on this machine, with the settings of a worker.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any
from urllib.parse import quote

import typer

from airlock.domain.gates import Verdict
from airlock.entrypoints.cli.delegation import end_of, local
from airlock.entrypoints.cli.gate_runs import described, try_gate
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.platform_location import RoleName, take_role
from airlock.entrypoints.presentation.gate_figures import of_release
from airlock.entrypoints.presentation.release_text import print_subject, print_waivers
from airlock.entrypoints.presentation.terminal import (
    AsJson,
    AsUser,
    SessionFile,
    connect,
    print_json,
    say,
    table,
)
from airlock.gates import GATES

gates = typer.Typer(help="Look at gates, and waive what a soft one found.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    gates.command("list")(list_command)
    gates.command("run")(run_command)
    gates.command("waive")(waive_command)
    gates.command("recompute")(recompute_command)
    app.add_typer(gates, name="gate")


def list_command(as_json: AsJson = False) -> None:
    """List every gate: the question it answers, its options, the evidence it needs."""
    rows = [described(gate) for gate in GATES]
    if as_json:
        print_json(rows)
        return
    cells = [[row["name"], row["question"], _options(row), ", ".join(row["needs"])] for row in rows]
    table(("name", "question", "options (* required)", "needs"), cells)


def _options(row: dict[str, Any]) -> str:
    return ", ".join(
        f"{option['name']}*" if option["required"] else f"{option['name']}={option['default']}"
        for option in row["options"]
    )


def run_command(
    name: Annotated[str, typer.Argument(help="The gate.", metavar="NAME")],
    model: Annotated[str, typer.Option(help="The registered model, which is its pipeline.")],
    version: Annotated[str, typer.Option(help="The version in MLflow.")],
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Try another option; may be repeated."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep evidence and result, as the run's task does.")
    ] = False,
    role: RoleName = "",
    as_json: AsJson = False,
) -> None:
    """Collect what one gate needs about a registered version, and judge it, here."""
    from airlock import bootstrap  # every other command would pay for importing it up there

    take_role(role, ("worker",))
    results = try_gate(bootstrap.worker(), name, model, version, option or [], keep=keep)
    if as_json:
        print_json([result.to_document() for result in results])
    else:
        rows = [[result.key, result.verdict.value, result.message] for result in results]
        table(("gate", "verdict", "message"), rows)
    code = max(_CODES[result.verdict] for result in results)
    if code:
        raise typer.Exit(code)


_CODES = {Verdict.PASSED: 0, Verdict.WAIVED: 0, Verdict.FAILED: 1, Verdict.ERRORED: 3}


def recompute_command(
    release_id: Annotated[str, typer.Argument(help="The release's id.", metavar="RELEASE")],
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Also compute the metrics from the predictions kept.")
    ] = False,
    role: RoleName = "",
    as_user: AsUser = "",
    session: SessionFile = None,
    as_json: AsJson = False,
) -> None:
    """Judge a release's gates again from stored evidence alone; ends with 1 if anything differs."""
    path = f"{AIRLOCK}/releases/{quote(release_id, safe='')}/recomputation"
    with connect(as_user, session) as client:
        recomputation = client.get(path)
    if numbers:
        take_role(role, ("worker",))
        recomputation["numbers"] = _numbers(release_id)
        recomputation["same"] = recomputation["same"] and recomputation["numbers"]["same"]
    if as_json:
        print_json(recomputation)
    else:
        rows = [
            [gate["key"], gate["kept"], gate["again"], ", ".join(gate["differs"]), gate["message"]]
            for gate in recomputation["gates"]
        ]
        table(("gate", "kept", "again", "differs", "message"), rows)
        for line in recomputation.get("numbers", {}).get("differs", ()):
            say(f"Not what the predictions say: {line}")
        say("The same." if recomputation["same"] else "NOT the same as was kept.")
    if not recomputation["same"]:
        raise typer.Exit(1)


def _numbers(release_id: str) -> dict[str, Any]:
    from airlock import bootstrap  # every other command would pay for importing it up there

    return of_release(bootstrap.worker(), release_id)


def waive_command(
    release_id: Annotated[str, typer.Argument(help="The release's id.", metavar="RELEASE")],
    gate: Annotated[str, typer.Argument(help="The gate, as the release shows it.", metavar="GATE")],
    reason: Annotated[str, typer.Option(help="Why; it becomes part of the record.")],
    until: Annotated[str, typer.Option(help="The day it ends, at most 90 days away.")],
    subject: Annotated[
        str, typer.Option(help="Only for this subject (sha256:...); default: the one shown.")
    ] = "",
    as_user: AsUser = "",
    session: SessionFile = None,
) -> None:
    """Accept, by name and until a day, that a soft GATE did not pass for a RELEASE."""
    end = end_of(until)
    path = f"{AIRLOCK}/releases/{quote(release_id, safe='')}"
    with connect(as_user, session) as client:
        release = client.get(path)
        print_subject(release)
        body = {
            "gate": gate,
            "reason": reason,
            "until": end.isoformat(),
            "subjectDigest": subject or release["subject"]["digest"],
        }
        view = client.post(f"{path}/waivers", body, key=uuid.uuid4().hex)
    print_waivers(view)
    say(f"The waiver holds until {local(end)}.")
    say(f"Release {release_id} is {view['state']}.")
