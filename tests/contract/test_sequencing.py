"""Every committed event joins the tree once, whatever the order of commits; copies get out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner
from airlock.domain.errors import AirlockError, NotFound, Refused, Unreachable
from airlock.domain.log.checkpoint import open_note, read_proof
from airlock.domain.log.merkle import included, leaf_hash
from airlock.domain.people.actors import Channel
from airlock.services.audit import access_log, transparency_log, verification
from airlock.services.audit.transparency_log import Copy, Sequencer
from airlock.testing import World
from tests.contract.conftest import Database
from tests.contract.test_broken_rows import edit
from tests.contract.tree_kit import copies, keys, witness


@pytest.fixture
def signed(tmp_path: Path) -> tuple[FileSigner, FileKeyring]:
    return keys(tmp_path)


@pytest.fixture
def told(make_world: Callable[..., World], signed: tuple[FileSigner, FileKeyring]) -> World:
    """Return a world with one promoted release, signed with real keys."""
    world = make_world(signer=signed[0])
    world.keys = signed[1]  # type: ignore[assignment]
    release_id = world.open("one")
    world.approve_all(release_id)
    world.promote(release_id)
    return world


def chatter(world: World, count: int, stream: str = "chatter") -> None:
    for number in range(count):
        with world.store.begin() as unit:
            unit.log(
                stream, transparency_log.system_event("Said", f"number/{number}", "for the test")
            )
            unit.commit()


def verify(world: World, signed: tuple[FileSigner, FileKeyring]) -> verification.Report:
    return verification.verify(world.store, signed[1])


def test_every_event_gets_one_leaf_and_the_tree_verifies(
    told: World, signed: tuple[FileSigner, FileKeyring]
) -> None:
    tree = transparency_log.sequence(told.store, signed[0])
    assert tree is not None
    report = verify(told, signed)
    assert report.ok, report.damages
    assert report.tree == report.events == tree.size
    again = transparency_log.sequence(told.store, signed[0])
    assert again == tree


def test_a_promotion_brings_a_checkpoint_at_once_and_talk_does_not(
    told: World, signed: tuple[FileSigner, FileKeyring]
) -> None:
    transparency_log.sequence(told.store, signed[0])
    with told.store.begin() as unit:
        assert len(unit.checkpoints()) == 1
    chatter(told, 3)
    tree = transparency_log.sequence(told.store, signed[0])
    with told.store.begin() as unit:
        assert len(unit.checkpoints()) == 1
    second = told.open("two")
    told.approve_all(second)
    told.promote(second)
    grown = transparency_log.sequence(told.store, signed[0])
    assert tree is not None
    assert grown is not None
    with told.store.begin() as unit:
        assert [one.size for one in unit.checkpoints()][-1] == grown.size > tree.size


def test_a_checkpoint_follows_after_a_period_of_growth_only(
    told: World, signed: tuple[FileSigner, FileKeyring]
) -> None:
    transparency_log.checkpoint_now(told.store, signed[0])
    transparency_log.checkpoint_now(told.store, signed[0])  # nothing grew
    chatter(told, 1)
    transparency_log.checkpoint_now(told.store, signed[0])
    with told.store.begin() as unit:
        notes = [one.note for one in unit.checkpoints()]
    assert len(notes) == 2
    sizes = [open_note(n, signed[1].keys(), signed[1].verify).checkpoint.size for n in notes]
    assert sizes[1] == sizes[0] + 1


@pytest.mark.nobody_enrolled
def test_events_that_commit_out_of_the_order_of_their_ids_are_not_skipped(
    postgres_database: Database, signed: tuple[FileSigner, FileKeyring]
) -> None:
    """The lower id commits after the higher one has joined the tree."""
    store = postgres_database.store("airlock_decider")
    slow, quick = store.begin(), store.begin()
    event = transparency_log.system_event("Said", "x", "")
    slow.log("slow", event)
    quick.log("quick", event)
    quick.commit()
    tree = transparency_log.checkpoint_now(store, signed[0])
    assert tree is not None
    assert tree.size == 0  # the slower one might still come before it
    slow.commit()
    tree = transparency_log.checkpoint_now(store, signed[0])
    assert tree is not None
    assert tree.size == 2
    assert verification.verify(store, signed[1]).ok


def test_a_chain_may_join_the_tree_out_of_its_own_order(
    postgres_database: Database, signed: tuple[FileSigner, FileKeyring]
) -> None:
    """A transaction that began to write earlier can be the later one of a stream."""
    store = postgres_database.store("airlock_decider")
    event = transparency_log.system_event("Said", "x", "")
    early, late = store.begin(), store.begin()
    early.log("other", event)  # takes its transaction number first
    late.log("shared", event)
    late.commit()
    early.log("shared", event)
    early.commit()
    transparency_log.checkpoint_now(store, signed[0])
    with store.begin() as unit:
        first, second = unit.place_of("shared", 1), unit.place_of("shared", 2)
    assert first is not None
    assert second is not None
    assert second < first
    report = verification.verify(store, signed[1])
    assert report.ok, report.damages


@pytest.mark.race
def test_two_sequencers_and_eight_writers_lose_nothing(
    make_world: Callable[..., World], signed: tuple[FileSigner, FileKeyring]
) -> None:
    world, stop = make_world(signer=signed[0]), threading.Event()
    failures: list[BaseException] = []

    def grow() -> None:
        try:
            while not stop.wait(0.005):
                transparency_log.sequence(world.store, signed[0], 0)
        except BaseException as error:
            failures.append(error)

    growing = [threading.Thread(target=grow) for _ in range(2)]
    writing = [
        threading.Thread(target=chatter, args=(world, 20, f"stream-{n % 3}")) for n in range(8)
    ]
    for thread in (*growing, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    stop.set()
    for thread in growing:
        thread.join()
    assert failures == []
    transparency_log.checkpoint_now(world.store, signed[0])
    report = verify(world, signed)
    assert report.ok, report.damages
    assert report.tree == report.events
    assert report.checkpoints > 1


def test_a_proof_of_one_entry_is_checked_without_the_log(
    told: World, signed: tuple[FileSigner, FileKeyring]
) -> None:
    release_id = next(e["stream"] for e in access_log.events(told.store) if "rel-" in e["stream"])
    with pytest.raises(NotFound, match="not covered"):
        access_log.prove(told.store, release_id, 4)
    transparency_log.checkpoint_now(told.store, signed[0])
    index, path, note = read_proof(access_log.prove(told.store, release_id, 4))
    opened = open_note(note, signed[1].keys(), signed[1].verify)
    entry = access_log.events(told.store, release_id)[3]
    leaf = leaf_hash(bytes.fromhex(entry["hash"]))
    assert included(leaf, index, opened.checkpoint.size, path, opened.checkpoint.root)


def test_a_log_that_grows_while_it_is_checked_is_not_taken_for_damaged(
    told: World, signed: tuple[FileSigner, FileKeyring]
) -> None:
    transparency_log.checkpoint_now(told.store, signed[0])
    done = threading.Event()

    def talk() -> None:
        while not done.is_set():
            chatter(told, 1)
            transparency_log.sequence(told.store, signed[0])

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        reports = []
        for _ in range(10):
            reports.append(verify(told, signed))
            time.sleep(0.05)  # SQLite has one writer: let it write
    finally:
        done.set()
        thread.join()
    assert [report.damages for report in reports] == [()] * len(reports)
    assert reports[-1].events > reports[0].events


class Stubborn:
    """A place that refuses, or does not answer."""

    name = "stubborn"
    witness = False

    def __init__(self, error: AirlockError) -> None:
        self.error, self.asked = error, 0

    def put(self, copy: Copy) -> str:
        self.asked += 1
        raise self.error


def test_a_place_that_is_down_costs_the_others_nothing(
    told: World, signed: tuple[FileSigner, FileKeyring], tmp_path: Path
) -> None:
    down, folder = Stubborn(Unreachable("down")), copies(tmp_path)
    tree = Sequencer(told.store, signed[0]).round()
    one, other = transparency_log.carriers(told.store, [down, folder])
    with pytest.raises(Unreachable, match="down"):
        one.round()
    other.round()
    assert tree is not None
    assert [one.size for one in folder.checkpoints()] == [tree.size]


def test_a_place_that_refuses_raises_the_alarm_once(
    told: World, signed: tuple[FileSigner, FileKeyring], caplog: pytest.LogCaptureFixture
) -> None:
    Sequencer(told.store, signed[0]).round()
    (carrier,) = transparency_log.carriers(told.store, [Stubborn(Refused("another past"))])
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with pytest.raises(Refused):
                carrier.round()
    assert [record.message for record in caplog.records].count(
        "no copy of the checkpoint at stubborn: another past"
    ) == 1
    assert [e["what"] for e in access_log.events(told.store, "log")] == ["CheckpointRefused"]


@pytest.mark.parametrize("damage", ["rubbish", "o\n7\nAAAA\n\n\u2014 o AAAA\n"])
def test_a_checkpoint_that_is_damaged_keeps_the_tree_from_nothing(
    sqlite_database: Database, signed: tuple[FileSigner, FileKeyring], damage: str
) -> None:
    told = World(sqlite_database.store("airlock_decider"), signed[0])
    transparency_log.sequence(told.store, signed[0])
    edit(sqlite_database, "UPDATE audit_checkpoint SET note = :note", note=damage)
    chatter(told, 3)
    tree = Sequencer(told.store, signed[0]).round()
    with told.store.begin() as unit:
        assert tree is not None
        assert unit.checkpoints()[-1].size == tree.size


def test_an_event_that_waits_too_long_raises_the_alarm(
    postgres_database: Database, signed: tuple[FileSigner, FileKeyring]
) -> None:
    def later() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=61)

    holding, store = (
        postgres_database.store("airlock_decider").begin(),
        postgres_database.store("airlock_decider"),
    )
    holding.put_line(holding.line("m", "e", lock=True).__class__("m", "e", 1))  # writes and waits
    with store.begin() as unit:
        unit.log("x", transparency_log.system_event("Said", "x", ""))
        unit.commit()
    postgres_database.store("airlock_decider")
    watcher = Sequencer(postgres_database.store("airlock_decider", later), signed[0])  # type: ignore[arg-type]
    watcher.round()
    watcher.round()
    holding.commit()
    assert [e["what"] for e in access_log.events(store, "log")] == ["AuditLag"]


def test_copies_carry_the_witness_and_verify(
    told: World, signed: tuple[FileSigner, FileKeyring], tmp_path: Path
) -> None:
    folder = copies(tmp_path)
    with witness(tmp_path, told, signed[0]) as client:
        carriers = transparency_log.carriers(told.store, [folder, client])  # the witness comes last
        for _ in range(3):
            chatter(told, 5)
            transparency_log.checkpoint_now(told.store, signed[0])
            for carrier in (*carriers, *carriers):
                carrier.round()
        trusted = {client.witness_name: client.cosigner}
        kept = [*folder.checkpoints(), *client.checkpoints()]
        report = verification.verify(told.store, signed[1], kept, trusted)
    assert report.ok, report.damages
    newest = open_note(folder.checkpoints()[-1].note, signed[1].keys(), signed[1].verify, trusted)
    assert set(newest.witnesses) == {"airlock/witness"}
    assert report.cosigned == report.tree


def test_a_copy_does_not_wait_for_a_witness_that_is_away(
    told: World,
    signed: tuple[FileSigner, FileKeyring],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Sequencer(told.store, signed[0]).round()
    away = Stubborn(Unreachable("down"))
    away.witness = True
    folder = copies(tmp_path)
    one, _ = transparency_log.carriers(told.store, [folder, away])
    one.round()
    assert folder.checkpoints() == ()
    monkeypatch.setattr(transparency_log, "WITNESS_S", 0)
    one.round()
    assert len(folder.checkpoints()) == 1


def test_a_witness_that_is_behind_is_told_from_where(
    told: World, signed: tuple[FileSigner, FileKeyring], tmp_path: Path
) -> None:
    with witness(tmp_path, told, signed[0]) as client:
        transparency_log.publish(told.store, client)
        chatter(told, 7)
        transparency_log.checkpoint_now(told.store, signed[0])
        with told.store.begin() as unit:
            newest = unit.checkpoints()[-1]
        chatter(told, 2)
        transparency_log.publish(told.store, client)
        transparency_log.publish(told.store, client)
        assert [one.size for one in client.checkpoints()] == [newest.size]


def test_reading_the_log_is_an_event_and_writing_that_event_is_no_reading(told: World) -> None:
    sam = told.actor("sam", Channel.API)
    before = len(access_log.events(told.store, "access", 1000))
    access_log.read(told.store, sam, "access")
    access_log.read(told.store, sam)
    after = access_log.events(told.store, "access", 1000)
    assert len(after) == before + 2
    assert [(e["what"], e["who"]["id"], e["resource"]) for e in after[-2:]] == [
        ("LogRead", "sam", "log/access"),
        ("LogRead", "sam", "log"),
    ]


def test_an_export_needs_a_reason_and_is_an_event_before_it_is_handed_out(
    told: World, signed: tuple[FileSigner, FileKeyring]
) -> None:
    from airlock.domain.errors import Invalid

    sam = told.actor("sam", Channel.API)
    with pytest.raises(Invalid, match="needs a reason"):
        access_log.export(told.store, signed[1], sam, " ")
    access_log.export(told.store, signed[1], sam, "yearly audit")
    last = access_log.events(told.store, "access")[-1]
    assert (last["what"], last["why"]) == ("LogExported", "yearly audit")


def test_the_database_lets_nobody_rewrite_the_tree(told: World, database: Database) -> None:
    signer = told.signer
    transparency_log.checkpoint_now(told.store, signer)
    for table in ("audit_leaf", "audit_checkpoint"):
        for url in set(database.urls.values()):
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {_COLUMN[table]} = 1"):
                with (
                    pytest.raises(Exception, match=r"only grows|permission denied"),
                    create_engine(url).begin() as connection,
                ):
                    connection.execute(text(statement))


_COLUMN = {"audit_leaf": "idx", "audit_checkpoint": "size"}
