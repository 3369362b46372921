"""What `airlock status` says of the work: what is late, refused, set aside, or runs out.

Each line is asked by itself and within a budget, so that a database that hangs costs its own lines.
`docs/reference/status.md` says of each line what it means and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airlock.adapters import disk
from airlock.adapters.certificates import certificate_ends
from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner
from airlock.adapters.sql_store import SqlStore
from airlock.config.settings import Settings
from airlock.domain.clock import moment
from airlock.domain.log.tree import MERGE_DELAY_S
from airlock.ports import Backlog, Queue
from airlock.services.audit.transparency_log import lag
from airlock_platform.budget import Answer, ask_all

#: Seconds all questions together may take.
BUDGET_S = 10.0
#: A message or timer that waits longer is late; a proposal sooner, because a task waits for it.
LATE, PROPOSAL_LATE = timedelta(minutes=5), timedelta(minutes=1)
#: A round that was not written down for so long has not ended.
ROUND_LATE = timedelta(minutes=1)
#: How long a message that was given up is shown.
FAILURE_WINDOW = timedelta(hours=24)
#: A key or certificate that ends within this is named.
NEAR_END = timedelta(days=30)


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. *problem*: what is wrong with it, empty when it is well;
    *silent*: it could not be asked."""

    name: str
    text: str
    problem: str = ""
    silent: bool = False


def report(settings: Settings) -> list[Line]:
    """Look at everything; *settings*: those of a process that decides."""
    home = settings.home
    questions: dict[str, Callable[[], list[Line]]] = {
        "steps": lambda: steps(home / "run"),
        "database": lambda: _database(settings.database_url or ""),
        "disk": lambda: _disk(settings),
        "sizes": lambda: _sizes(settings),
        "keys": lambda: _keys(settings),
    }
    answers = ask_all(questions, BUDGET_S)
    return [line for name, answer in answers.items() for line in _answered(name, answer)]


def _answered(name: str, answer: Answer[list[Line]]) -> list[Line]:
    if answer.value is not None:
        return answer.value
    if name == "sizes":  # a large folder takes its time, and nothing is wrong with it
        return [Line(name, f"not known: {answer.problem}")]
    return [Line(name, "could not be asked", answer.problem, silent=True)]


def steps(run: Path) -> list[Line]:
    """Return a line for each step whose round the processes have written to the folder *run*."""
    files = sorted(run.glob("work-*.json"))
    if not files:
        return [Line("steps", "none yet", "the delivery process has not ended a round yet")]
    now = datetime.now(UTC)
    return [line for file in files for line in _round(file, now)]


def _round(file: Path, now: datetime) -> Iterator[Line]:
    try:
        document = json.loads(file.read_text())
        written = moment(document["at"])
        rows = [(str(row["name"]), row) for row in document["steps"]]
        for name, row in rows:
            yield _step(name, row, written, now)
    except (OSError, KeyError, TypeError, ValueError) as error:
        yield Line(file.stem, "cannot be read", f"{file} says nothing of its steps: {error!r}")


def _step(name: str, row: dict[str, Any], written: datetime, now: datetime) -> Line:
    progress = (
        f"last done {_ago(now - moment(row['succeededAt']))}" if row["succeededAt"] else "never"
    )
    problems = [str(row["error"]), *map(str, row.get("notes", ()))]
    if now - written > ROUND_LATE:
        problems.append(f"its round has not ended for {_span(now - written)}")
    return Line(name, progress, "; ".join(part for part in problems if part))


def _database(url: str) -> list[Line]:
    store = SqlStore(url, pooled=False)
    with store.begin() as unit:
        backlog = unit.backlog(unit.now() - FAILURE_WINDOW)
        event = unit.oldest_waiting(unit.tree())
    behind = lag(event, backlog.at) if event is not None else 0.0
    late = f"it waits longer than {MERGE_DELAY_S} s for its place in the log's tree"
    return [
        _queue("messages to Airflow", backlog.messages, backlog.at, LATE),
        _queue("messages to the chat", backlog.chat, backlog.at, LATE),
        _queue("timers due", backlog.timers, backlog.at, LATE),
        _queue("proposals of tasks", backlog.proposals, backlog.at, PROPOSAL_LATE),
        Line(
            "oldest event outside the tree",
            "none" if event is None else _ago(timedelta(seconds=min(behind, 1e9))),
            late if behind > MERGE_DELAY_S else "",
        ),
        *_given_up(backlog),
    ]


def _queue(name: str, queue: Queue, at: datetime, late: timedelta) -> Line:
    if not queue.count:
        return Line(name, "none wait")
    text = f"{queue.count} {'waits' if queue.count == 1 else 'wait'}"
    try:
        waited = at - moment(queue.since)
    except ValueError:
        return Line(name, text, f"{queue.about} says {queue.since!r} instead of a time")
    text = f"{text}, the oldest for {_span(waited)}"
    return Line(name, text, f"{queue.about} waits for {_span(waited)}" if waited > late else "")


def _given_up(backlog: Backlog) -> Iterator[Line]:
    if not backlog.given_up:
        yield Line("messages given up", "none in the last 24 h")
    for message in backlog.given_up:
        yield Line("message given up", f"{message.key} at {message.at[:19]}Z", message.error)


def _disk(settings: Settings) -> list[Line]:
    folders = (settings.home, settings.data_dir, settings.evidence, settings.checkpoints)
    return [_free(room) for room in disk.rooms(folders)]


def _free(room: disk.Room) -> Line:
    text = f"{_bytes(room.free)} of {_bytes(room.total)} free ({room.share:.0%})"
    scarce = f"less than {disk.SCARCE:.0%} is free" if room.share < disk.SCARCE else ""
    return Line(f"disk of {room.folder}", text, scarce)


def _sizes(settings: Settings) -> list[Line]:
    inside = sorted(path for path in settings.home.iterdir() if path.is_dir())
    others = (settings.data_dir, settings.evidence, settings.checkpoints)
    folders = dict.fromkeys([*inside, *(path for path in others if path.is_dir())])
    sizes = {folder: disk.size(folder) for folder in folders}
    largest = sorted(sizes.items(), key=lambda pair: -pair[1])
    return [Line("sizes", ", ".join(f"{folder.name} {_bytes(size)}" for folder, size in largest))]


def _keys(settings: Settings) -> list[Line]:
    now = datetime.now(UTC)
    near = [(name, until) for name, until in _endings(settings) if until - now < NEAR_END]
    if not near:
        return [Line("keys and certificates", f"none ends within {NEAR_END.days} days")]
    return [
        Line(name, f"until {until:%Y-%m-%d %H:%MZ}", "it has ended" if until < now else "it ends")
        for name, until in near
    ]


def _endings(settings: Settings) -> Iterator[tuple[str, datetime]]:
    if settings.signing_key is not None:
        key = FileSigner(settings.signing_key).key_id
        until = FileKeyring(settings.trusted_keys).ends(key)
        if until is not None:
            yield f"the key {key} that signs", until
    folders = (settings.trusted_keys, settings.gate_keys, settings.model_keys)
    for file, until in certificate_ends(folder for folder in folders if folder.is_dir()):
        yield f"the certificate {file.name}", until


def problems(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that somebody has to look at."""
    return [line for line in lines if line.problem]


def _ago(span: timedelta) -> str:
    return f"{_span(span)} ago"


def _span(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
