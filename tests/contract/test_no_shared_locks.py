"""Decisions on different releases never wait for each other: every kind at once, all held open.

Each decision runs in a thread of its own and stops when its transaction is complete but for the
commit, until all others have come as far. Were there a row that two of them lock, one could not
get there: its `lock_timeout` would end it, and with it the test. Nothing is measured.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.unit import WROTE
from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import Refused
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Channel
from airlock.domain.people.separation_of_duties import SHIPPED
from airlock.ports import PromotionRequest
from airlock.services.approvals import break_glass as break_glass_service
from airlock.services.approvals import decide as decide_service
from airlock.services.approvals import (
    policy_registry,
    waivers,
)
from airlock.services.audit import access_log
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, World, pipeline_document
from tests.contract.conftest import Database

#: What a decision does, once what it needs is there.
Decide = Callable[[World], object]
#: How often each kind is decided at the same time.
TIMES = 2


def rules() -> dict[str, Any]:
    book = copy.deepcopy(dict(RULEBOOK))
    roles = ["algorithm_lead", "compliance_officer"]
    glass = {"roles": roles, "people": 2, "hours": 4, "reviewers": ["security_auditor"]}
    book["approval"]["spec"]["breakGlass"] = glass
    weights = dict.fromkeys(("high", "medium", "low"), "soft")
    book["approval"]["spec"]["enforcement"] = {"metrics-threshold": weights}
    book["approval"]["spec"]["tiers"]["high"]["slackMayAnswer"] = True
    book["access"]["spec"]["roles"]["compliance_officer"]["permissions"].append("gate:waive")
    return book


def vote(world: World) -> Decide:
    release_id = world.open()
    return lambda decider: decider.approve(release_id, "lena", key=release_id)


def vote_in_slack(world: World) -> Decide:
    release_id = world.open()
    lena = world.actor("lena", Channel.SLACK)
    ballot = world.ballot(release_id, Decision.APPROVE)
    beside = Event.by(lena, "SlackAnswer", f"release/{release_id}", {"release": release_id})
    return lambda decider: decide_service.vote(
        decider.store, decider.signer, release_id, ballot, lena, beside=beside
    )


def last_vote(world: World) -> Decide:
    release_id = world.open()
    for name in ("lena", "carla", "mara"):
        world.approve(release_id, name)
    asked = Conditions(findings=(Demand(text="mend it", owner="ana", due="2999-01-01T00:00:00Z"),))
    return lambda decider: decider.approve(release_id, "milo", conditions=asked)


def reject(world: World) -> Decide:
    release_id = world.open()
    return lambda decider: decider.vote(release_id, "lena", Decision.REJECT)


def refused_vote(world: World) -> Decide:
    release_id = world.open()

    def decide(decider: World) -> None:
        with pytest.raises(Refused, match="vera holds viewer"):
            decider.approve(release_id, "vera")

    return decide


def withdraw(world: World) -> Decide:
    release_id, ana = world.open(), world.actor("ana")
    return lambda decider: decide_service.withdraw(decider.store, release_id, ana, "not needed")


def waive(world: World) -> Decide:
    opened = world.request(world.measure("weak", auc=0.6))
    assert opened.release is not None
    release_id, carla = opened.release.id, world.actor("carla")
    with world.store.begin() as unit:
        until = unit.now() + timedelta(days=3)
    gate = "metrics-threshold:roc_auc"
    return lambda decider: waivers.waive(
        decider.store, decider.signer, release_id, gate, "known and small", until, carla
    )


def break_glass(world: World) -> Decide:
    release_id, lena = world.open(), world.actor("lena")
    return lambda decider: break_glass_service.break_glass(
        decider.store, decider.signer, release_id, lena, "it burns", "INC-1"
    )


def promote(world: World) -> Decide:
    release_id = world.open()
    world.approve_all(release_id)
    return lambda decider: decider.promoter.begin(
        PromotionRequest(release=release_id, attempt="one")
    )


def void(world: World) -> Decide:
    release_id, digest = world.open(), "sha256:" + "9" * 64
    system = Actor.system("decider")
    return lambda decider: decide_service.void(
        decider.store, release_id, system, "other data", data_digest=digest
    )


def open_release(world: World) -> Decide:
    origin, pipeline = world.measure("run-1"), world.pipeline

    def decide(decider: World) -> None:
        decider.pipeline = pipeline
        assert decider.request(origin).release is not None

    return decide


def arm(world: World) -> Decide:
    release_id = world.open()
    return lambda decider: decide_service.settle(decider.store, decider.signer, release_id)


KINDS = (
    *(vote, vote_in_slack, last_vote, reject, refused_vote, withdraw, waive),
    *(break_glass, promote, void, open_release, arm),
)


def test_no_decision_waits_for_one_on_another_release(postgres_database: Database) -> None:
    kinds = [kind for kind in KINDS for _ in range(TIMES)]
    names = [f"{kind.__name__.replace('_', '-')}-{n}" for n, kind in enumerate(kinds)]
    owned = [{"name": name, "owner": "ana"} for name in names]
    documents = [{**pipeline_document(), "metadata": metadata} for metadata in owned]
    decider = postgres_database.store("airlock_decider")
    worker = postgres_database.store("airlock_worker")
    world = World(decider, worker=worker, rulebook=rules(), pipeline=documents[0])
    policy_registry.register(decider, rules(), documents, SHIPPED)
    decisions: list[Decide] = []
    for document, kind in zip(documents, kinds, strict=True):
        world.pipeline = document
        decisions.append(kind(world))
    together = threading.Barrier(len(decisions), timeout=300)  # the safety net of a hung test
    stores = [_connected(postgres_database) for _ in decisions]

    def run(decide: Decide, store: SqlStore) -> None:
        mine = copy.copy(world)
        mine.store = store
        _stop_before_the_commit(store, together)
        try:
            decide(mine)
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(len(decisions)) as pool:
        running = [pool.submit(run, *both) for both in zip(decisions, stores, strict=True)]
    failed = {name: one.exception() for name, one in zip(names, running, strict=True)}
    broken = (threading.BrokenBarrierError, type(None))  # they waited for one that never came
    told = {name: repr(why) for name, why in failed.items() if not isinstance(why, broken)}
    assert not told
    assert set(failed.values()) == {None}
    assert access_log.verify(decider, world.keys).ok


def _connected(database: Database) -> SqlStore:
    """Return a store whose connection is open: so many at once might not get one in time."""
    store = database.store("airlock_decider")
    with store.begin() as unit:
        unit.now()
    return store


def _stop_before_the_commit(store: SqlStore, together: threading.Barrier) -> None:
    """Let the first transaction that wrote anything wait for all others, its locks held."""
    waited = threading.Event()

    @event.listens_for(store._engine, "commit")
    def wait(connection: Any) -> None:
        if connection.info.get(WROTE) and not waited.is_set():
            waited.set()
            together.wait()


def test_an_answer_in_slack_is_told_of_in_a_stream_of_its_release(
    postgres_database: Database,
) -> None:
    decider = postgres_database.store("airlock_decider")
    world = World(decider, worker=postgres_database.store("airlock_worker"), rulebook=rules())
    before = len(access_log.events(decider, "access", 1000))
    decide = vote_in_slack(world)
    decide(world)
    assert len(access_log.events(decider, "access", 1000)) == before
    (release_id,) = [one["id"] for one in releases.listing(decider).rows]
    (told,) = access_log.events(decider, f"access-{release_id}")
    assert (told["what"], told["data"]["release"]) == ("SlackAnswer", release_id)
    assert releases.outcome(decider, release_id).state is State.AWAITING_APPROVAL
    assert access_log.verify(decider, world.keys).ok
