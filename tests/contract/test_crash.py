"""Killed anywhere, nothing acknowledged is lost and nothing happens twice (invariants 9 and 12).

A whole release, from the measured candidate to the moved alias, is killed with SIGKILL just
before and just after every commit, each in a process of its own; then the same requests are sent
again, as clients, tasks and the delivery process do. A second test kills PostgreSQL itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.unit import SqlUnit
from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import Conflict, Unreachable
from airlock.domain.people.actors import Actor, Channel
from airlock.domain.promotion.grant import Standing
from airlock.gates import build
from airlock.services.approvals import decide
from airlock.services.pipeline import collect_and_judge
from airlock.services.queries import releases
from airlock.testing import FakeKeys, FakeRegistry, World, pipeline_document
from airlock_platform.databases.postgres import _as_user, component, ephemeral_postgres
from airlock_platform.databases.server import Server
from tests.contract.conftest import Database
from tests.seeding import clone, damages, processes
from tests.support import EVERYWHERE, rounds, short_folder

pytestmark = pytest.mark.chaos

LEVELS = {"lena": 1, "carla": 2, "mara": 3, "milo": 3}
#: More commits than a release has; the first life that is not killed ends the test.
MOST = 40
#: So many releases are being voted on when PostgreSQL is killed.
CROWD = rounds(80, 240)


class FileRegistry(FakeRegistry):
    """A registry whose aliases and grants survive the process."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.file = folder / "registry.json"
        if self.file.exists():
            kept = json.loads(self.file.read_text())
            self.envelopes, self.revoked = kept["envelopes"], set(kept["revoked"])
            self.aliases = {("credit", name): to for name, to in kept["aliases"].items()}

    def set_alias(self, model: str, alias: str, version: str, envelope: str = "") -> None:
        super().set_alias(model, alias, version, envelope)
        self._keep()

    def revoke(self, grant_id: str) -> Standing:
        standing = super().revoke(grant_id)
        self._keep()
        return standing

    def _keep(self) -> None:
        aliases = {alias: to for (_, alias), to in self.aliases.items()}
        kept = {"envelopes": self.envelopes, "revoked": sorted(self.revoked), "aliases": aliases}
        self.file.write_text(json.dumps(kept))


def live(urls: dict[str, str], folder: Path, run: str, kill_at: int, after: bool) -> None:
    """Do everything a release needs; at commit number *kill_at* the process dies."""
    decider, worker = (SqlStore(urls[f"airlock_{role}"]) for role in ("decider", "worker"))
    world = World(decider, worker=worker)
    world.registry = FileRegistry(folder)
    _die_at(kill_at, after)
    with contextlib.suppress(Conflict):  # measured before the first life ended
        world.measure(run)
    origin = f"credit/{run}"
    for gate in world.pipeline["spec"]["gates"]:
        collect_and_judge.judge(worker, world.proposals, origin, build(gate))
    opened = world.request(origin)
    assert opened.release is not None
    release_id = opened.release.id
    decide.settle(decider, world.signer, release_id)
    for name, level in LEVELS.items():
        ballot = world.ballot_of(opened.release, Decision.APPROVE, level=level)
        decide.vote(decider, world.signer, release_id, ballot, world.actor(name), f"{run}-{name}")
    world.promote(release_id, attempt=run)


def _die_at(kill_at: int, after: bool) -> None:
    done = 0
    commit = SqlUnit.commit

    def dying(unit: SqlUnit) -> None:
        nonlocal done
        done += 1
        if done == kill_at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(unit)
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    SqlUnit.commit = dying  # type: ignore[method-assign]


