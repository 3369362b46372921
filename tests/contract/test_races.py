"""Invariants 6 and 8: whatever happens at once, from separate processes, one of it wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from sqlalchemy import create_engine, text

from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.release import Decision, State
from airlock.domain.people.actors import Actor, Channel
from airlock.services.approvals import deadlines, decide
from airlock.services.promotion import promote as promotions
from airlock.services.queries import releases
from airlock.testing import FakeKeys, FakeRegistry, FakeWatch, World, pipeline_document
from tests.contract.conftest import Database
from tests.seeding import Runner, clone, damages, race
from tests.support import rounds

pytestmark = pytest.mark.race

#: How often each race is run; `TEST_ROUNDS=1000` runs a thousand.
ROUNDS = {"postgres": rounds(20, 200), "sqlite": 40}
CROWD = {"postgres": 50, "sqlite": 20}


def lead(name: str) -> Actor:
    return Actor(name, name.title(), frozenset({"algorithm_lead"}), Channel.API)


def vote(
    store: SqlStore, at: int, ids: Sequence[str], name: str, decision: str, key: str = ""
) -> str:
    """Answer the release of this round as it was before the round began."""
    release = releases.outcome(store, ids[at])
    ballot = World.ballot_of(release, Decision(decision), level=1)
    answered = key and f"{key}-{at}"
    return decide.vote(store, FakeKeys(), ids[at], ballot, lead(name), answered).state.value


def withdraw(store: SqlStore, at: int, ids: Sequence[str]) -> str:
    ana = Actor("ana", "Ana", frozenset({"developer"}), Channel.CLI)
    return decide.withdraw(store, ids[at], ana, "found a bug").state.value


def expire(store: SqlStore, at: int, ids: Sequence[str]) -> str:
    """Sweep until the timer of this round is gone, whoever ended it."""
    swept = deadlines.sweep(store)
    return "swept" if swept.fired else "nothing"


def promote(store: SqlStore, at: int, ids: Sequence[str], registry: FakeRegistry, who: int) -> str:
    keys, attempt = FakeKeys(), f"attempt-{who}"
    promoter = promotions.Promoter(store, keys, keys, FakeWatch(registry))
    done = promotions.promote(promoter, registry, ids[at], attempt)
    return "replayed" if done.replayed else "promoted"


@pytest.fixture
def admin_url(database: Database) -> str:
    """Return the URL that may write past the rules."""
    return database.urls.get("postgres", database.urls["airlock_decider"])


@pytest.fixture
def ids(database: Database, admin_url: str) -> list[str]:
    """Return as many open releases of the low tier as there are rounds."""
    world = World(
        database.store("airlock_decider"),
        worker=database.store("airlock_worker"),
        pipeline=pipeline_document(impact="none"),
    )
    first = world.open()
    decide.settle(world.store, world.signer, first)
    return clone(admin_url, first, ROUNDS[database.kind])


def check(database: Database, ids: Sequence[str]) -> dict[str, State]:
    """Check the log and return the state of each release."""
    store = database.store("airlock_decider")
    assert damages(store) == []
    with store.begin() as unit:
        return {one: unit.get(one).state for one in ids}


def test_approve_and_reject_at_once_have_one_winner(database: Database, ids: list[str]) -> None:
    runners = [Runner(vote, (ids, "lena", "approve")), Runner(vote, (ids, "luis", "reject"))]
    approving, rejecting = race(database.urls["airlock_decider"], runners, len(ids))
    states = check(database, ids)
    for one, yes, no in zip(ids, approving, rejecting, strict=True):
        won = {("APPROVED", False): State.APPROVED, ("REJECTED", True): State.REJECTED}
        winner = (yes, False) if yes == "APPROVED" else (no, True)
        assert states[one] is won[winner]
        assert [yes, no].count(states[one].value) == 1
        assert sum(got.startswith("Conflict: ") for got in (yes, no)) == 1
    print(f"approve against reject: {dict(Counter(states.values()))}")


def test_approve_and_withdraw_at_once_leave_no_doubt(database: Database, ids: list[str]) -> None:
    runners = [Runner(vote, (ids, "lena", "approve")), Runner(withdraw, (ids,))]
    approving, withdrawing = race(database.urls["airlock_decider"], runners, len(ids))
    assert set(check(database, ids).values()) == {State.WITHDRAWN}  # legal before and after
    assert set(withdrawing) == {"WITHDRAWN"}
    store = database.store("airlock_decider")
    with store.begin() as unit:
        for one, yes in zip(ids, approving, strict=True):
            assert yes == "APPROVED" or yes.startswith("Conflict: ")
            assert bool(unit.get(one).votes) is (yes == "APPROVED")


def test_approve_and_expire_at_once_have_one_winner(
    database: Database, admin_url: str, ids: list[str]
) -> None:
    with create_engine(admin_url).begin() as connection:  # due now, yet not late by the policy
        connection.execute(text("DELETE FROM timer WHERE kind <> 'expire'"))
        connection.execute(text("UPDATE timer SET due_at = '2026-01-01'"))
    runners = [Runner(vote, (ids, "lena", "approve")), Runner(sweep_one, (ids, admin_url))]
    approving, _ = race(database.urls["airlock_decider"], runners, len(ids))
    deadlines.sweep(database.store("airlock_decider"))
    states = check(database, ids)
    for one, yes in zip(ids, approving, strict=True):
        expected = State.APPROVED if yes == "APPROVED" else State.EXPIRED
        assert states[one] is expected
        assert yes == "APPROVED" or "is EXPIRED" in yes
    print(f"approve against expire: {dict(Counter(states.values()))}")


def sweep_one(store: SqlStore, at: int, ids: Sequence[str], _admin: str) -> str:
    """Sweep the one timer that comes next."""
    deadlines.BATCH = deadlines.SMALLEST = 1
    with store.begin() as unit:
        due = unit.take_due(1)
    return str(deadlines.sweep(store, seconds=0.0001)) if due else "nothing"


@pytest.mark.parametrize("key", ["", "click"])
def test_one_person_twice_at_once_is_one_vote(database: Database, ids: list[str], key: str) -> None:
    some = ids[: max(20, len(ids) // 5)]
    runner = Runner(vote, (some, "lena", "approve", key))
    both = race(database.urls["airlock_decider"], [runner, runner], len(some))
    store = database.store("airlock_decider")
    with store.begin() as unit:
        assert {len(unit.get(one).votes) for one in some} == {1}
    for pair in zip(*both, strict=True):
        counted = Counter(got.split(":")[0] for got in pair)
        assert counted == ({"APPROVED": 2} if key else {"APPROVED": 1, "Conflict": 1})
    assert damages(store) == []


def test_a_grant_is_spent_once_by_a_crowd_of_promoters(database: Database) -> None:
    """Invariant 6: 50 at once, 1 success, 49 conflicts."""
    world = World(
        database.store("airlock_decider"),
        worker=database.store("airlock_worker"),
        pipeline=pipeline_document(impact="none"),
    )
    release_id = world.open()
    world.approve(release_id, "lena")
    crowd = CROWD[database.kind]
    runners = [Runner(promote, ([release_id], world.registry, who)) for who in range(crowd)]
    got = [one[0] for one in race(database.urls["airlock_decider"], runners, 1)]
    counted = Counter(one.split(":")[0] for one in got)
    assert counted["promoted"] == 1, got
    assert counted["Underway"] + counted["Conflict"] == crowd - 1, got
    with world.store.begin() as unit:
        assert unit.line("credit", "production").epoch == 1
    assert check(database, [release_id]) == {release_id: State.PROMOTED}
