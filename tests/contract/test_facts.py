"""What a decision reads comes in one look: the same as read one by one, as of after the lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from airlock.adapters.keys.ed25519 import FileSigner, create
from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.release import Decision, Release, State
from airlock.domain.errors import Forbidden, Refused
from airlock.domain.people.actors import Actor, Person
from airlock.ports import Facts
from airlock.services.approvals import decide, delegation
from airlock.services.audit import access_log, transparency_log
from airlock.services.queries import releases
from airlock.testing import FakeClock, World, pipeline_document
from tests.contract.conftest import Database
from tests.contract.test_broken_rows import edit as edit_row

#: Statements of one answer that completes the last level, its grant and the messages included.
#: The answer that approves: with its texts, its grant, the permit for it and the messages.
MOST_PER_ANSWER = 14
MOST_PER_PROOF = 5


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect every statement any engine runs."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def facts_of(world: World, release_id: str) -> tuple[Release, Facts]:
    with world.store.begin() as unit:
        release = unit.lock(release_id)
        return release, unit.facts(release)


def test_of_a_release_nothing_is_known_about_there_are_no_facts(world: World) -> None:
    release, _ = facts_of(world, world.open())
    with world.store.begin() as unit:
        found = unit.facts(replace(release, origin="another/run"))
    assert (found.candidate, found.evidence, found.line.epoch) == (None, {}, 0)
    assert (found.lent, found.demanded) == (False, False)


def test_one_look_says_what_single_looks_say(world: World) -> None:
    first = world.open()
    world.approve_all(first)
    world.promote(first)
    release, found = facts_of(world, world.open("run-2"))
    with world.store.begin() as unit:
        assert found.people == unit.people()
        assert found.candidate == unit.candidate(release.origin)
        assert found.candidate is not None
        assert found.evidence == unit.evidence_of(release.origin) != {}
        assert found.line == unit.line(release.subject.model, release.subject.environment)
        assert found.line.epoch == 1
        assert timedelta() <= unit.now() - found.now < timedelta(minutes=1)


def test_one_look_says_where_a_closer_one_is_needed(make_world: Callable[..., World]) -> None:
    clock = FakeClock()
    world = make_world(clock)
    release_id = world.open()
    lena, start = world.actor("lena"), clock.at
    delegation.delegate(
        world.store, world.rulebook, lena, "vera", start, start + timedelta(days=1), "on leave"
    )
    demand = Demand(text="explain it", owner="carla", due="2999-01-01T00:00:00.000000000Z")
    for name in ("lena", "carla", "mara", "milo"):
        world.vote(release_id, name, Decision.APPROVE, conditions=Conditions(findings=(demand,)))
    world.promote(release_id)
    _, found = facts_of(world, world.open("run-2"))
    assert (found.lent, found.demanded) == (True, True)
    clock.pass_(days=2)
    superseded = world.request(world.measure("run-3"), when_open="supersede").release
    assert superseded is not None
    assert facts_of(world, superseded.id)[1].lent is False


def test_rights_lost_while_an_answer_waits_for_the_lock_do_not_count(
    postgres_database: Database,
) -> None:
    """Invariants 13 and 15: rights and the clock are read after the lock."""
    decider, worker = (postgres_database.store(f"airlock_{who}") for who in ("decider", "worker"))
    world = World(decider, worker=worker)
    release_id = world.open()
    ballot = world.ballot(release_id, Decision.APPROVE)
    lena, got = world.actor("lena"), list[Any]()

    def answer() -> None:
        store = postgres_database.store("airlock_decider")
        try:
            got.append(decide.vote(store, world.signer, release_id, ballot, lena).state)
        except Forbidden as error:
            got.append(error)

    thread = threading.Thread(target=answer)
    with world.store.begin() as unit:
        unit.lock(release_id)
        thread.start()
        while not _waits(unit):
            thread.join(0.01)
        world.keep(Person("lena", "Lena", frozenset({"viewer"})))
        unit.commit()
    thread.join(30)
    assert isinstance(got[0], Forbidden), got
    assert releases.outcome(world.store, release_id).level == 1


def _waits(unit: Any) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return bool(unit._connection.exec_driver_sql(query).scalar_one())


def test_an_answer_takes_a_fixed_number_of_statements(make_world: Callable[..., World]) -> None:
    world = make_world(pipeline=pipeline_document(impact="none"))
    world.approve(world.open(), "lena")  # policy and pipeline are remembered from then on
    opened = world.request(world.measure("run-2"), "supersede").release
    assert opened is not None
    ballot, lena = world.ballot(opened.id, Decision.APPROVE), world.actor("lena")
    with counted() as seen:
        decided = decide.vote(world.store, world.signer, opened.id, ballot, lena)
    assert decided.state is State.APPROVED
    own = [one for one in seen if not one.startswith(("BEGIN", "PRAGMA"))]
    assert 5 < len(own) <= MOST_PER_ANSWER, own


def test_a_proof_takes_as_many_statements_in_a_large_tree_as_in_a_small_one(
    make_world: Callable[..., World], tmp_path: Any
) -> None:
    create(tmp_path / "signing.pem", tmp_path / "keys")
    signer = FileSigner(tmp_path / "signing.pem")
    world, taken = make_world(signer=signer), []
    for size in (5, 700):
        with world.store.begin() as unit:
            for number in range(size):
                unit.log(
                    "talk", transparency_log.system_event("Said", f"number/{number}", "to fill")
                )
            unit.commit()
        transparency_log.checkpoint_now(world.store, signer)
        with counted() as seen:
            access_log.prove(world.store, "talk", 3)
        taken.append(len([one for one in seen if one.startswith(("SELECT", "(SELECT"))]))
    assert 0 < taken[0] <= taken[1] <= MOST_PER_PROOF


def test_an_answer_is_shown_with_what_it_has_read_as_a_new_look_shows_it(world: World) -> None:
    release_id = world.open()
    demand = Demand(text="mend the form", owner="ana", due="2999-01-01T00:00:00.000000000Z")
    for name in ("lena", "carla", "mara", "milo"):
        conditions = Conditions(findings=(demand,) if name == "lena" else ())
        ballot = world.ballot(release_id, Decision.APPROVE, conditions=conditions)
        actor = world.actor(name)
        given = decide.answer(world.store, world.signer, release_id, ballot, actor)
        assert given.facts is not None
        with counted() as short:
            shown = releases.show(world.store, world.keys, release_id, actor, given)
        with counted() as whole:
            assert shown == releases.show(world.store, world.keys, release_id, actor)
        assert len(short) == len(whole) - 1
    assert [one["text"] for one in shown["findings"]] == ["mend the form"]


def test_what_an_answer_has_read_is_not_shown_of_a_release_that_moved_since(world: World) -> None:
    release_id = world.open("first")
    ballot, lena = world.ballot(release_id, Decision.APPROVE), world.actor("lena")
    given = decide.answer(world.store, world.signer, release_id, ballot, lena, "a-key")
    again = decide.answer(world.store, world.signer, release_id, ballot, lena, "a-key")
    assert (again.release, again.facts) == (given.release, None)
    origin = world.measure("second", auc=0.9)
    decide.void(world.store, release_id, Actor.system("x"), "a new candidate", origin=origin)
    shown = releases.show(world.store, world.keys, release_id, lena, given)
    assert shown == releases.show(world.store, world.keys, release_id, lena)
    assert shown["metrics"][0]["candidate"] == 0.9


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("requester", "vera"),
        ("started_at", "2020-01-01T00:00:00.000000Z"),
        ("pipeline", "sha256:0"),
    ],
)
def test_a_run_that_was_changed_later_takes_no_vote(
    world: World, database: Database, column: str, value: str
) -> None:
    release_id = world.open()
    edit_row(database, f"UPDATE run SET {column} = :value", value=value)
    with pytest.raises(Refused, match=f"is not of its run: its .* and that of run .* is {value}"):
        world.approve(release_id, "lena")


def test_a_candidate_without_its_run_takes_no_vote(world: World, database: Database) -> None:
    release_id = world.open()
    edit_row(database, "DELETE FROM run")
    with pytest.raises(Refused, match="which never began here"):
        world.approve(release_id, "lena")


def test_a_release_in_another_name_than_its_run_takes_no_vote(
    world: World, database: Database
) -> None:
    release_id = world.open()
    edit_row(database, "UPDATE release SET requester = 'vera'")
    with pytest.raises(Refused, match=r"it is vera's, and run .* is ana's"):
        world.approve(release_id, "lena")