def life(*arguments: Any) -> int | None:
    """Live in a process of its own; return its exit code, -9 if it was killed."""
    process = processes(__name__).Process(target=live, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_commit_a_release_is_promoted_once(
    database: Database, tmp_path: Path, after: bool
) -> None:
    store = database.store("airlock_decider")
    killed = 0
    first, step = (1, 1) if EVERYWHERE else (1 + 2 * after, 4)  # before one, after another
    for kill_at in range(first, MOST, step):
        run = f"run-{kill_at}"
        code = life(database.urls, tmp_path, run, kill_at, after)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
        assert life(database.urls, tmp_path, run, 0, after) == 0
        with store.begin() as unit:
            release = unit.by_origin(f"credit/{run}")
            assert release is not None
            assert release.state is State.PROMOTED
            assert sorted(vote.person for vote in release.votes) == sorted(LEVELS)
            whats = [entry.content["what"] for entry in unit.entries(release.id)]
            assert unit.line("credit", "production").epoch == killed
        once = ("ReleaseRequested", "ReleaseApproved", "GrantIssued", "ReleasePromoted")
        assert [whats.count(what) for what in once] == [1, 1, 1, 1]
        assert whats.count("VoteCast") == len(LEVELS)
    assert killed * step >= 9  # measured, judged, opened, armed, four votes, spent, promoted
    assert damages(store) == []


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """Run a PostgreSQL that keeps what it has committed, and may be killed."""
    folder = short_folder("mortal")
    try:
        with ephemeral_postgres(folder, durable=True) as server:
            upgrade(server.url("airlock_owner"))
            yield server, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def voters(url: str, ids: list[str], done: Any, number: int) -> None:
    """Approve releases one after the other, each until it is acknowledged."""
    store, lena = SqlStore(url), Actor("lena", "Lena", frozenset(), Channel.API)
    for release_id in ids:
        while True:
            try:
                release = releases.outcome(store, release_id)
                ballot = World.ballot_of(release, Decision.APPROVE, level=1)
                decide.vote(store, FakeKeys(), release_id, ballot, lena, f"key-{release_id}")
            except Unreachable:
                time.sleep(0.05)
            else:
                break
        done.put((number, release_id))


def test_postgres_killed_in_mid_flight_loses_no_acknowledged_vote(
    mortal: tuple[Server, Path],
) -> None:
    server, folder = mortal
    urls = {role: server.url(role) for role in ("airlock_decider", "airlock_worker")}
    world = World(
        SqlStore(urls["airlock_decider"], pooled=False),
        worker=SqlStore(urls["airlock_worker"], pooled=False),
        pipeline=pipeline_document(impact="none"),
    )
    first = world.open()
    ids = clone(_admin(server), first, CROWD)
    context = processes(__name__)
    done: Any = context.Queue()
    url = urls["airlock_decider"]
    running = [context.Process(target=voters, args=(url, ids[n::4], done, n)) for n in range(4)]
    for process in running:
        process.start()
    acknowledged, restarted = [], None
    try:
        for _ in ids:
            acknowledged.append(done.get(timeout=60)[1])
            if len(acknowledged) in (CROWD // 6, CROWD // 2):
                restarted = _kill_and_start(server, folder, restarted)
        with world.store.begin() as unit:
            for release_id in ids:
                release = unit.get(release_id)
                assert release.state is State.APPROVED
                assert [vote.person for vote in release.votes] == ["lena"]
        assert sorted(acknowledged) == sorted(ids)
        assert damages(SqlStore(url, pooled=False)) == []
    finally:
        for process in running:
            process.kill()
        if restarted:
            restarted.send_signal(signal.SIGINT)
            restarted.wait(30)


def _admin(server: Server) -> str:
    return server.url("postgres", "airlock")


def _kill_and_start(
    server: Server, folder: Path, running: subprocess.Popen[bytes] | None
) -> subprocess.Popen[bytes]:
    """Stop PostgreSQL as a crash does (immediate shutdown), and start it again."""
    data = folder / "postgres"
    pid = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    if running:
        running.wait(30)
    while (data / "postmaster.pid").exists() and _alive(pid):
        time.sleep(0.05)
    part = component(data, server.port, server.dsn("postgres"))
    with (folder / "again.log").open("ab") as log:
        return subprocess.Popen(
            part.command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_as_user(part.user),
        )


def _alive(pid: int) -> bool:
    """Say whether a process still runs; one that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
