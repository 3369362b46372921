"""Many open releases in seconds, and processes that do something at the same moment.

`clone` copies one real release with its events, evidence and timers, each copy in a line of its
own, its log chained anew: what comes out verifies. It writes past every rule, as the database's
administrator, so it is for races and benchmarks alone.

`race` starts processes that share nothing (fork server, own connections) and lets them take each
round together.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, create_engine, insert, select

from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.tables import (
    audit_event,
    configuration,
    release,
    run_evidence,
    timer,
)
from airlock.domain.approval.release import Release, apply
from airlock.domain.digest import canonical_json, digest_json
from airlock.domain.errors import AirlockError
from airlock.domain.log.audit import GENESIS, link, verify_stream

CHUNK = 20_000


def clone(url: str, release_id: str, count: int, *, log: bool = True) -> list[str]:
    """Copy a release *count* times; without *log* the copies have a head but no events."""
    with create_engine(url).begin() as connection:
        original = dict(_one(connection, release, release.c.id == release_id))
        known = {
            table.name: [dict(row) for row in _all(connection, table, where)]
            for table, where in (
                (audit_event, audit_event.c.stream == release_id),
                (timer, timer.c.release == release_id),
                (run_evidence, run_evidence.c.origin == original["origin"]),
            )
        }
        pipeline = _pipeline(connection, json.loads(original["subject"])["pipeline_digest"])
        first = _count(connection)
        ids: list[str] = []
        for begin in range(first, first + count, CHUNK):
            batch: dict[Table, list[dict[str, Any]]] = {
                configuration: [],
                run_evidence: [],  # first: a release freezes it
                release: [],
                audit_event: [],
                timer: [],
            }
            for number in range(begin, min(begin + CHUNK, first + count)):
                _copy(original, pipeline, known, number, batch, log=log)
            ids += [row["id"] for row in batch[release]]
            for table, rows in batch.items():
                _write(connection, table, rows)
        return ids


def _pipeline(connection: Connection, digest: str) -> dict[str, Any]:
    return dict(_one(connection, configuration, configuration.c.digest == digest))


def _count(connection: Connection) -> int:
    return len(connection.execute(select(release.c.id)).all())


def _copy(
    original: dict[str, Any],
    pipeline: dict[str, Any],
    known: dict[str, list[dict[str, Any]]],
    number: int,
    batch: dict[Table, list[dict[str, Any]]],
    *,
    log: bool,
) -> None:
    old, new = original["id"], f"rel-{number:010x}"
    origin, model = f"{original['origin']}-{number}", f"{original['model']}-{number}"
    subject = json.loads(original["subject"])
    document = json.loads(pipeline["document"])
    document["metadata"]["name"] = model  # a release is of the model its pipeline is of
    its_pipeline = digest_json(document)
    row = {"digest": its_pipeline, "document": canonical_json(document).decode()}
    batch[configuration].append({**pipeline, **row})
    changed = {**subject, "model": model, "pipeline_digest": its_pipeline}
    swaps = [
        (old, new),
        (original["origin"], origin),
        (f'"model":"{original["model"]}"', f'"model":"{model}"'),
        (subject["pipeline_digest"], its_pipeline),
        (digest_json(subject), digest_json(changed)),
    ]
    head = (0, GENESIS)
    for event in known["audit_event"] if log else ():
        text = bytes(event["body"]).decode()
        for before, after in swaps:
            text = text.replace(before, after)
        body, seq = text.encode(), event["seq"]
        place = {"stream": new, "seq": seq, "what": event["what"]}
        batch[audit_event].append(
            {**place, "body": body, "prev": head[1], "hash": link(head[1], seq, body)}
        )
        head = (seq, link(head[1], seq, body))
    moved = {"id": new, "origin": origin, "model": model, "seq": head[0], "head": head[1]}
    batch[release].append({**original, **moved, "subject": json.dumps(changed, sort_keys=True)})
    for one in known["timer"]:
        copied = {**one, "key": one["key"].replace(old, new), "release": new}
        del copied["id"]
        batch[timer].append(copied)
    batch[run_evidence] += [{**one, "origin": origin} for one in known["run_evidence"]]


def _one(connection: Connection, table: Table, where: Any) -> Any:
    return connection.execute(select(table).where(where)).mappings().one()


def _all(connection: Connection, table: Table, where: Any) -> Any:
    return connection.execute(select(table).where(where)).mappings().all()


def _write(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
        return
    names = ", ".join(rows[0])
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))


@dataclass(frozen=True, slots=True)
class Runner:
    """One process of a race: in round *n* it calls `act(store, n, *arguments)`."""

    act: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


def processes(*modules: str) -> Any:
    """Return a context whose processes share nothing but the modules already imported."""
    context = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the fork server imports once, for all
    context.set_forkserver_preload([__name__, *modules])
    return context


def race(url: str, runners: Sequence[Runner], rounds: int) -> list[list[str]]:
    """Run all runners at once, round by round; return what each got, `Error: ...` if refused."""
    context = processes(*{runner.act.__module__ for runner in runners})
    barrier = context.Barrier(len(runners))
    queue: Any = context.Queue()
    running = [
        context.Process(target=_run, args=(url, number, runner, rounds, barrier, queue))
        for number, runner in enumerate(runners)
    ]
    for process in running:
        process.start()
    try:
        found = dict(queue.get(timeout=300) for _ in running)
    finally:
        for process in running:
            process.join(5)
            process.kill()
    return [found[number] for number in range(len(runners))]


def _run(url: str, number: int, runner: Runner, rounds: int, barrier: Any, queue: Any) -> None:
    store = SqlStore(url)
    with store.begin() as unit:
        unit.now()  # connected before the start
    got = []
    for at in range(rounds):
        barrier.wait(120)
        try:
            got.append(str(runner.act(store, at, *runner.arguments)))
        except AirlockError as error:
            got.append(f"{type(error).__name__}: {error.message}")
    queue.put((number, got))
    store.close()


def damages(store: SqlStore) -> list[str]:
    """Check every chain from its bytes, and every release against its replayed events."""
    with store.begin() as unit:
        found = []
        for name, head in unit.streams():
            states = _Replay(unit.entries(name))
            damage = verify_stream(name, states, head)
            found += [damage.sentence()] if damage else []
            if states.release is not None and _state(unit.lock(name)) != _state(states.release):
                found.append(f"{name}: the table differs from the log")
        return found


class _Replay:
    def __init__(self, entries: Iterator[Any]) -> None:
        self._entries = entries
        self.release: Release | None = None

    def __iter__(self) -> Iterator[Any]:
        for entry in self._entries:
            self.release = apply(self.release, entry.content)
            yield entry


def _state(one: Release) -> tuple[Any, ...]:
    votes = sorted((vote.person, vote.decision, vote.round) for vote in one.votes)
    return (one.state, one.level, one.round, one.why, one.level_opened_at, votes)
