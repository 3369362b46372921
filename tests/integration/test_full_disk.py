"""A disk that is full: nothing dies, new work waits, and all goes on once there is room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airlock.adapters import disk
from airlock.adapters.jobs import Lab
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.config.settings import Settings
from airlock.domain.errors import Unreachable
from airlock.domain.evidence.proposals import Kind
from airlock.entrypoints.workers import housekeeping
from airlock.entrypoints.workers.housekeeping import Housekeeper
from airlock.entrypoints.workers.steps import Round, Step
from airlock.services.audit import verification
from airlock.services.proposals import DirectProposals, Handling
from airlock.services.queries import releases
from airlock.testing import World
from airlock_platform.components import Component, Probe
from airlock_platform.databases import postgres
from airlock_platform.databases.preparation import prepare
from airlock_platform.databases.server import ROLE_DATABASE, SUPERUSER, Server
from airlock_platform.processes import process_group
from airlock_platform.processes.health_checks import ask
from airlock_platform.processes.supervisor import Supervisor
from tests.contract.conftest import enrol_people, enrolled_file, sqlite_database, sqlite_template
from tests.contract.test_proposals import ORIGIN, begin
from tests.support import short_folder

__all__ = ["enrolled_file", "sqlite_database", "sqlite_template"]
PROGRAMS = Path(sys.executable).parent
DAY = 86_400


def until(question: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def mounted(megabytes: int) -> Iterator[Path]:
    """Mount a small file system in memory."""
    place = Path(f"/tmp/full-{megabytes}-{os.getpid()}")
    place.mkdir()
    options = f"size={megabytes}m,mode=711"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        place.rmdir()
        pytest.skip("mounting a small file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


@pytest.fixture
def small() -> Iterator[Path]:
    """A file system of one megabyte."""
    with mounted(1) as place:
        yield place


def fill(folder: Path) -> Path:
    """Leave not one byte."""
    file = folder / "filler"
    with file.open("ab", buffering=0) as stream:
        for size in (65_536, 4096, 512, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue
    return file


@pytest.mark.chaos
def test_supervisor_and_programs_outlive_a_full_disk_and_their_logs_go_on(small: Path) -> None:
    """Programs that write all the time, one that dies, and logs that are rolled over."""
    talk = "while :; do seq 1 200; sleep 0.05; done"
    parts = (
        Component("talker", "talker", ("sh", "-c", talk), {}, Probe("process"), grace=3),
        Component("sleeper", "sleeper", ("sleep", "300"), {}, Probe("process"), grace=3),
    )
    supervisor = Supervisor(small)
    render = supervisor._render
    supervisor._render = lambda given: render(given).replace("10MB", "100KB")  # type: ignore[method-assign]
    supervisor.start(parts, PROGRAMS, small)
    try:
        for part in parts:
            supervisor.ensure(part, PROGRAMS, small)
        until(lambda: supervisor.processes("sleeper").get("child"))
        until(lambda: supervisor.log_file("talker").stat().st_size)
        pid, talker = supervisor.pid(), supervisor.processes("talker")["child"]
        filler = fill(small)
        killed = supervisor.processes("sleeper")["child"]
        os.kill(killed, 9)
        time.sleep(3)  # long enough for every log to be rolled over, and for the dead to come back
        assert supervisor.pid() == pid
        assert process_group.alive(talker)
        until(lambda: supervisor.states()["sleeper"].running)
        filler.unlink()
        size = supervisor.log_file("talker").stat().st_size
        until(lambda: supervisor.log_file("talker").stat().st_size != size)
        assert supervisor.pid() == pid
    finally:
        supervisor.shut_down()


def test_a_round_that_cannot_be_written_down_goes_on(small: Path) -> None:
    done: list[int] = []
    work = Round([Step("work", lambda: done.append(1))], small / "run/work-asking.json")
    work.run()
    filler = fill(small)
    for _ in range(3):
        work._write_at = 0.0
        work.run()
    assert len(done) == 4
    json.loads((small / "run/work-asking.json").read_text())  # the last one that could be written
    filler.unlink()
    work._write_at = 0.0
    work.run()
    assert json.loads((small / "run/work-asking.json").read_text())["steps"][0]["error"] == ""


def test_no_new_work_begins_on_a_full_disk_and_it_does_once_there_is_room(small: Path) -> None:
    reserve = disk.Reserve((small,), 500_000)
    lab = Lab(small / "lab", room=reserve.check)
    assert lab.workspace("train", "credit").is_dir()
    filler = fill(small)
    with pytest.raises(Unreachable, match="has 0 MB free, and new work leaves 0 MB") as caught:
        lab.workspace("train", "credit")
    assert "airlock status" in caught.value.next_step
    filler.unlink()
    assert lab.workspace("train", "credit").is_dir()


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Crowded]:
    """PostgreSQL on a small disk, kept alive as `airlock up` does it."""
    home = short_folder("crowded")
    with mounted(200) as disk_of_its_own:
        passwords = {role: "a-password-of-a-test" for role in (SUPERUSER, *ROLE_DATABASE)}
        server = Server("127.0.0.1", postgres.free_port(), passwords)
        data = disk_of_its_own / "postgres"
        postgres.initialise(data, passwords[SUPERUSER])
        part = postgres.component(data, server.port, server.dsn(SUPERUSER))
        supervisor = Supervisor(home)
        supervisor.start((part,), PROGRAMS, home)
        try:
            supervisor.ensure(part, PROGRAMS, home)
            until(lambda: not ask("postgres", server.dsn(SUPERUSER)), 60)
            prepare(server)
            upgrade(server.url("airlock_owner"))
            enrol_people(server.url("airlock_decider"))
            yield Crowded(disk_of_its_own, server)
        finally:
            supervisor.shut_down()
            shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Crowded:
    """A database server, and the disk it fills."""

    disk: Path
    server: Server

    def fill_the_journal(self) -> None:
        """Write until the server ends: it has no room for what it must write first."""
        text = "SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))"
        try:
            for _ in range(200):
                with psycopg.connect(self.server.dsn(SUPERUSER), autocommit=True) as connection:
                    connection.execute(text)
        except psycopg.OperationalError:
            return
        raise AssertionError("the journal still has room")


def open_another(world: World) -> str:
    """Open a release in place of the one that is open."""
    opened = world.request(world.measure(f"run-{uuid.uuid4().hex}"), "supersede").release
    assert opened is not None
    return opened.id


@pytest.mark.chaos
def test_what_was_acknowledged_outlives_a_full_disk_below_postgresql(crowded: Crowded) -> None:
    """First no table grows, then not even the journal: the server ends, and comes back."""
    url = crowded.server.url
    decider, worker = SqlStore(url("airlock_decider")), SqlStore(url("airlock_worker"))
    world = World(decider, worker=worker)
    acknowledged = [world.open()]
    world.approve(acknowledged[0], "lena")
    filler = fill(crowded.disk)
    os.truncate(filler, filler.stat().st_size - 300_000)  # room for a few
    with pytest.raises(Unreachable, match="No space left on device"):
        acknowledged.extend(iter(lambda: open_another(world), None))
    assert len(acknowledged) > 1
    assert {row["id"] for row in releases.listing(decider, limit=1000).rows} == {*acknowledged}
    crowded.fill_the_journal()
    with pytest.raises(Unreachable, match=r"does not answer|did not answer to the end"):
        world.approve(acknowledged[-1], "lena")

    filler.unlink()
    until(lambda: not ask("postgres", crowded.server.dsn(SUPERUSER)), 120)
    assert world.approve(acknowledged[-1], "lena").level == 2
    assert {row["id"] for row in releases.listing(decider, limit=1000).rows} == {*acknowledged}
    assert verification.verify(decider, world.keys).ok
    decider.close()
    worker.close()


def test_a_run_is_refused_while_votes_and_the_log_go_on(sqlite_database: Any) -> None:
    world = World(sqlite_database.store("airlock_decider"))
    release_id = world.open()
    full = disk.Reserve((Path("/"),), 10**18)
    sources = replace(world.sources(), room=full.check)
    proposals = DirectProposals(Handling(world.store, sources))
    with pytest.raises(Unreachable, match="to decisions and the log"):
        proposals.submit(Kind.RUN, ORIGIN, begin(world))
    assert world.approve(release_id, "lena").level == 2
    assert world.proposals.submit(Kind.RUN, ORIGIN, begin(world))["startedAt"]


# clearing away


def aged(path: Path, days: float) -> Path:
    """Make a folder with a file in it, last changed some days ago."""
    path.mkdir(parents=True)
    (path / "log.txt").write_text("x")
    for one in (path / "log.txt", path):
        os.utime(one, (time.time() - days * DAY,) * 2)
    return path


def settings(home: Path, **given: str) -> Settings:
    return Settings.from_environment({"AIRLOCK_HOME": str(home), **given}, home)


def test_what_was_not_used_for_long_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    old = [aged(tmp_path / "work" / name, 15) for name in ("train-a", "champion-b", "models/c")]
    kept = [
        aged(tmp_path / "work/train-new", 13),
        aged(tmp_path / "work/models/used", 13),
        aged(tmp_path / "evidence/ab", 400),
        aged(tmp_path / "data/credit", 400),
        aged(tmp_path / "checkpoints/1", 400),
    ]
    busy = aged(tmp_path / "work/run-x/train-y", 15).parent
    os.utime(busy, (time.time() - 15 * DAY,) * 2)
    (busy / "train-y/log.txt").write_text("still at work")
    outside = aged(tmp_path / "outside", 400)
    link = tmp_path / "work/link"
    link.symlink_to(outside)
    os.utime(link, (time.time() - 15 * DAY,) * 2, follow_symlinks=False)
    Housekeeper(settings(tmp_path)).round()
    assert [one.exists() for one in old] == [False] * 3
    assert all(one.exists() for one in (*kept, busy, outside, tmp_path / "work/models"))
    assert not link.is_symlink()


def test_nothing_is_cleared_where_it_is_kept_for_ever_or_not_there(tmp_path: Path) -> None:
    old = aged(tmp_path / "work/train-a", 4000)
    Housekeeper(settings(tmp_path, AIRLOCK_KEEP_WORK_DAYS="0")).round()
    assert old.exists()
    Housekeeper(settings(tmp_path / "nowhere")).round()


def test_what_cannot_be_removed_is_left_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (aged(tmp_path / name, 15) for name in ("a", "b"))
    remove = shutil.rmtree

    def stubborn(path: Path) -> None:
        if path == first:
            raise PermissionError(path)
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", stubborn)
    assert disk.clear_unused(tmp_path, 14) == [second]
    assert first.exists()


def test_little_room_is_said_once_and_that_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "LOOK_EVERY_S", 0.0)
    free = [50]
    monkeypatch.setattr(
        disk, "rooms", lambda _: [disk.Room(tmp_path, 100 * 10**9, free[0] * 10**9)]
    )
    house = Housekeeper(settings(tmp_path))
    told = []
    for now in (50, 9, 9, 0, 50):
        free[0] = now
        house.round()
        told.append(house.notes())
    assert [bool(one) for one in told] == [False, True, True, True, False]
    assert told[1] == (f"{tmp_path} has 9% of its disk free",)
    assert told[3][0].startswith("no new work begins: the disk of")
    assert caplog.text.count("of its disk free") == 1
