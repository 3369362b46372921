"""Verification names every damage, not the first alone, and one bad row stops nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner
from airlock.domain.approval.release import Decision
from airlock.domain.clock import stamp
from airlock.domain.log.audit import Event, Head, append, link
from airlock.services.approvals import decide
from airlock.services.audit import access_log, export, transparency_log, verification
from airlock.testing import FakeClock, World
from tests.contract.conftest import BuiltOnce, Database
from tests.contract.tree_kit import keys

pytestmark = pytest.mark.tamper


class Attacker:
    """Owns the database: triggers are off."""

    def __init__(self, database: Database) -> None:
        self.kind = database.kind
        self._engine = create_engine(
            database.urls.get("postgres", database.urls["airlock_decider"])
        )
        with self._engine.begin() as connection:
            if self.kind == "sqlite":
                found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                for (name,) in connection.execute(text(found)).all():
                    connection.execute(text(f"DROP TRIGGER {name}"))
            else:
                for table in ("audit_event", "audit_leaf", "audit_stream", "line", "release_grant"):
                    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))

    def run(self, *statements: str, **given: Any) -> None:
        """Run statements."""
        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), given)

    def forge(self, stream: str, event: Event, at: str, *, change: Any = None, xid: int = 0) -> int:
        """Append an event with a good chain; *change* alters its content before it is hashed."""
        with self._engine.begin() as connection:
            table, key = (
                ("release", "id") if stream.startswith("rel-") else ("audit_stream", "stream")
            )
            row = connection.execute(
                text(f"SELECT seq, head FROM {table} WHERE {key} = :s"), {"s": stream}
            ).one()
            made = append(Head(row[0], bytes(row[1])), stream, event, at)
            self._insert(connection, made, event.type, change, xid)
            end = {"q": made.seq, "h": _hash(made, change), "s": stream}
            connection.execute(
                text(f"UPDATE {table} SET seq = :q, head = :h WHERE {key} = :s"), end
            )
            return made.seq

    def _insert(self, connection: Connection, made: Any, what: str, change: Any, xid: int) -> None:
        body = change(made.body) if change else made.body
        row = {
            "t": made.stream,
            "s": made.seq,
            "w": what,
            "b": body,
            "p": made.prev,
            "h": link(made.prev, made.seq, body),
        }
        columns, values = "stream, seq, what, body, prev, hash", ":t, :s, :w, :b, :p, :h"
        if xid:
            columns, values = f"{columns}, xid", f"{values}, '{xid}'"
        connection.execute(text(f"INSERT INTO audit_event ({columns}) VALUES ({values})"), row)


def _hash(made: Any, change: Any) -> bytes:
    return link(made.prev, made.seq, change(made.body)) if change else made.hash


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[FileSigner, FileKeyring]:
    return keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def world(
    built_once: BuiltOnce,
    make_world: Callable[..., World],
    clock: FakeClock,
    signed: tuple[FileSigner, FileKeyring],
) -> World:
    """Return a world with two promoted releases, everything in the tree."""

    def build() -> tuple[World, None]:
        world = make_world(clock, signer=signed[0])
        world.keys = signed[1]  # type: ignore[assignment]
        for run in ("one", "two"):
            release_id = world.open(run)
            world.approve_all(release_id)
            world.promote(release_id, run)
        transparency_log.checkpoint_now(world.store, signed[0])
        return world, None

    return built_once("two promoted releases", build)[0]


@pytest.fixture
def attacker(world: World, database: Database) -> Iterator[Attacker]:
    made = Attacker(database)
    yield made
    made._engine.dispose()


def verify(world: World) -> verification.Report:
    return verification.verify(world.store, world.keys)


def releases(world: World) -> list[str]:
    with world.store.begin() as unit:
        return sorted((one.id for one in unit.find()), reverse=True)


def rights(name: str) -> Event:
    """Return a false event: *name* became an approver."""
    new = {"roles": ["algorithm_lead"], "active": True}
    return Event(
        type="RightsChanged",
        actor_id="system:airflow",
        roles=(),
        channel="system",
        resource=f"user/{name}",
        old=None,
        new=new,
        why="",
        policy="",
        data={},
    )


def test_an_untouched_world_has_no_damage_and_no_warning(world: World) -> None:
    report = verify(world)
    assert (report.damages, report.warnings) == ((), ())


def test_every_damage_of_every_stream_is_named(world: World, attacker: Attacker) -> None:
    first, second = releases(world)
    attacker.run("UPDATE audit_event SET what = 'LogRead' WHERE stream = :n AND seq = 3", n=first)
    attacker.run("DELETE FROM audit_event WHERE stream = :n AND seq IN (5, 6)", n=first)
    attacker.run("UPDATE audit_event SET prev = hash WHERE stream = :n AND seq = 9", n=first)
    attacker.run("UPDATE audit_event SET hash = prev WHERE stream = :n AND seq = 4", n=second)
    attacker.run("UPDATE audit_stream SET seq = seq - 2 WHERE stream = 'access'")
    damages = verify(world).damages
    for stream, seq, what in (
        (first, 3, "column what is 'LogRead', its bytes say"),
        (first, 5, "expected entry 5, found entry 7: deleted, reordered or added"),
        (first, 9, "does not follow the entry before it: expected hash"),
        (second, 4, "the bytes do not match their hash"),
    ):
        named = [line for line in damages if line.startswith(f"stream {stream}, entry {seq}")]
        assert any(what in line for line in named), damages
    assert any("table audit_stream says that the stream ends with" in line for line in damages)
    assert not any(f"stream {second}, entry 5" in line for line in damages)  # it is good


@pytest.mark.parametrize("nested", [False, True])
def test_false_events_with_a_body_that_differs_from_the_columns(
    world: World, attacker: Attacker, clock: FakeClock, nested: bool
) -> None:
    """The chain is good; the place is right in the columns, and inside the entry at most."""

    def change(body: bytes) -> bytes:
        content = json.loads(body)
        inner = {name: content[name] for name in ("seq", "stream", "v", "what")}
        inner |= {"who": {"id": "x", "roles": []}, "why": ""}
        content |= {"stream": "elsewhere", "what": "VoteCast", "data": inner if nested else {}}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    seq = attacker.forge("access", rights("eve"), stamp(clock()), change=change)
    transparency_log.sequence(world.store, world.signer)
    damages = verify(world).damages
    for column in ("stream", "what"):
        assert any(
            f"stream access, entry {seq}" in line and f"column {column} is" in line
            for line in damages
        ), damages


def test_an_entry_with_a_number_of_its_own_is_forged_and_a_late_one_is_behind(
    world: World, attacker: Attacker, clock: FakeClock
) -> None:
    access_log.note(world.store, world.actor("sam"), "LogRead", "", {})
    clock.pass_(minutes=30)  # the delivery process hangs
    report = verify(world)
    assert report.ok, report.damages
    assert any("the tree is behind: 1 entries" in line for line in report.warnings)
    transparency_log.checkpoint_now(world.store, world.signer)
    assert verify(world).warnings == ()
    if attacker.kind == "sqlite":
        attacker.forge("access", rights("eve"), stamp(clock()))
        attacker.run("UPDATE audit_event SET id = -1 WHERE id = (SELECT max(id) FROM audit_event)")
    else:
        attacker.forge("access", rights("eve"), stamp(clock()), xid=3)
    assert any("forged; its number lies behind" in line for line in verify(world).damages)
    access_log.note(world.store, world.actor("sam"), "LogRead", "", {})
    transparency_log.checkpoint_now(world.store, world.signer)
    damages = verify(world).damages
    assert len([line for line in damages if "forged" in line]) == 1  # what is good is not


def test_ids_ahead_of_the_sequence_are_named(
    world: World, attacker: Attacker, request: pytest.FixtureRequest
) -> None:
    if attacker.kind == "sqlite":
        pytest.skip("SQLite gives out no ids: the next one is the largest and one more")
    attacker.run("UPDATE audit_event SET id = id + 100000 WHERE stream = 'access' AND seq = 2")
    assert any("taken ahead of those" in line for line in verify(world).damages)


def test_a_changed_end_of_the_shared_stream_stops_no_vote(world: World, attacker: Attacker) -> None:
    attacker.run("UPDATE audit_stream SET seq = seq - 3 WHERE stream = 'access'")
    assert not verify(world).ok
    release_id = world.open("three")
    ballot, lena = world.ballot(release_id, Decision.APPROVE), world.actor("lena")
    decide.vote(world.store, world.signer, release_id, ballot, lena)
    access_log.note(world.store, world.actor("sam"), "LogRead", "", {})
    report = verify(world)
    assert report.ok, report.damages  # it went on where it had really ended


def test_a_broken_stream_stops_no_vote_on_another_release(world: World, attacker: Attacker) -> None:
    broken, other = world.open("three"), None
    world.approve(broken, "lena")
    decide.withdraw(world.store, broken, world.actor("ana"), "for the test")
    attacker.run("DELETE FROM audit_event WHERE stream = :n AND seq = 3", n=broken)
    other = world.open("four")
    assert world.approve_all(other).state.value == "APPROVED"
    assert any(broken in line for line in verify(world).damages)
    assert not any(other in line for line in verify(world).damages)


@pytest.mark.parametrize("body", [b"no JSON", b'{"resource":"user/lena"}'])
def test_one_bad_entry_stops_neither_reading_nor_the_evidence_of_others(
    world: World,
    attacker: Attacker,
    clock: FakeClock,
    signed: tuple[FileSigner, FileKeyring],
    body: bytes,
) -> None:
    attacker.forge("access", rights("lena"), stamp(clock()), change=lambda _: body)
    clock.pass_(minutes=5)
    assert any(one["what"] == "Unreadable" for one in access_log.events(world.store))
    sam = world.actor("sam")
    done = export.export(
        world.store, signed[1], signed[0], {}, sam, releases(world)[0], "for the test"
    )
    assert done.startswith(b"PK")
    assert not verify(world).ok


def test_a_false_change_of_rights_with_its_own_number_stops_no_evidence(
    world: World,
    attacker: Attacker,
    clock: FakeClock,
    signed: tuple[FileSigner, FileKeyring],
) -> None:
    if attacker.kind == "sqlite":
        pytest.skip("SQLite has no transaction numbers")
    with world.store.begin() as unit:
        before = unit.get(releases(world)[0]).votes[0].at
    attacker.forge("access", rights("lena"), before, xid=3)
    clock.pass_(minutes=5)
    done = export.export(
        world.store, signed[1], signed[0], {}, world.actor("sam"), releases(world)[0], "a test"
    )
    assert done.startswith(b"PK")
    assert any("forged" in line for line in verify(world).damages)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE line SET release = (SELECT min(id) FROM release)", "table line"),
        ("UPDATE line SET epoch = epoch + 1", "epoch is 3, the log says 2"),
        ("UPDATE line SET version = '7'", "version is 7, the log says 2"),
        ("INSERT INTO line VALUES ('fraud', 'production', 4, '1', 'rel-x')", "fraud/production"),
        ("UPDATE release_grant SET spent_at = NULL, spent_by = NULL", "spent_by is nothing"),
        ("UPDATE release_grant SET spent_by = 'eve'", "spent_by is eve"),
    ],
)
def test_lines_and_grants_written_by_hand_are_found(
    world: World, attacker: Attacker, statement: str, named: str
) -> None:
    if "min(id)" in statement:
        serving = {line.release for line in _lines(world)}
        other = next(one for one in releases(world) if one not in serving)
        statement = f"UPDATE line SET release = '{other}'"
    attacker.run(statement)
    damages = verify(world).damages
    assert any(named in line for line in damages), damages


def _lines(world: World) -> Any:
    with world.store.begin() as unit:
        return unit.lines()
