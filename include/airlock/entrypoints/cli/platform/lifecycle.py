"""The commands that run the embedded platform: `airlock up`, `down` and `logs`.

They work without a login, because they are what a login needs. Each parses, makes one call into
the platform and renders the answer; what the steps are is written in airlock_platform.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from airlock.config.load import protected_aliases
from airlock.config.settings import Settings
from airlock.domain.errors import NotFound
from airlock.entrypoints.platform_location import check_ports, environment
from airlock.entrypoints.presentation.progress import Steps, console
from airlock.entrypoints.presentation.terminal import printable
from airlock_platform.components import DISK, SLACK
from airlock_platform.lifecycle import Launch, down
from airlock_platform.people import OPERATOR, Entry
from airlock_platform.platform import Health, Options, Platform

_POLL_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    app.command("up")(up_command)
    app.command("down")(down_command)
    app.command("logs")(logs_command)


def up_command(
    move: Annotated[
        bool, typer.Option("--move", help="Move a platform to the ports that are set now.")
    ] = False,
) -> None:
    """Start everything on this machine; restart what is old; harmless when it runs already."""
    start(move=move)
    say_what_is_next()


def start(people: Iterable[Entry] = (), *, move: bool = False) -> None:
    """Start everything, with accounts for *people* beside the operator's; exit 1 if it fails."""
    begun = time.monotonic()
    environ = environment(anywhere=True, moving=True)
    if not move:
        check_ports(environ)
    platform = current_platform(environ, protected=True)
    try:
        with Steps() as steps:
            Launch(platform, steps, migrations(), environ).up(people)
    except KeyboardInterrupt:
        console.print(
            "\nInterrupted. What was started goes on: `airlock up` starts the rest, "
            "`airlock down` stops all."
        )
        raise typer.Exit(130) from None
    rows = platform.health()
    print_health(rows)
    memory = sum(row.memory_mb for row in rows)
    console.print(f"Healthy after {time.monotonic() - begun:.1f} s, using {memory:.0f} MB.\n")
    print_addresses(platform)
    if platform.secrets.show_once():
        _print_users(platform)
    if not all(row.healthy for row in rows):
        raise typer.Exit(1)


def say_what_is_next() -> None:
    """Print how to enrol people, as long as nobody may approve anything."""
    from airlock.config.load import load_rulebook
    from airlock.domain.approval.policy import Rulebook
    from airlock.domain.errors import AirlockError
    from airlock.entrypoints.cli.platform.person import owner_store
    from airlock.services.people import enrolment

    with contextlib.suppress(AirlockError):
        config_dir = Settings.from_environment(environment(), Path.cwd()).config_dir
        rulebook = Rulebook.from_document(load_rulebook(config_dir).document)
        people = enrolment.people(owner_store(), rulebook)
        if not any(person["mayEnrol"] for person in people):
            console.print(_NEXT, soft_wrap=True, markup=False, highlight=False)


_NEXT = f"""
Nobody may approve anything yet, because nobody is enrolled. Two ways on:
  look around with demo people   make demo
  bring your own people          docs/howto/people.md, which begins with
    airlock person enrol {OPERATOR[0]} --role admin --first --reason "..."
Pipelines are registered once Airflow has the account of their owner (metadata.owner)."""


def down_command() -> None:
    """Stop everything; harmless when nothing runs. Data stays in .airlock."""
    with Steps() as steps:
        was_running = down(current_platform(), steps)
    console.print("Stopped." if was_running else "Nothing was running.")


def logs_command(
    process: Annotated[
        str, typer.Argument(help="A process as `airlock status` names it.", metavar="PROCESS")
    ],
    lines: Annotated[int, typer.Option(help="How many lines from its end.", min=1)] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and print what comes.")] = False,
) -> None:
    """Show the end of a process's log."""
    supervisor = current_platform().supervisor
    processes = sorted(file.stem for file in supervisor.logs.glob("*.log"))
    if process not in processes:
        raise NotFound(
            f"there is no log of {process!r}",
            next_step=f"There are: {', '.join(processes)}."
            if processes
            else "Nothing was started here yet: `make up`.",
        )
    file = supervisor.log_file(process)
    typer.echo("\n".join(_last(file, lines)))
    with contextlib.suppress(KeyboardInterrupt):
        for text in _grown(file) if follow else ():
            typer.echo(text, nl=False)


def _last(file: Path, lines: int) -> list[str]:
    with file.open(errors="replace") as stream:
        return [printable(line.rstrip("\n")) for line in deque(stream, lines)]


def _grown(file: Path) -> Iterator[str]:
    with file.open(errors="replace") as stream:
        stream.seek(0, 2)
        while True:
            yield printable(stream.read())
            time.sleep(_POLL_SECONDS)


def current_platform(
    variables: Mapping[str, str] | None = None, *, protected: bool = False
) -> Platform:
    """Return the platform the settings describe, with the policy's protected aliases if asked.

    *variables*: the environment; by default this command's, with the saved settings.
    """
    environ = environment(anywhere=True) if variables is None else variables
    settings = Settings.from_environment(environ, Path.cwd())
    aliases = settings.protected_aliases or ""
    if protected:
        aliases = protected_aliases(settings.config_dir, aliases)
    return Platform(
        Options(
            root=settings.root.resolve(),
            home=settings.home.resolve(),
            config_dir=settings.config_dir.resolve(),
            data_dir=settings.data_dir.resolve(),
            own_dags=settings.own_dags,
            programs=Path(sys.executable).parent,
            airflow_port=settings.airflow_port,
            mlflow_port=settings.mlflow_port,
            postgres_port=settings.postgres_port,
            postgres_url=settings.postgres_url or "",
            protected_aliases=aliases,
            detector_revert=settings.detector_revert,
            public_url="" if settings.public_url == settings.airflow_url else settings.public_url,
            mlflow_public_url=settings.mlflow_public_url
            if settings.mlflow_public_url != settings.mlflow_tracking_uri
            else "",
            slack={name: value for name, value in environ.items() if _is_slack(name, value)},
            alert_mail=settings.alert_mail or "",
            disk={name: environ[name] for name in DISK if environ.get(name)},
        )
    )


def _is_slack(name: str, value: str) -> bool:
    return name.startswith(SLACK) and bool(value)


def slack_state(platform: Platform) -> str:
    """Describe the state of Slack, as far as this machine knows."""
    variables, runs = platform.options.slack, bool(platform.supervisor.processes("slack"))
    if not variables:
        unset = f"running, but {SLACK}* is set nowhere any more: `airlock up` would stop it"
        return unset if runs else "not configured"
    channel = variables.get(f"{SLACK}CHANNEL", "none")
    return f"running, channel {channel}" if runs else "not running; see the log of slack"


def migrations() -> Callable[[str], None]:
    """Return what brings Airlock's own tables up to date."""
    from airlock.adapters.sql_migrations import upgrade

    return upgrade


def print_health(rows: list[Health]) -> None:
    """Say how each process is."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("process", "health", "pid", "up", "memory", "address"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(
            row.name,
            "[green]healthy[/]" if row.healthy else "[red]down[/]",
            str(row.pid or "-"),
            _duration(row.seconds) if row.seconds else "-",
            f"{row.memory_mb:.0f} MB" if row.memory_mb else "-",
            row.address or "-",
        )
    console.print(table)
    for row in rows:
        if not row.healthy:
            console.print(f"{row.title}: {row.problem}. Its log: {row.log}", soft_wrap=True)
    if old := [row.name for row in rows if row.old_code]:
        console.print(
            f"Running code from before the last change: {', '.join(old)}. `airlock up` restarts "
            f"{'it' if len(old) == 1 else 'them'}.",
            soft_wrap=True,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def print_addresses(platform: Platform) -> None:
    """Say where everything is."""
    options = platform.options
    console.print(f"Airflow and the Releases page   http://localhost:{options.airflow_port}")
    console.print(f"MLflow                          http://localhost:{options.mlflow_port}")
    console.print(f"Logs                            {platform.supervisor.logs}", soft_wrap=True)
    console.print(f"Log-ins                         {platform.secrets.users_file}", soft_wrap=True)
    console.print(f"Slack                           {slack_state(platform)}", soft_wrap=True)


def _print_users(platform: Platform) -> None:
    table = Table(title="Log-ins, shown this once", box=None, header_style="bold")
    for name in ("user", "password", "role"):
        table.add_column(name, no_wrap=True)
    for entry in platform.secrets.users():
        table.add_row(entry["user"], entry["password"], ", ".join(entry["roles"]))
    console.print(table)
